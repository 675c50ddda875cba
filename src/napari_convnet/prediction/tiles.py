"""Tiles: an image cut so that the pieces' results, put together, are the whole image's result."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn

Window = tuple[slice, slice]


@dataclass(frozen=True)
class Tile:
    """One piece of an image.

    Parameters
    ----------
    read
        Rows and columns that the network is shown.
    write
        Rows and columns that it decides on.
    within
        What is written, counted inside what is read.
    """

    read: Window
    write: Window
    within: Window


def cut_tiles(shape: tuple[int, int], tile_size: int, network: nn.Module) -> Iterator[Tile]:
    """Yield the tiles of an image, row by row.

    Tiles start at multiples of the network's coarsest pixel, or its poolings would fall differently
    than in the whole image, and are read with a margin of what the network can see.

    Parameters
    ----------
    shape
        ``(Y, X)`` of the image.
    tile_size
        Side in pixels; rounded down to the network's multiple.
    network
        Tells its ``multiple`` and ``receptive_radius`` in pixels.
    """
    multiple = int(network.multiple)
    margin = -(-int(network.receptive_radius) // multiple) * multiple
    step = max(multiple, tile_size // multiple * multiple)
    for top in range(0, shape[0], step):
        rows = _span(top, step, margin, shape[0])
        for left in range(0, shape[1], step):
            columns = _span(left, step, margin, shape[1])
            yield Tile(*zip(rows, columns, strict=True))


def _span(start: int, step: int, margin: int, extent: int) -> tuple[slice, slice, slice]:
    end = min(extent, start + step)
    low, high = max(0, start - margin), min(extent, end + margin)
    return slice(low, high), slice(start, end), slice(start - low, end - low)
