"""The eight ways in which a square can be turned and mirrored, for the mean of a network's answers."""

from __future__ import annotations

from torch import Tensor


def mirrored_axes(number: int) -> list[int]:
    """Return which of rows (0) and columns (1) an orientation mirrors."""
    return [axis for axis in (0, 1) if number >> axis & 1]


def is_transposed(number: int) -> bool:
    """Return whether an orientation swaps rows and columns, after mirroring."""
    return number >= 4


def turned(patches: Tensor, number: int) -> Tensor:
    """Return square patches ``(N, C, Y, X)`` in one of eight orientations; 0 is as they are."""
    seen = patches.flip([axis + 2 for axis in mirrored_axes(number)])
    return seen.transpose(2, 3) if is_transposed(number) else seen
