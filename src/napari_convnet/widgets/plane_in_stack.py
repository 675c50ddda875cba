"""A plane that lies in a stack: an array of few axes that has further ones of length 1, without being read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np


class PlaneInStack:
    """An array ``(Y, X)``, such as one of zarr, seen as ``(1, ..., Y, X)``.

    Parameters
    ----------
    array
        Anything with ``shape``, ``dtype`` and slicing; what is written to it is seen.
    n_axes
        How many axes come before.
    """

    def __init__(self, array: Any, n_axes: int) -> None:
        self.array, self._n_axes = array, n_axes
        self.shape = (1,) * n_axes + tuple(array.shape)
        self.dtype = np.dtype(array.dtype)
        self.ndim, self.size = len(self.shape), math.prod(self.shape)

    def __getitem__(self, index: Any) -> np.ndarray:
        index = index if isinstance(index, tuple) else (index,)
        pixels = np.asarray(self.array[index[self._n_axes :]])
        return pixels[(np.newaxis,) * self._n_axes][index[: self._n_axes]]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Read all of it."""
        return np.asarray(self[()], dtype)


def in_stack(levels: Sequence[Any], n_axes: int) -> list[Any]:
    """Return arrays with further axes before theirs."""
    return [PlaneInStack(level, n_axes) for level in levels] if n_axes else list(levels)
