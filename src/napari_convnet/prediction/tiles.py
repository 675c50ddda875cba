"""Tiles: an image cut so that the pieces' results, put together, are the whole image's result."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn

Window = tuple[slice, slice]

#: Tiles are as large as lets their margins be this share, at most, of all pixels that a network is shown.
_LARGEST_HALO = 0.25
#: Sides of tiles, in pixels, below and above which no network's tiles are.
_SMALLEST_TILE, _LARGEST_TILE = 256, 2048


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


def cut_tiles(
    shape: tuple[int, int], tile_size: int, network: nn.Module, window: Window | None = None
) -> Iterator[Tile]:
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
    window
        What the tiles write, itself written by a tile; by default the whole image.
    """
    multiple, margin = int(network.multiple), margin_of(network)
    step = max(multiple, tile_size // multiple * multiple)
    rows, columns = window or (slice(0, shape[0]), slice(0, shape[1]))
    for top in range(rows.start, rows.stop, step):
        across = span_with_margin(top, min(rows.stop, top + step), margin, shape[0])
        for left in range(columns.start, columns.stop, step):
            along = span_with_margin(left, min(columns.stop, left + step), margin, shape[1])
            yield Tile(*zip(across, along, strict=True))


def margin_of(network: nn.Module) -> int:
    """Return how many pixels around a tile a network is shown: what it can see, in its coarsest pixels."""
    multiple = int(network.multiple)
    return -(-int(network.receptive_radius) // multiple) * multiple


def suggest_tile_size(network: nn.Module) -> int:
    """Return the side in pixels from which on at most a quarter of what it is shown is margin.

    It is a multiple of the network's coarsest pixel and, where that is a power of two, of 128.
    """
    share = (1 - _LARGEST_HALO) ** 0.5
    needed = 2 * margin_of(network) * share / (1 - share)
    step = max(128, int(network.multiple))
    sides = -(-max(needed, _SMALLEST_TILE) // step) * step
    return int(min(sides, _LARGEST_TILE))


def nearest_first(
    tiles: list[Tile],
    centre: tuple[float, float],
    tile_size: int,
    network: nn.Module,
    shape: tuple[int, int],
) -> list[Tile]:
    """Return tiles by their distance to a place; the nearest one in quarters, and of these the nearest one, too.

    So something is seen early, which the larger margins of small tiles are worth.

    Parameters
    ----------
    centre
        Row and column in pixels.
    """
    row, column = centre

    def distance(tile: Tile) -> float:
        rows, columns = tile.write
        down = max(rows.start - row, row - rows.stop, 0)
        along = max(columns.start - column, column - columns.stop, 0)
        middle = abs(rows.start + rows.stop - 2 * row) + abs(
            columns.start + columns.stop - 2 * column
        )
        return (
            down * down + along * along + middle / (1 + sum(shape))
        )  # of several around it, the one in the middle

    first, *others = sorted(tiles, key=distance)
    if not others:
        return [first]
    for parts in (2, 4):
        quarters = cut_tiles(shape, tile_size // parts, network, first.write)
        first, *rest = sorted(quarters, key=distance)
        others = [*rest, *others]
    return [first, *others]


def span_with_margin(start: int, end: int, margin: int, extent: int) -> tuple[slice, slice, slice]:
    """Return, along one axis, what is read, what is written, and that counted inside what is read."""
    low, high = max(0, start - margin), min(extent, end + margin)
    return slice(low, high), slice(start, end), slice(start - low, end - low)
