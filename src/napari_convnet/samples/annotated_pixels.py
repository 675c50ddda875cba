"""One image with its painted classes or whole objects, and the targets that they are."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from napari_convnet.images import CleanImage, check_labels
from napari_convnet.samples.instances import object_depths, painted_objects
from napari_convnet.seams import instance_classes


@dataclass(frozen=True)
class AnnotatedPixels:
    """One image with its painted classes, and perhaps with whole objects.

    Parameters
    ----------
    image
        The image.
    labels
        ``(Y, X)`` integers: 0 = not annotated, k = class k.
    instances
        ``(Y, X)`` integers: 0 = no object, every whole object a value of its own; None where objects are not
        known, as with strokes.
    """

    image: CleanImage
    labels: np.ndarray
    instances: np.ndarray | None = None

    @classmethod
    def of_objects(cls, image: CleanImage, instances: np.ndarray) -> AnnotatedPixels:
        """Take an image in which every object is drawn whole: class 1 is background, class 2 an object."""
        instances = check_labels(instances, image.pixels.shape[1:], f"labels of {image.name}")
        return cls(image, instance_classes(instances), instances)

    def with_whole_objects(self, background: int) -> AnnotatedPixels:
        """Take every connected area of one painted class for a whole object; ``background`` is a class value."""
        return replace(self, instances=painted_objects(self.labels, background))

    def targets(self) -> np.ndarray:
        """Return class indices ``(Y, X)`` int16 from 0, -1 = not annotated; invalid pixels teach nothing.

        Raises
        ------
        UserError
            CN-611, CN-612, CN-613 for labels that do not belong to the image.
        """
        shape, name = self.image.pixels.shape[1:], f"labels of {self.image.name}"
        labels = check_labels(self.labels, shape, name)
        # Values beyond any class are refused with their number, so they must not wrap around before.
        targets = np.minimum(labels.astype(np.int64), np.iinfo(np.int16).max).astype(np.int16) - 1
        if self.image.invalid is not None:
            targets[self.image.invalid] = -1
        return targets

    def depths(self) -> np.ndarray:
        """Return how deep pixels lie in their objects, ``(Y, X)`` int16 as `object_depths`, -1 = not known.

        Raises
        ------
        UserError
            As `targets`.
        """
        targets = self.targets()
        if self.instances is None:
            return np.full_like(targets, -1)
        shape, name = self.image.pixels.shape[1:], f"objects of {self.image.name}"
        depths = object_depths(check_labels(self.instances, shape, name))
        return np.where(targets >= 0, depths, -1)
