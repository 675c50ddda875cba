"""Training sets of stacks: strokes on some of their slices, from which a network learns in three dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from napari_convnet.classes import ClassInfo
from napari_convnet.errors import UserError
from napari_convnet.images import CleanImage, Normalisation, NormalisationMode
from napari_convnet.samples.areas import Area, choose_areas_of_stacks
from napari_convnet.samples.augmentation import AugmentationSettings
from napari_convnet.samples.checks import check_images, check_targets, default_channels
from napari_convnet.samples.patches import Patch, stack_patches
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

    @property
    def _sides(self) -> tuple[int, ...]:
        return self.depth, self.patch_size, self.patch_size

    @property
    def _validation_sides(self) -> tuple[int, ...]:
        return self.depth, 2 * self.patch_size, 2 * self.patch_size

    def _spans(self, area: Area) -> tuple[slice, ...]:
        return slice(0, self.targets[area[0]].shape[0]), *area[1:]

    def _as_batch(
        self,
        patches: Sequence[Patch],
        random: torch.Generator,
        augment: AugmentationSettings | None,
    ) -> tuple[Tensor, Tensor]:
        """Put patches into a batch: inputs ``(N, C, Z, Y, X)`` and targets ``(N, Z, Y, X)``.

        Mirror images, also from top to bottom, and quarter turns in the plane are exact, so no voxel is made up
        between slices that lie far apart; scale and moves of ``augment`` are not used.
        """
        if augment is not None:
            patches = [augment_stack(*patch, random, augment) for patch in patches]
        return stack_patches(patches)

    def sample_input(self) -> np.ndarray:
        """Return the middle slice of one real training patch, ``(C, Y, X)`` float32, normalised."""
        return super().sample_input()[:, self.depth // 2]


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
