"""Augmentation: many looks from few annotations, on whole batches at once.

A `Looks` is drawn first and then applied to whatever belongs to the pictures: pixels, painted
classes, maps and positions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from napari_convnet.settings import TrainingSettings

#: Largest changes of contrast and brightness that suit cells, whose stain counts.
CELL_INTENSITY = 0.2


@dataclass(frozen=True)
class AugmentationSettings:
    """How much pictures may change.

    Parameters
    ----------
    flip_x, flip_y
        Whether pictures are mirrored left and right, up and down; each with a chance of one half.
    rotation
        Smallest and largest turn in degrees, counterclockwise. Microscope images have no up or down, so any
        rotation is as likely as any other.
    scale
        Smallest and largest magnification; as likely in proportion, not in difference.
    translation_x, translation_y
        Smallest and largest shift to the right and down, in pixels.
    crop
        The frame moves by up to half of this share of the side, each way.
    brightness
        Largest shift of each channel, in standard deviations of a normalised image; -1 = as suits the
        task.
    contrast
        Largest change of contrast, as a share; -1 = as suits the task.
    """

    flip_x: bool = True
    flip_y: bool = False
    rotation: tuple[float, float] = (-180.0, 180.0)
    scale: tuple[float, float] = (0.8, 1.25)
    translation_x: tuple[float, float] = (0.0, 0.0)
    translation_y: tuple[float, float] = (0.0, 0.0)
    crop: float = 0.05
    brightness: float = -1.0
    contrast: float = -1.0

    @classmethod
    def of(cls, settings: TrainingSettings) -> AugmentationSettings | None:
        """Return what training settings say, None where nothing shall change."""
        if not settings.augment:
            return None
        return cls(
            settings.flip_x,
            settings.flip_y,
            (settings.rotation_min, settings.rotation_max),
            (settings.scale_min, settings.scale_max),
            (settings.translation_x_min, settings.translation_x_max),
            (settings.translation_y_min, settings.translation_y_max),
            settings.crop,
            settings.brightness,
            settings.contrast,
        )


@dataclass(frozen=True, eq=False)
class Looks:
    """What happens to each picture of a batch, drawn once and applied to all that belongs to it.

    Parameters
    ----------
    matrices
        ``(N, 2, 3)`` float32 as `torch.nn.functional.affine_grid` takes them: from a place in the new
        picture to the place in the old one, (x, y) from -1 to 1.
    contrast
        ``(N, 1, 1, 1)`` factors.
    brightness
        ``(N, C, 1, 1)`` summands.
    size
        Rows and columns of the pictures.
    """

    matrices: Tensor
    contrast: Tensor
    brightness: Tensor
    size: tuple[int, int]

    def pictures(self, inputs: Tensor) -> Tensor:
        """Return changed copies of ``(N, C, Y, X)`` pictures."""
        # padding by reflection keeps corners looking like image, not like streaks
        moved = self._sample(inputs, "bilinear", "reflection")
        # in place: fresh memory costs more than the sums
        return moved.mul_(self.contrast.to(moved.device)).add_(self.brightness.to(moved.device))

    def classes(self, targets: Tensor) -> Tensor:
        """Return moved copies of ``(N, Y, X)`` or ``(N, K, Y, X)`` whole numbers; what comes from outside is -1."""
        shifted = (targets + 1).float()  # 0 = outside = not annotated
        shifted = shifted.unsqueeze(1) if targets.ndim == 3 else shifted
        moved = self._sample(shifted, "nearest", "zeros").round().long() - 1
        return moved.view(targets.shape)

    def maps(self, maps: Tensor) -> Tensor:
        """Return moved copies of ``(N, K, Y, X)`` float maps; what comes from outside is 0."""
        return self._sample(maps, "bilinear", "zeros")

    def positions(self, positions: Tensor) -> Tensor:
        """Return where positions ``(N, P, 2)`` are after the move, (row, column) in pixels.

        They may lie outside of the picture. The middle of the first pixel is (0, 0).
        """
        sides = torch.tensor(self.size, dtype=torch.float64)
        old = ((2 * positions.double() + 1) / sides - 1).flip(-1)  # as (x, y) from -1 to 1
        matrices = self.matrices.double()
        turn, shift = matrices[:, :, :2], matrices[:, :, 2]
        new = torch.linalg.solve(turn, (old - shift[:, None]).mT).mT
        return (((new.flip(-1) + 1) * sides - 1) / 2).to(positions.dtype)

    def _sample(self, values: Tensor, mode: str, padding: str) -> Tensor:
        grid = self._grid().to(values.device)
        return F.grid_sample(values, grid, mode=mode, padding_mode=padding, align_corners=False)

    def _grid(self) -> Tensor:
        """Return where each pixel of the new pictures was, ``(N, Y, X, 2)``.

        As `torch.nn.functional.affine_grid` would, to the last digits, in a third of its time: a part that depends on
        the row and one that depends on the column are added.
        """
        rows, columns = ((2 * torch.arange(side) + 1) / side - 1 for side in self.size)
        grid = torch.empty(len(self.matrices), *self.size, 2)
        for axis, (of_x, of_y, shift) in enumerate(self.matrices.permute(1, 2, 0)[..., None]):
            torch.add(
                (of_y * rows + shift)[:, :, None], (of_x * columns)[:, None], out=grid[..., axis]
            )
        return grid


def draw_looks(
    shape: Sequence[int],
    random: torch.Generator,
    settings: AugmentationSettings | None = None,
    intensity: float = CELL_INTENSITY,
) -> Looks:
    """Draw how each picture of a batch changes, each in its own way.

    Parameters
    ----------
    shape
        ``(N, C, Y, X)`` of the batch.
    random
        CPU generator that everything is drawn from.
    settings
        How much may change; by default as `AugmentationSettings` says.
    intensity
        Changes of contrast and brightness that suit the task.
    """
    settings = settings or AugmentationSettings()
    n, n_channels, height, width = shape
    matrices = _matrices(n, (height, width), random, settings)
    amounts = [intensity if v < 0 else v for v in (settings.contrast, settings.brightness)]
    contrast = 1 + amounts[0] * _uniform((n, 1, 1, 1), random)
    brightness = amounts[1] * _uniform((n, n_channels, 1, 1), random)
    return Looks(matrices, contrast, brightness, (height, width))


def augment_batch(
    inputs: Tensor,
    targets: Tensor | None,
    random: torch.Generator,
    settings: AugmentationSettings | None = None,
    intensity: float = CELL_INTENSITY,
) -> tuple[Tensor, Tensor | None]:
    """Flip, turn, scale, move and brighten every sample of a batch in its own way.

    Parameters
    ----------
    inputs
        ``(N, C, Y, X)`` float32, normalised.
    targets
        ``(N, Y, X)`` int64 class indices, or several maps of whole numbers ``(N, K, Y, X)``, -1 = not annotated,
        moved along with the pixels (what comes from outside is -1), or None for one target a patch.
    random, settings, intensity
        See `draw_looks`.

    Returns
    -------
    tuple of Tensor
        Augmented copies of both.
    """
    looks = draw_looks(inputs.shape, random, settings, intensity)
    return looks.pictures(inputs), None if targets is None else looks.classes(targets)


def _matrices(
    n: int, size: tuple[int, int], random: torch.Generator, settings: AugmentationSettings
) -> Tensor:
    """Draw ``(n, 2, 3)`` matrices; the order of the draws is that of the oldest programs."""
    angle = _between(*(math.radians(degrees) for degrees in settings.rotation), n, random)
    scale = torch.exp(_between(*(math.log(scale) for scale in settings.scale), n, random))
    ones = torch.ones(n)
    flip_x = _flips(n, random) if settings.flip_x else ones
    cosine, sine = torch.cos(angle) / scale, torch.sin(angle) / scale
    # In a picture that is not square, a turn mixes sides of different lengths.
    aspect = size[0] / size[1]
    shift = settings.crop * _uniform((n, 2, 1), random)
    flip_y = _flips(n, random) if settings.flip_y else ones
    matrix = torch.stack(
        [cosine * flip_x, -sine * aspect * flip_y, sine / aspect * flip_x, cosine * flip_y], dim=1
    ).view(n, 2, 2)
    ranges = (settings.translation_x, settings.translation_y)
    if any(value for ends in ranges for value in ends):
        pixels = torch.stack([_between(*ends, n, random) for ends in ranges], dim=1)
        moved = 2 * pixels / torch.tensor((size[1], size[0]))
        shift = shift - matrix @ moved[:, :, None]  # in the new picture, so before the turn
    return torch.cat([matrix, shift], dim=2)


def _between(low: float, high: float, n: int, random: torch.Generator) -> Tensor:
    """Draw ``(n,)`` from low..high."""
    return (low + high) / 2 + (high - low) / 2 * _uniform((n,), random)


def _flips(n: int, random: torch.Generator) -> Tensor:
    return torch.where(_uniform((n,), random) < 0, -1.0, 1.0)


def _uniform(shape: tuple[int, ...], random: torch.Generator) -> Tensor:
    """Draw from -1..1."""
    return torch.rand(shape, generator=random) * 2 - 1


def augmented_samples(
    samples: Any, n: int, seed: int = 0, settings: AugmentationSettings | None = None
) -> tuple[Tensor, Tensor]:
    """Show what training would see: random training samples as they are, and changed.

    Parameters
    ----------
    samples
        A training set of any task.
    n
        How many.
    seed
        Another one shows other samples and other changes.
    settings
        How much may change; by default as `AugmentationSettings` says.

    Returns
    -------
    originals, augmented : Tensor
        ``(n, C, Y, X)`` float32 each, normalised; the k-th of both is the same sample. Of stacks the middle slice.
    """
    pairs: list[tuple[Tensor, Tensor]] = []
    while sum(len(original) for original, _ in pairs) < n:
        original, changed = (
            next(
                iter(
                    samples.training_batches(
                        n, torch.Generator().manual_seed(seed + len(pairs)), augment=augment
                    )
                )
            )[0]
            for augment in (None, settings or AugmentationSettings())
        )
        pairs.append((original, changed))
    originals, augmented = (torch.cat(parts)[:n] for parts in zip(*pairs, strict=True))
    if originals.ndim == 5:  # stacks
        middle = originals.shape[2] // 2
        return originals[:, :, middle], augmented[:, :, middle]
    return originals, augmented
