"""Augmentation: many looks from few annotations, on whole batches at once."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def augment_batch(
    inputs: Tensor,
    targets: Tensor | None,
    random: torch.Generator,
    *,
    max_rotation: float = 180.0,
    max_intensity: float = 0.2,
) -> tuple[Tensor, Tensor | None]:
    """Flip, turn, scale and brighten every sample of a batch in its own way.

    Microscope images have no up or down, so any rotation is as likely as any other.

    Parameters
    ----------
    inputs
        ``(N, C, Y, X)`` float32, normalised.
    targets
        ``(N, Y, X)`` int64 class indices, -1 = not annotated, moved along with the pixels (what comes from outside is
        -1), or None for one target a patch.
    random
        CPU generator that everything is drawn from.
    max_rotation
        Largest turn in degrees.
    max_intensity
        Largest change of contrast, and largest shift of each channel's brightness, in standard
        deviations of a normalised image.

    Returns
    -------
    tuple of Tensor
        Augmented copies of both.
    """
    n = inputs.shape[0]
    grid = F.affine_grid(
        _transforms(n, random, max_rotation), list(inputs.shape), align_corners=False
    )
    grid = grid.to(inputs.device)
    # padding by reflection keeps corners looking like image, not like streaks
    moved = F.grid_sample(
        inputs, grid, mode="bilinear", padding_mode="reflection", align_corners=False
    )
    contrast = 1 + max_intensity * _uniform((n, 1, 1, 1), random)
    brightness = max_intensity * _uniform((n, inputs.shape[1], 1, 1), random)
    moved = moved * contrast.to(moved.device) + brightness.to(moved.device)
    if targets is not None:
        shifted = (targets + 1).unsqueeze(1).to(inputs.dtype)  # 0 = outside = not annotated
        turned = F.grid_sample(
            shifted, grid, mode="nearest", padding_mode="zeros", align_corners=False
        )
        targets = turned.squeeze(1).round().long() - 1
    return moved, targets


def _transforms(n: int, random: torch.Generator, max_rotation: float) -> Tensor:
    """Draw ``(n, 2, 3)`` matrices: rotation, scale 0.8 to 1.25, mirror image, shift up to 5 %."""
    angle = math.radians(max_rotation) * _uniform((n,), random)
    scale = torch.exp(math.log(1.25) * _uniform((n,), random))
    flip = torch.where(_uniform((n,), random) < 0, -1.0, 1.0)
    cosine, sine = torch.cos(angle) / scale, torch.sin(angle) / scale
    matrix = torch.stack([cosine * flip, -sine, sine * flip, cosine], dim=1).view(n, 2, 2)
    shift = 0.05 * _uniform((n, 2, 1), random)
    return torch.cat([matrix, shift], dim=2)


def _uniform(shape: tuple[int, ...], random: torch.Generator) -> Tensor:
    """Draw from -1..1."""
    return torch.rand(shape, generator=random) * 2 - 1
