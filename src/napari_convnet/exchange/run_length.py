"""Masks as COCO writes them: lengths of runs of 0 and 1, column after column; and polygons.

The compressed form is a string of 6-bit characters, 5 bits of number each, in which every run from
the fourth on is the difference to the one two before it (pycocotools, ``maskApi.c``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

#: Characters of one number: 13 x 5 bits are more than any image needs.
_MOST_CHARACTERS = 13


def runs_of_pixels(y: np.ndarray, x: np.ndarray, shape: tuple[int, int]) -> list[int]:
    """Return the uncompressed run lengths of the pixels at rows ``y`` and columns ``x``."""
    height, width = shape
    places = np.sort(x.astype(np.int64) * height + y)
    if not places.size:
        return [height * width]
    breaks = np.flatnonzero(np.diff(places) > 1)
    starts = places[np.concatenate([[0], breaks + 1])]
    ends = places[np.concatenate([breaks, [places.size - 1]])] + 1
    borders = np.concatenate([[0], np.stack([starts, ends], 1).ravel(), [height * width]])
    runs = np.diff(borders).tolist()
    return runs if runs[-1] else runs[:-1]


def read_runs(counts: Any, shape: tuple[int, int]) -> list[tuple[int, int]]:
    """Return where the ones of a mask begin and end, as places ``x * height + y``.

    Parameters
    ----------
    counts
        Run lengths: a list, or the compressed string.

    Raises
    ------
    ValueError
        If they are no run lengths of a mask of this shape (height, width).
    """
    lengths = _uncompressed(counts) if isinstance(counts, str) else counts
    if not isinstance(lengths, list):
        raise ValueError("the run lengths are no list")
    total, start, ones = shape[0] * shape[1], 0, []
    for number, length in enumerate(lengths):
        if isinstance(length, bool) or not isinstance(length, int) or not 0 <= length <= total:
            raise ValueError("a run length is no whole number from 0 to the number of pixels")
        if number % 2 and length:
            ones.append((start, start + length))
        start += length
        if start > total:
            break
    if start != total:
        raise ValueError(f"the runs cover {start:,} pixels, the image has {total:,}")
    return ones


def _uncompressed(text: str) -> list[int]:
    lengths: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift >= 5 * _MOST_CHARACTERS:
            raise ValueError("the compressed run lengths are damaged")
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        if len(lengths) > 2:
            value += lengths[-2]
        lengths.append(value)
        value = shift = 0
    if shift:
        raise ValueError("the compressed run lengths are cut short")
    return lengths


def polygon_places(points: Sequence[float], shape: tuple[int, int]) -> np.ndarray:
    """Return the places ``x * height + y`` of the pixels whose middle is in a polygon.

    Parameters
    ----------
    points
        x, y, x, y, ... where pixel 0 reaches from 0 to 1, as in COCO.
    """
    from skimage.draw import polygon

    corners = np.asarray(points, np.float64).reshape(-1, 2) - 0.5
    rows, columns = polygon(corners[:, 1], corners[:, 0], shape)
    return columns.astype(np.int64) * shape[0] + rows


class LabelCanvas:
    """A label image ``(Y, X)`` into which masks are drawn; where two overlap, the first one stays."""

    def __init__(self, shape: tuple[int, int]) -> None:
        # Column after column, as the runs are.
        self._columns = np.zeros((shape[1], shape[0]), np.int32)
        self.overlapping = 0

    @property
    def labels(self) -> np.ndarray:
        """The label image."""
        return self._columns.T

    def draw_runs(self, runs: Sequence[tuple[int, int]], label: int) -> int:
        """Draw runs of places; return how many pixels they got."""
        flat, drawn = self._columns.reshape(-1), 0
        for start, end in runs:
            part = flat[start:end]
            free = part == 0
            part[free] = label
            drawn += int(free.sum())
            self.overlapping += int((~free).sum())
        return drawn

    def draw_places(self, places: np.ndarray, label: int) -> int:
        """Draw single places; return how many pixels they got."""
        flat = self._columns.reshape(-1)
        places = np.unique(places)
        free = places[flat[places] == 0]
        flat[free] = label
        self.overlapping += len(places) - len(free)
        return len(free)
