"""Patches: resized, padded and stacked into batches."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

#: Pixels ``(C, *sides)`` float32 and targets ``sides``, or several maps of them, int16.
Patch = tuple[np.ndarray, np.ndarray]


def resize_patches(patches: np.ndarray, size: int) -> np.ndarray:
    """Resize patches ``(N, C, Y, X)`` float32 to ``size x size`` (bilinear, antialiased)."""
    if patches.shape[-2:] == (size, size):
        return patches
    resized = F.interpolate(
        torch.from_numpy(patches), (size, size), mode="bilinear", antialias=True
    )
    return resized.numpy()


def resize_patch(patch: np.ndarray, size: int) -> np.ndarray:
    """Resize one patch ``(C, Y, X)``."""
    return resize_patches(patch[np.newaxis], size)[0]


def pad_patch(pixels: np.ndarray, targets: np.ndarray, sides: Sequence[int]) -> Patch:
    """Pad pixels ``(C, *space)`` at their ends to ``sides`` by repetition, targets ``(..., *space)`` by -1."""
    lengths = targets.shape[-len(sides) :]
    missing = [(0, side - length) for side, length in zip(sides, lengths, strict=True)]
    if any(after for _, after in missing):
        pixels = np.pad(pixels, [(0, 0), *missing], mode="edge")
        same = [(0, 0)] * (targets.ndim - len(sides))
        targets = np.pad(targets, [*same, *missing], constant_values=-1)
    return pixels, targets


def stack_patches(patches: Sequence[Patch]) -> tuple[Tensor, Tensor]:
    """Put patches into one batch, targets as the int64 that torch's losses want."""
    inputs = np.stack([patch[0] for patch in patches])
    targets = np.stack([patch[1] for patch in patches]).astype(np.int64)
    return torch.from_numpy(inputs), torch.from_numpy(targets)
