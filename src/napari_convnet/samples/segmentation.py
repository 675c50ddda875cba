"""Training sets of the segment task: images with annotated pixels, from a few strokes to whole masks."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from napari_convnet.classes import ClassInfo
from napari_convnet.images import Normalisation, NormalisationMode
from napari_convnet.samples.annotated_pixels import AnnotatedPixels
from napari_convnet.samples.areas import Area, Areas, choose_areas, given_areas
from napari_convnet.samples.augmentation import AugmentationSettings, augment_batch
from napari_convnet.samples.checks import check_images, check_targets, default_channels
from napari_convnet.samples.kinds_of_sets import AreaSet
from napari_convnet.samples.patches import Patch, pad_patch, stack_patches

#: Few strokes show few backgrounds: stronger changes of intensity than for cells, whose colour counts, raised
#: the IoU of bacteria from 0.80 to 0.92 (one of two sets of strokes) and that of dsb2018 by -0.01 to 0.03.
_MAX_INTENSITY = 0.5

#: Mean and standard deviation move with how much of an image is bright. With percentiles, the IoU of nuclei in 40
#: unseen images of dsb2018 was 0.79, 0.77 and 0.80, and 0.76, 0.71 and 0.77 without (300 steps of live training with
#: strokes on three images, three draws).
_NORMALISATION: NormalisationMode = "percentiles"


@dataclass(frozen=True)
class SegmentationSet(AreaSet):
    """Annotated images, split into areas for training and areas that are held out.

    Parameters
    ----------
    images
        One ``(C, Y, X)`` float32 array an image, normalised.
    targets
        One ``(Y, X)`` int16 array an image: class indices from 0, -1 = not annotated.
    classes
        Names and colours.
    areas
        Where training looks and what is held out; no patch crosses the border of its area.
    channels
        Names of the channels.
    normalisation
        What was applied to the images.
    patch_size
        Side in pixels of the training patches.
    """

    images: tuple[np.ndarray, ...]
    targets: tuple[np.ndarray, ...]
    classes: tuple[ClassInfo, ...]
    areas: Areas
    channels: tuple[str, ...]
    normalisation: Normalisation
    patch_size: int
    task: str = "segment"

    @classmethod
    def from_annotations(
        cls,
        annotated: Sequence[AnnotatedPixels],
        classes: tuple[ClassInfo, ...],
        *,
        patch_size: int = 64,
        validation_fraction: float = 0.2,
        validation: Sequence[AnnotatedPixels] = (),
        groups: Sequence | None = None,
        channels: tuple[str, ...] | None = None,
        normalisation: NormalisationMode = _NORMALISATION,
        seed: int = 0,
        always_train: Sequence[bool] | None = None,
        stacks: Sequence | None = None,
    ) -> SegmentationSet:
        """Take images with painted pixels; unpainted pixels teach nothing.

        Held out are the images of ``validation`` if given, else whole images where there are several, else a region
        of each image with a gap of one patch; never of the images that ``always_train`` names. Images of one name in
        ``stacks`` are planes of one stack or film, which stay together.

        Raises
        ------
        UserError
            Without annotations (CN-621), with one class (CN-622), other channels (CN-623), or all images tiny (CN-628).
        """
        parts = [*annotated, *validation]
        check_images([part.image for part in parts])
        targets = tuple(part.targets() for part in parts)
        for chosen in (targets[: len(annotated)], targets):
            present = np.concatenate([np.empty(0, np.int16), *(np.unique(t) for t in chosen)])
            check_targets(present, classes, "Paint strokes of")
        if validation:
            areas = given_areas(targets, n_training=len(annotated))
        else:
            areas = choose_areas(
                targets, patch_size, validation_fraction, groups, seed, always_train, stacks=stacks
            )
        pixels = [part.image.pixels for part in parts]
        # Measured where training may look, also within an image that is held out in part.
        seen = (pixels[i][:, rows, columns] for i, rows, columns in areas.training)
        fitted = Normalisation.fit(normalisation, seen)
        return cls(
            tuple(fitted.apply(image) for image in pixels),
            targets,
            classes,
            areas,
            channels or default_channels(parts[0].image),
            fitted,
            patch_size,
        )

    @property
    def training_areas(self) -> tuple[Area, ...]:
        """(image index, rows, columns) of each area that training patches are cut from."""
        return self.areas.training

    @property
    def validation_areas(self) -> tuple[Area, ...]:
        """(image index, rows, columns) of each area that is held out."""
        return self.areas.validation

    @property
    def description(self) -> str:
        """What is held out, in plain words."""
        return self.areas.description

    @property
    def warning(self) -> str:
        """Why the score may not mean much, or ""."""
        return self.areas.warning

    @property
    def n_validation(self) -> int:
        """Number of annotated pixels that are held out."""
        return sum(int((self._seen(area) >= 0).sum()) for area in self.validation_areas)

    def class_counts(self) -> np.ndarray:
        """Return the number of training pixels of each class."""
        return self._counts.sum(0)

    @cached_property
    def _counts(self) -> np.ndarray:
        """Annotated pixels by training area and class, ``(areas, classes)`` int64."""
        found = [self._seen(area) for area in self.training_areas]
        return np.array([np.bincount(t[t >= 0], minlength=len(self.classes)) for t in found])

    # What sets of stacks, which have an axis more, do otherwise -----------------------------------

    @property
    def _sides(self) -> tuple[int, ...]:
        """Sides of the training patches."""
        return (self.patch_size, self.patch_size)

    @property
    def _validation_sides(self) -> tuple[int, ...]:
        """Sides of the patches that are held out, which have four times the pixels."""
        return (2 * self.patch_size, 2 * self.patch_size)

    def _spans(self, area: Area) -> tuple[slice, ...]:
        """Where an area lies in its image, along every axis."""
        return area[1:]

    def _as_batch(
        self,
        patches: Sequence[Patch],
        random: torch.Generator,
        augment: AugmentationSettings | None,
    ) -> tuple[Tensor, Tensor]:
        batch = stack_patches(patches)
        return batch if augment is None else _augment(*batch, random, augment)

    # ----------------------------------------------------------------------------------------------

    def _seen(self, area: Area) -> np.ndarray:
        return self.targets[area[0]][*self._spans(area)]

    def _taught(self, index: int, window: Sequence[slice]) -> np.ndarray:
        """Return what a network learns of a window of an image."""
        return self.targets[index][*window]

    def _n_spots(self) -> int:
        return sum(self._count_spots(self._seen(area) >= 0) for area in self.training_areas)

    def _count_spots(self, mask: np.ndarray) -> int:
        """Count the squares (or cubes), with sides of half a patch, that a mask touches."""
        halves = [max(1, side // 2) for side in self._sides]
        places = [p // half for p, half in zip(np.nonzero(mask), halves, strict=True)]
        grid = [length // half + 1 for length, half in zip(mask.shape, halves, strict=True)]
        return len(np.unique(np.ravel_multi_index(places, grid)))

    def validation_spots(self) -> np.ndarray:
        """Return, for each class, the number of held-out squares (or cubes) of half a patch that show it."""
        counts = np.zeros(len(self.classes), np.int64)
        for area in self.validation_areas:
            seen = self._seen(area)
            counts += [self._count_spots(seen == k) for k in range(len(counts))]
        return counts

    def training_batches(
        self,
        batch_size: int,
        random: torch.Generator,
        *,
        augment: AugmentationSettings | None,
        shuffle: str = "every_epoch",
        balanced: bool = True,
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield patches around annotated pixels: inputs ``(N, C, Y, X)`` and targets ``(N, Y, X)``.

        Classes are drawn equally often, so a thin structure is seen as often as the background around
        it. ``shuffle`` and ``balanced`` are those of `ClassificationSet.training_batches` and change
        nothing here.
        """
        present = np.flatnonzero(self.class_counts())
        for _ in range(self.batches_per_epoch(batch_size)):
            wanted = present[torch.randint(len(present), (batch_size,), generator=random).numpy()]
            patches = [self._draw_patch(int(target), random) for target in wanted]
            yield self._as_batch(patches, random, augment)

    def _draw_patch(self, target: int, random: torch.Generator) -> Patch:
        """Cut a patch around a pixel of a class; every training pixel of it is as likely."""
        ends = np.cumsum(self._counts[:, target])
        drawn = int(torch.randint(int(ends[-1]), (1,), generator=random))
        number = int(np.searchsorted(ends, drawn, side="right"))
        pixels = self._pixels_of(number, target)
        pixel = int(pixels[drawn - int(ends[number])])  # counted from the area's last pixel
        return self._patch_around(self.training_areas[number], pixel, random)

    def _pixels_of(self, number: int, target: int) -> np.ndarray:
        """Return the flat indices, within a training area, of the pixels of a class."""
        if (number, target) not in self._pixels:
            found = np.flatnonzero(self._seen(self.training_areas[number]) == target)
            self._pixels[number, target] = found.astype(np.min_scalar_type(found[-1]))
        return self._pixels[number, target]

    @cached_property
    def _pixels(self) -> dict[tuple[int, int], np.ndarray]:
        return {}

    def _patch_around(self, area: Area, pixel: int, random: torch.Generator) -> Patch:
        """Cut a patch that holds a pixel of an area and stays inside it; what the area lacks is padded."""
        spans = self._spans(area)
        position = np.unravel_index(pixel, [span.stop - span.start for span in spans])
        window = []
        for place, span, side in zip(position, spans, self._sides, strict=True):
            low, high = side // 4, 3 * side // 4 + 1
            offset = int(torch.randint(low, high, (1,), generator=random))
            latest = max(span.start, span.stop - side)
            start = min(max(span.start + int(place) - offset, span.start), latest)
            window.append(slice(start, min(start + side, span.stop)))
        return self._cut(area[0], window, self._sides)

    def _cut(self, index: int, window: Sequence[slice], sides: Sequence[int]) -> Patch:
        """Cut a window of an image, padded to ``sides``, with what is taught there."""
        return pad_patch(self.images[index][:, *window], self._taught(index, window), sides)

    def validation_batches(self, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the annotated parts of the held-out areas as patches, every pixel once."""
        step = max(1, batch_size // 4)
        windows = list(self._validation_windows())
        for start in range(0, len(windows), step):
            chosen = windows[start : start + step]
            yield stack_patches([self._cut(i, w, self._validation_sides) for i, w in chosen])

    def _validation_windows(self) -> Iterator[tuple[int, list[slice]]]:
        for area in self.validation_areas:
            spans = [
                [
                    slice(start, min(start + side, span.stop))
                    for start in range(span.start, span.stop, side)
                ]
                for span, side in zip(self._spans(area), self._validation_sides, strict=True)
            ]
            for window in itertools.product(*spans):
                if (self.targets[area[0]][*window] >= 0).any():
                    yield area[0], list(window)

    def sample_input(self) -> np.ndarray:
        """Return one real training patch ``(C, Y, X)`` float32, normalised."""
        random = torch.Generator().manual_seed(0)
        present = int(np.flatnonzero(self.class_counts())[0])
        return self._draw_patch(present, random)[0].copy()


def _augment(
    inputs: Tensor, targets: Tensor, random: torch.Generator, settings: AugmentationSettings
) -> tuple[Tensor, Tensor]:
    """Augment a batch, except for patches whose annotated pixels would all be turned outside."""
    moved, moved_targets = augment_batch(inputs, targets, random, settings, _MAX_INTENSITY)
    is_lost = (moved_targets < 0).flatten(1).all(1)
    moved[is_lost], moved_targets[is_lost] = inputs[is_lost], targets[is_lost]
    return moved, moved_targets
