"""Training sets of stacks: strokes on some of their slices, from which a network learns in three dimensions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from napari_convnet.classes import ClassInfo
from napari_convnet.errors import UserError
from napari_convnet.images import CleanImage, Normalisation, NormalisationMode
from napari_convnet.samples.areas import choose_areas_of_stacks
from napari_convnet.samples.augmentation import AugmentationSettings
from napari_convnet.samples.checks import check_images, check_targets, default_channels
from napari_convnet.samples.segmentation import SegmentationSet

#: Slices of a training patch: what the 3-D UNet sees up and down at its two deepest levels, and few enough for a CPU.
_DEPTH = 16
#: Of a thin stack a patch has this share of the slices, but at least so many: patches then begin and end at different
#: slices, and a network learns what is seen at the first and the last one also where these were never painted.
_SHARE, _THIN = 2 / 3, 4
#: As for images, see `napari_convnet.samples.segmentation`.
_MAX_INTENSITY = 0.5
#: From this range of rotations on (in degrees) a patch may lie on any of its four sides.
_QUARTER = 90.0


@dataclass(frozen=True)
class AnnotatedStack:
    """One stack with strokes on some of its slices.

    Parameters
    ----------
    pixels
        ``(C, Z, Y, X)`` float32, all finite.
    labels
        ``(Z, Y, X)`` integers: 0 = not annotated, k = class k.
    name
        What to call it in messages.
    invalid
        ``(Z, Y, X)`` bool, where a pixel was no number; None where all were.
    """

    pixels: np.ndarray
    labels: np.ndarray
    name: str = "stack"
    invalid: np.ndarray | None = None

    @classmethod
    def of_planes(cls, planes: Sequence[CleanImage], labels: np.ndarray) -> AnnotatedStack:
        """Put a stack together from its slices, which are in the core's form."""
        pixels = np.stack([plane.pixels for plane in planes], axis=1)
        invalid = None
        if any(plane.invalid is not None for plane in planes):
            shape = planes[0].shape
            invalid = np.stack(
                [np.zeros(shape, bool) if p.invalid is None else p.invalid for p in planes]
            )
        return cls(pixels, labels, planes[0].name, invalid)

    @property
    def image(self) -> CleanImage:
        """The slices below each other as one image ``(C, Z * Y, X)``, for what asks for one."""
        pixels = self.pixels
        return CleanImage(pixels.reshape(len(pixels), -1, pixels.shape[-1]), None, self.name)

    def targets(self) -> np.ndarray:
        """Return class indices ``(Z, Y, X)`` int16 from 0, -1 = not annotated; invalid pixels teach nothing.

        Raises
        ------
        UserError
            CN-613 for labels of another shape.
        """
        shape = self.pixels.shape[1:]
        if self.labels.shape != shape or self.labels.dtype.kind not in "iub":
            raise UserError(
                "CN-613",
                f"The labels of stack '{self.name[:60]}' have shape {self.labels.shape} and type {self.labels.dtype}, "
                f"its pixels {shape}. Give whole numbers of the same shape (Z, Y, X).",
            )
        largest = np.iinfo(np.int16).max
        targets = np.clip(self.labels.astype(np.int64), 0, largest).astype(np.int16) - 1
        if self.invalid is not None:
            targets[self.invalid] = -1
        return targets


@dataclass(frozen=True)
class StackSet(SegmentationSet):
    """Annotated stacks, split into areas for training and areas that are held out, each through all slices.

    As a `SegmentationSet`, but ``images`` are ``(C, Z, Y, X)``, ``targets`` ``(Z, Y, X)``, and patches and batches have
    an axis of depth before rows and columns.

    Parameters
    ----------
    depth
        Slices of the training patches; thinner stacks are padded with what teaches nothing.
    """

    depth: int = _DEPTH

    @classmethod
    def from_annotations(
        cls,
        annotated: Sequence[AnnotatedStack],
        classes: tuple[ClassInfo, ...],
        *,
        patch_size: int = 64,
        depth: int | None = None,
        validation_fraction: float = 0.2,
        validation: Sequence[AnnotatedStack] = (),
        channels: tuple[str, ...] | None = None,
        normalisation: NormalisationMode = "percentiles",
        seed: int = 0,
        always_train: Sequence[bool] | None = None,
    ) -> StackSet:
        """Take stacks with painted voxels; unpainted ones teach nothing.

        Held out are the stacks of ``validation`` if given, else whole stacks where there are three or more, else a
        region of each through all slices, with a gap; never of the stacks that ``always_train`` names. A stack is
        normalised as a whole.

        Raises
        ------
        UserError
            Without annotations (CN-621), with one class (CN-622), other channels (CN-623), or all stacks tiny (CN-628).
        """
        n_training = len(annotated) if validation else None
        annotated = [*annotated, *validation]
        images = [part.image for part in annotated]
        check_images(images)
        targets = tuple(part.targets() for part in annotated)
        present = np.concatenate([np.empty(0, np.int16), *(np.unique(t) for t in targets)])
        check_targets(present, classes, "Paint strokes of")
        areas = choose_areas_of_stacks(
            targets, patch_size, validation_fraction, seed, always_train, n_training
        )
        seen = [
            annotated[i].pixels[:, :, rows, columns].reshape(images[i].n_channels, -1, 1)
            for i, rows, columns in areas.training
        ]
        fitted = Normalisation.fit(normalisation, seen)
        thickest = max(t.shape[0] for t in targets)
        return cls(
            tuple(
                fitted.apply(image.pixels).reshape(part.pixels.shape)
                for image, part in zip(images, annotated, strict=True)
            ),
            targets, classes, areas, channels or default_channels(images[0]), fitted, patch_size,
            depth=min(depth or min(_DEPTH, max(_THIN, round(_SHARE * thickest))), thickest),
        )  # fmt: skip

    def _seen(self, index: int, rows: slice, columns: slice) -> np.ndarray:
        return self.targets[index][:, rows, columns]

    def _n_spots(self) -> int:
        found = (self._seen(*area) >= 0 for area in self.training_areas)
        return sum(self._count_spots(mask) for mask in found)

    def validation_spots(self) -> np.ndarray:
        """Return, for each class, the number of held-out cubes of half a patch that show it."""
        counts = np.zeros(len(self.classes), np.int64)
        for area in self.validation_areas:
            seen = self._seen(*area)
            counts += [self._count_spots(seen == k) for k in range(len(counts))]
        return counts

    def _count_spots(self, mask: np.ndarray) -> int:
        sides = (max(1, self.depth // 2), *(max(1, self.patch_size // 2),) * 2)
        places = [place // side for place, side in zip(np.nonzero(mask), sides, strict=True)]
        return np.unique(np.stack(places), axis=1).shape[1]

    def training_batches(
        self,
        batch_size: int,
        random: torch.Generator,
        *,
        augment: AugmentationSettings | None,
        shuffle: str = "every_epoch",
        balanced: bool = True,
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield patches around annotated voxels: inputs ``(N, C, Z, Y, X)`` and targets ``(N, Z, Y, X)``.

        Classes are drawn equally often. Mirror images, also from top to bottom, and quarter turns in the plane are
        exact, so no voxel is made up between slices that lie far apart; scale and moves of ``augment`` are not used.
        """
        present = np.flatnonzero(self.class_counts())
        for _ in range(self.batches_per_epoch(batch_size)):
            wanted = present[torch.randint(len(present), (batch_size,), generator=random).numpy()]
            patches = [self._draw_patch(int(target), random) for target in wanted]
            if augment is not None:
                patches = [augment_stack(*patch, random, augment) for patch in patches]
            yield _stacked(patches)

    def _patch_around(
        self, number: int, pixel: tuple[int, int], random: torch.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Cut a patch that holds a voxel and stays inside its area; what the stack lacks is padded."""
        index, rows, columns = self.training_areas[number]
        height = rows.stop - rows.start
        plane, row = divmod(pixel[0], height)  # the rows of all slices are counted on
        spans = (slice(0, self.targets[index].shape[0]), rows, columns)
        window = []
        for position, span, side in zip((plane, row, pixel[1]), spans, self._sides, strict=True):
            low, high = side // 4, 3 * side // 4 + 1
            offset = int(torch.randint(low, high, (1,), generator=random))
            latest = max(span.start, span.stop - side)
            start = min(max(span.start + position - offset, span.start), latest)
            window.append(slice(start, min(start + side, span.stop)))
        return self._cut_stack(index, window, self._sides)

    @property
    def _sides(self) -> tuple[int, int, int]:
        return self.depth, self.patch_size, self.patch_size

    def _cut_stack(
        self, index: int, window: Sequence[slice], sides: Sequence[int]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Cut a window, padded at its end to ``sides``: pixels by repetition, targets by -1."""
        pixels, targets = self.images[index][:, *window], self.targets[index][*window]
        missing = [(0, side - length) for side, length in zip(sides, targets.shape, strict=True)]
        if any(after for _, after in missing):
            pixels = np.pad(pixels, [(0, 0), *missing], mode="edge")
            targets = np.pad(targets, missing, constant_values=-1)
        return pixels, targets

    def validation_batches(self, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the annotated parts of the held-out areas as patches, every voxel once."""
        step = max(1, batch_size // 4)  # these patches have four times the voxels
        sides = (self.depth, 2 * self.patch_size, 2 * self.patch_size)
        windows = list(self._held_out_windows(sides))
        for start in range(0, len(windows), step):
            chosen = windows[start : start + step]
            yield _stacked([self._cut_stack(i, window, sides) for i, window in chosen])

    def _held_out_windows(self, sides: Sequence[int]) -> Iterator[tuple[int, list[slice]]]:
        for index, rows, columns in self.validation_areas:
            spans = (slice(0, self.targets[index].shape[0]), rows, columns)
            starts = (range(s.start, s.stop, side) for s, side in zip(spans, sides, strict=True))
            for corner in np.array(np.meshgrid(*starts, indexing="ij")).reshape(3, -1).T.tolist():
                window = [
                    slice(start, min(start + side, span.stop))
                    for start, side, span in zip(corner, sides, spans, strict=True)
                ]
                if (self.targets[index][*window] >= 0).any():
                    yield index, window

    def sample_input(self) -> np.ndarray:
        """Return the middle slice of one real training patch, ``(C, Y, X)`` float32, normalised."""
        random = torch.Generator().manual_seed(0)
        present = int(np.flatnonzero(self.class_counts())[0])
        return self._draw_patch(present, random)[0][:, self.depth // 2].copy()


def augment_stack(
    pixels: np.ndarray,
    targets: np.ndarray,
    random: torch.Generator,
    settings: AugmentationSettings,
) -> tuple[np.ndarray, np.ndarray]:
    """Mirror and turn a patch ``(C, Z, Y, X)`` with its targets ``(Z, Y, X)``, and change its contrast.

    It is mirrored in the plane and from top to bottom where the settings mirror at all, and turned by quarters in the
    plane where they allow turns of 90 degrees.
    """
    chance = torch.rand(5, generator=random).tolist()
    flips = (settings.flip_x or settings.flip_y, settings.flip_y, settings.flip_x)
    axes = [
        axis for axis, (flip, c) in enumerate(zip(flips, chance, strict=False)) if flip and c < 0.5
    ]
    turns = 0
    if max(map(abs, settings.rotation)) >= _QUARTER:
        turns = int(torch.randint(4, (1,), generator=random))
    pixels = np.flip(pixels, [axis + 1 for axis in axes])
    targets = np.flip(targets, axes)
    if turns:
        pixels, targets = np.rot90(pixels, turns, (2, 3)), np.rot90(targets, turns, (1, 2))
    amounts = [_MAX_INTENSITY if a < 0 else a for a in (settings.contrast, settings.brightness)]
    contrast = 1 + amounts[0] * (2 * chance[3] - 1)
    brightness = amounts[1] * (2 * torch.rand((len(pixels), 1, 1, 1), generator=random).numpy() - 1)
    return (pixels * np.float32(contrast) + brightness).astype(np.float32), targets


def _stacked(patches: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[Tensor, Tensor]:
    inputs = np.stack([pixels for pixels, _ in patches])
    targets = np.stack([targets for _, targets in patches]).astype(np.int64)
    return torch.from_numpy(inputs), torch.from_numpy(targets)
