"""One image with its painted classes, and the targets that they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_convnet.images import CleanImage, check_labels


@dataclass(frozen=True)
class AnnotatedPixels:
    """One image with its painted classes.

    Parameters
    ----------
    image
        The image.
    labels
        ``(Y, X)`` integers: 0 = not annotated, k = class k.
    """

    image: CleanImage
    labels: np.ndarray

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
