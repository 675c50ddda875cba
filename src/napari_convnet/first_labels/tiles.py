"""Images of any size: cells found tile by tile, each counted in one tile only."""

from __future__ import annotations

import math
import threading
from collections.abc import Generator, Sequence
from typing import Any

import numpy as np
from scipy import ndimage

from napari_convnet.first_labels.finding import find_cells
from napari_convnet.first_labels.reading import read_part, without_gaps
from napari_convnet.first_labels.settings import CellSettings, Level, Region
from napari_convnet.progress import Progress

_TILE_VOXELS = 6_000_000
#: What a tile sees of its neighbours, in cell diameters.
_MARGIN = 3.0

_Tile = tuple[tuple[slice, slice], tuple[slice, slice]]


def label_image(
    array: Any,
    regions: Sequence[Region],
    settings: CellSettings,
    level: Level,
    name: str,
    stop: threading.Event,
) -> Generator[Progress, None, np.ndarray | None]:
    """Label the cells of an image of any size, tile by tile; other planes stay 0.

    Parameters
    ----------
    array
        As for `sample_image`.
    regions
        The planes, or volumes, to label; labels go on from one to the next.
    name
        What to call the image in messages.
    stop
        Ends the work, with None as the result.

    Returns
    -------
    numpy.ndarray
        Shape of ``array`` without colour, int32.
    """
    shape = tuple(array.shape[:-1] if settings.weights else array.shape)
    labels = np.zeros(shape, np.int32)
    jobs = [(region, tile) for region in regions for tile in _tiles(shape, region, settings)]
    n_cells = 0
    for done, (region, (padded, core)) in enumerate(jobs):
        if stop.is_set():
            return None
        yield Progress(done=done, total=len(jobs), text=f"finding cells: {n_cells:,} so far")
        block = read_part(array, (*region, *padded), bool(settings.weights), name)
        finite = block[np.isfinite(block)]
        if not finite.size:
            continue
        found = find_cells(without_gaps(block, float(np.median(finite))), settings, level)
        n_cells = _paste(found, labels[(*region, *padded)], core, n_cells)
    return None if stop.is_set() else labels


def _tiles(shape: tuple[int, ...], region: Region, settings: CellSettings) -> list[_Tile]:
    """Return where to read, and which part of that counts, in coordinates of what was read."""
    is_volume = bool(region) and isinstance(region[-1], slice)
    n_planes = shape[len(region) - 1] if is_volume else 1
    side = max(math.isqrt(_TILE_VOXELS // max(1, n_planes)), int(6 * settings.diameter))
    margin = math.ceil(_MARGIN * settings.diameter)
    axes = []
    for size in shape[-2:]:
        parts = []
        for start in range(0, size, side):
            low, high = max(0, start - margin), min(size, start + side + margin)
            parts.append((slice(low, high), slice(start - low, min(size, start + side) - low)))
        axes.append(parts)
    return [((rows, columns), (y, x)) for rows, y in axes[0] for columns, x in axes[1]]


def _paste(found: np.ndarray, into: np.ndarray, core: tuple[slice, slice], n_cells: int) -> int:
    """Copy the cells whose box has its centre in the tile's core; return how many there are now."""
    if all(
        part.start == 0 and part.stop == n for part, n in zip(core, found.shape[-2:], strict=True)
    ):
        into[...] = np.where(found > 0, found + n_cells, 0)
        return n_cells + int(found.max(initial=0))
    for label, box in enumerate(ndimage.find_objects(found), start=1):
        if box is None:
            continue
        centre = [(part.start + part.stop - 1) / 2 for part in box[-2:]]
        if not all(part.start <= c < part.stop for c, part in zip(centre, core, strict=True)):
            continue
        is_cell = found[box] == label
        taken = into[box][is_cell] > 0
        if taken.mean() > 0.3:  # the neighbouring tile saw it, too
            continue
        n_cells += 1
        into[box][is_cell & (into[box] == 0)] = n_cells
    return n_cells
