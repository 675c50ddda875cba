"""From an array whose axes are named by letters to images whose last axes are Y and X, without reading pixels."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

#: Channels, colours, height and width; any other letter is an axis before Y and X.
CHANNELS, COLOURS, HEIGHT, WIDTH = "c", "r", "y", "x"


def axis_order(letters: str) -> list[int]:
    """Return the axes in the order that images have them: others as they come, Y, X, colours; no channels."""
    others = [k for k, letter in enumerate(letters) if letter not in "cryx"]
    return [*others, *(letters.index(each) for each in "yxr" if each in letters)]


def arranged(array: Any, letters: str) -> list[Any]:
    """Return the images that an array holds, as lazy as it is.

    Parameters
    ----------
    array
        numpy, dask, zarr or the like.
    letters
        One for each axis: ``"y"`` and ``"x"`` once, ``"c"`` (channels) and ``"r"`` (colours) at most once, others
        for what is before Y and X.

    Returns
    -------
    list
        One array, or one for each channel, of shape ``(..., Y, X)`` or ``(..., Y, X, colours)``.
    """
    order = axis_order(letters)
    if CHANNELS not in letters:
        return [_transposed(array, order)]
    axis = letters.index(CHANNELS)
    order = [k - (k > axis) for k in order]
    return [_transposed(channel(array, axis, k), order) for k in range(array.shape[axis])]


def channel(array: Any, axis: int, number: int) -> Any:
    """Return one channel of a stack, as lazy as the stack is."""
    return _sliceable(array)[(*(slice(None),) * axis, number)]


def possible_images(array: Any, shape: tuple[int, ...]) -> Iterator[list[Any]]:
    """Yield the images of a shape that an array may hold, the likely meanings of its axes first."""
    if tuple(array.shape) == shape:
        yield [array]
    for letters in sorted(_meanings(array.ndim, len(shape)), key=_is_unusual):
        order = axis_order(letters)
        if tuple(array.shape[k] for k in order) == shape:
            yield arranged(array, letters)


def _meanings(n_axes: int, n_wanted: int) -> list[str]:
    """Return every way to name axes so that images of ``n_wanted`` axes remain."""
    channel_axes = {n_wanted: [None], n_wanted + 1: range(n_axes)}.get(n_axes, [])
    found = []
    for axis in channel_axes:
        for y, x in itertools.permutations([k for k in range(n_axes) if k != axis], 2):
            names = {axis: CHANNELS, y: HEIGHT, x: WIDTH}
            found.append("".join(names.get(k, "z") for k in range(n_axes)))
    return [
        letters for letters in found if "c" in letters or axis_order(letters) != [*range(n_axes)]
    ]


def _is_unusual(letters: str) -> bool:
    return not letters.replace(CHANNELS, "").endswith(HEIGHT + WIDTH)


def _transposed(array: Any, order: list[int]) -> Any:
    return array if order == sorted(order) else _sliceable(array).transpose(order)


def _sliceable(array: Any) -> Any:
    """Return an array of which a part is not read before it is used: those of zarr and HDF5 are."""
    if isinstance(array, np.ndarray) or hasattr(array, "dask"):
        return array
    import dask.array as da

    return da.from_array(array)
