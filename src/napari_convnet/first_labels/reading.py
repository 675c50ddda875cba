"""Pixels of an image of any type and size, read as finite float32, and the sample that represents it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from napari_convnet.errors import UserError
from napari_convnet.first_labels.settings import Region

_SAMPLE_SIDE, _SAMPLE_BLOCKS, _SAMPLE_PLANES = 400, 3, 5
#: Nothing that a camera measures; its square would not fit float32.
_LARGEST_VALUE = 1e15


def sample_image(array: Any, region: Region, is_colour: bool, name: str) -> list[np.ndarray]:
    """Read what represents an image, at most about 1.4 megapixels of each of 5 planes.

    Parameters
    ----------
    array
        Anything with ``shape`` and slicing, ``(..., Y, X)`` or ``(..., Y, X, C)`` for colour.
    region
        The plane; planes of a volume are taken at even distances.
    name
        What to call the image in messages.

    Returns
    -------
    list of numpy.ndarray
        ``(Y, X)`` or ``(Y, X, 3)`` float32, all finite.

    Raises
    ------
    UserError
        CN-601 for a dtype that is no real number, CN-603 without a finite pixel, CN-614 when all
        pixels have one value.
    """
    height, width = array.shape[-3:-1] if is_colour else array.shape[-2:]
    blocks = [
        read_part(array, (*plane, rows, columns), is_colour, name)
        for plane in _sample_planes(array, region)
        for rows in _sample_slices(height)
        for columns in _sample_slices(width)
    ]
    finite = [block[np.isfinite(block)] for block in blocks]
    values = np.concatenate(finite)
    if not values.size:
        raise UserError(
            "CN-603", f"'{name}' has no valid pixel (all are NaN). Choose another image."
        )
    if values.min() == values.max():
        raise UserError(
            "CN-614",
            f"All pixels of '{name}' have the value {values[0]:g}, so no cells can be told apart. Nothing was "
            "changed. Choose another image or plane.",
        )
    return [without_gaps(block, float(np.median(values))) for block in blocks]


def read_block(array: Any, place: Region, is_colour: bool, name: str) -> np.ndarray:
    """Read a part of an image as finite float32, as `find_cells` takes it.

    Raises
    ------
    UserError
        CN-601 for a dtype that is no real number, CN-603 without a finite pixel.
    """
    block = read_part(array, place, is_colour, name)
    finite = block[np.isfinite(block)]
    if not finite.size:
        raise UserError("CN-603", f"'{name}' has no valid pixel here (all are NaN).")
    return without_gaps(block, float(np.median(finite)))


def read_part(array: Any, place: Region, is_colour: bool, name: str) -> np.ndarray:
    """Read a part as float32, at most 3 colours; what is no brightness becomes NaN (else CN-601)."""
    if np.dtype(array.dtype).kind not in "buif":
        raise UserError(
            "CN-601",
            f"'{name}' has pixels of type {array.dtype}; only real numbers can be used. Nothing was changed.",
        )
    block = np.asarray(array[place])
    block = block[..., :3] if is_colour else block
    with np.errstate(over="ignore"):
        block = block.astype(np.float32)
    if block.size and not np.abs(block).max() < _LARGEST_VALUE:  # NaN, too
        block[~(np.abs(block) < _LARGEST_VALUE)] = np.nan
    return block


def without_gaps(block: np.ndarray, value: float) -> np.ndarray:
    """Return the pixels with a value in place of NaN and infinity."""
    return np.where(np.isfinite(block), block, np.float32(value)).astype(np.float32)


def _sample_planes(array: Any, region: Region) -> Iterator[Region]:
    if region and isinstance(region[-1], slice):
        n_planes = array.shape[len(region) - 1]
        for z in sorted({round(z) for z in np.linspace(0, n_planes - 1, _SAMPLE_PLANES)}):
            yield (*region[:-1], z)
    else:
        yield region


def _sample_slices(size: int) -> list[slice]:
    if size <= _SAMPLE_BLOCKS * _SAMPLE_SIDE:
        return [slice(0, size)]
    starts = np.linspace(0, size - _SAMPLE_SIDE, _SAMPLE_BLOCKS).astype(int)
    return [slice(int(start), int(start) + _SAMPLE_SIDE) for start in starts]
