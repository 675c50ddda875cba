"""The part of a large image that is painted on: a window that follows the view, and strokes cut out of it."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

#: Sides in pixels up to which an image is painted on as a whole. napari needs about 1 ms a dab at this size; on
#: an array of 20,000 x 20,000 it needs half a second (PLATFORM.md).
LARGEST_SIDE = 4096
#: Side of the window into a larger image: more than most screens show at full size. Each copy of it (the layer's,
#: ours, napari's and the graphics card's) takes 6.6 MB.
WINDOW_SIDE = 2560


@dataclass(frozen=True)
class Region:
    """A rectangle of an image.

    Parameters
    ----------
    origin
        First row and column.
    shape
        Height and width in pixels.
    """

    origin: tuple[int, int]
    shape: tuple[int, int]

    def is_left_by(self, centre: tuple[float, float], image_shape: tuple[int, int]) -> bool:
        """Return whether the view, looking at ``centre`` (row, column), is better served by another region."""
        wanted = region_around(centre, image_shape)
        moves = [abs(a - b) for a, b in zip(wanted.origin, self.origin, strict=True)]
        return max(moves) > WINDOW_SIDE // 4

    def window(self, block_origin: tuple[int, int], block_shape: tuple[int, int]) -> tuple:
        """Return where a block of the image overlaps the region: slices of the region and of the block."""
        here, there = [], []
        for start, size, first, length in zip(
            self.origin, self.shape, block_origin, block_shape, strict=True
        ):
            low, high = max(start, first), max(start, first, min(start + size, first + length))
            here.append(slice(low - start, high - start))
            there.append(slice(low - first, high - first))
        return tuple(here), tuple(there)


def region_around(centre: tuple[float, float], image_shape: tuple[int, int]) -> Region:
    """Return the region around (row, column) that lies inside the image: all of it where it is small."""
    shape = tuple(size if size <= LARGEST_SIDE else WINDOW_SIDE for size in image_shape)
    origin = tuple(
        int(np.clip(round(c) - side // 2, 0, size - side))
        for c, side, size in zip(centre, shape, image_shape, strict=True)
    )
    return Region(origin, shape)


@dataclass(frozen=True)
class Stroke:
    """What a stroke changed, small enough to be remembered.

    Parameters
    ----------
    plane
        Indices along the axes before Y and X.
    origin
        First row and column, in pixels of the image.
    shape
        Height and width in pixels.
    before, after
        Class values, uint8, row by row, as zlib streams.
    """

    plane: tuple[int, ...]
    origin: tuple[int, int]
    shape: tuple[int, int]
    before: bytes
    after: bytes

    def block(self, is_after: bool) -> np.ndarray:
        """Return the class values ``(Y, X)`` after or before the stroke."""
        stream = self.after if is_after else self.before
        return np.frombuffer(zlib.decompress(stream), np.uint8).reshape(self.shape)


def find_stroke(
    before: np.ndarray, after: np.ndarray, plane: tuple[int, ...], origin: tuple[int, int]
) -> Stroke | None:
    """Compare a region ``(Y, X)`` before and after; None where nothing changed."""
    differs = before != after
    rows = np.flatnonzero(differs.any(axis=1))
    if not rows.size:
        return None
    down = slice(int(rows[0]), int(rows[-1]) + 1)
    columns = np.flatnonzero(differs[down].any(axis=0))
    box = (down, slice(int(columns[0]), int(columns[-1]) + 1))
    streams = (zlib.compress(np.ascontiguousarray(a[box]), level=1) for a in (before, after))
    return Stroke(
        plane,
        (origin[0] + box[0].start, origin[1] + box[1].start),
        after[box].shape,
        *streams,
    )
