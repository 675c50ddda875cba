"""Training sets of whole objects: classes of pixels, and how deep each pixel lies in its own object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch

from napari_convnet.classes import ClassInfo
from napari_convnet.samples.annotated_pixels import AnnotatedPixels
from napari_convnet.samples.patches import Patch
from napari_convnet.samples.segmentation import SegmentationSet


@dataclass(frozen=True)
class WholeObjectSet(SegmentationSet):
    """A `SegmentationSet` that knows whole objects, so that a network learns to tell touching ones apart.

    Targets of its batches are ``(N, 2, Y, X)`` int64: class indices, and depths in thousandths, both -1 where they
    are not known. Depths are those in the whole image, also at the border of a patch.

    Parameters
    ----------
    depths
        One ``(Y, X)`` int16 array an image, see `object_depths`; -1 = not known, as around strokes.

    References
    ----------
    Distances as a target: Bai & Urtasun 2017, https://doi.org/10.1109/CVPR.2017.305; Naylor et al. 2019,
    https://doi.org/10.1109/TMI.2018.2865709.
    """

    depths: tuple[np.ndarray, ...] = ()

    @classmethod
    def from_annotations(
        cls,
        annotated: Sequence[AnnotatedPixels],
        classes: tuple[ClassInfo, ...],
        *,
        validation: Sequence[AnnotatedPixels] = (),
        **options: Any,
    ) -> WholeObjectSet:
        """Take images with painted pixels, some or all of them with whole objects.

        Parameters
        ----------
        annotated, classes, validation, options
            As for `SegmentationSet.from_annotations`.

        Raises
        ------
        UserError
            As `SegmentationSet.from_annotations`.
        """
        plain = SegmentationSet.from_annotations(
            annotated, classes, validation=validation, **options
        )
        known = {field.name: getattr(plain, field.name) for field in fields(plain)}
        return cls(**known, depths=tuple(part.depths() for part in (*annotated, *validation)))

    def _taught(self, index: int, window: Sequence[slice]) -> np.ndarray:
        return np.stack([maps[index][*window] for maps in (self.targets, self.depths)])

    def _draw_patch(self, target: int, random: torch.Generator) -> Patch:
        """Cut a patch around a pixel of a class; every image that shows it is as likely.

        Whole objects cover images, and a large image must not count for more than one of many small objects.
        """
        shows = np.flatnonzero(self._counts[:, target])
        number = int(shows[int(torch.randint(len(shows), (1,), generator=random))])
        pixels = self._pixels_of(number, target)
        pixel = int(pixels[int(torch.randint(len(pixels), (1,), generator=random))])
        return self._patch_around(self.training_areas[number], pixel, random)
