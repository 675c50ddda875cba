"""Blocks: a stack cut so that the pieces' results, put together, are the whole stack's result."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import nn

from napari_convnet.prediction.tiles import span_with_margin

Window = tuple[slice, slice, slice]


@dataclass(frozen=True)
class Block:
    """A piece of a stack: what the network is shown, what it decides on, and that counted inside what it is shown."""

    read: Window
    write: Window
    within: Window


def cut_blocks(
    shape: tuple[int, int, int], sides: Sequence[int], network: nn.Module
) -> Iterator[Block]:
    """Yield the blocks of a stack, slice by slice and row by row.

    Blocks start at multiples of the network's coarsest voxel and are read with a margin of what it can see, so that
    what they write is what the whole stack would give.

    Parameters
    ----------
    shape
        ``(Z, Y, X)``.
    sides
        Of a block in pixels, rounded down to the network's multiples.
    network
        Tells its ``multiples`` and ``receptive_radii`` along Z, Y and X.
    """
    along_axes = []
    for extent, side, multiple, radius in zip(
        shape, sides, network.multiples, network.receptive_radii, strict=True
    ):
        margin = -(-radius // multiple) * multiple
        step = max(multiple, side // multiple * multiple)
        along_axes.append(
            [
                span_with_margin(s, min(s + step, extent), margin, extent)
                for s in range(0, extent, step)
            ]
        )
    for parts in itertools.product(*along_axes):
        yield Block(*zip(*parts, strict=True))
