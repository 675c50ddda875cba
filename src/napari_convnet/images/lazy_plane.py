"""A plane that is read block by block, where it lies; a block that cannot be read is named."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from napari_convnet.errors import UserError

#: Sides of the blocks that are read at once, in pixels: chunks, or about as much where those are small or huge.
_BLOCK, _LARGEST_BLOCK = 512, 4096
#: Blocks that are kept, because neighbouring tiles read them again.
_BYTES_KEPT = 64 * 2**20


class UnreadableError(UserError):
    """Pixels that their file or server does not give (CN-604)."""


def is_lazy(array: Any) -> bool:
    """Return whether the pixels of an array are still somewhere else than in the memory."""
    return not isinstance(array, np.ndarray) or isinstance(array, np.memmap)


class LazyPlane:
    """One plane of an image, of which only what is asked for is read, some blocks of chunks at a time.

    Parameters
    ----------
    array
        Anything with ``shape``, ``dtype`` and slicing, ``(..., Y, X)`` or ``(..., Y, X, C)``: dask, zarr, numpy.
    plane
        Indices along the axes before Y and X.
    name
        What to call it in messages.
    """

    def __init__(self, array: Any, plane: tuple[int, ...] = (), name: str = "image") -> None:
        self.array, self.plane, self.name = array, tuple(plane), name
        self.shape = tuple(int(n) for n in array.shape[len(self.plane) :])
        self.dtype = np.dtype(array.dtype)
        chunks = getattr(array, "chunks", None) or (1,) * len(array.shape)
        first = len(self.plane)
        self._grid = [_edges(chunks[first + axis], self.shape[axis]) for axis in (0, 1)]
        self._kept: dict[tuple[int, int], np.ndarray] = {}

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Read all of it."""
        pixels = self.read(slice(0, self.shape[0]), slice(0, self.shape[1]))
        return pixels if dtype is None else pixels.astype(dtype)

    def read(self, rows: slice, columns: slice) -> np.ndarray:
        """Read a part.

        Raises
        ------
        UnreadableError
            Naming the block that cannot be read.
        """
        spans = (rows, columns)
        found = np.empty((*(s.stop - s.start for s in spans), *self.shape[2:]), self.dtype)
        for place in itertools.product(*map(_touched, self._grid, spans)):
            block = [edges[k] for edges, k in zip(self._grid, place, strict=True)]
            shared = [
                slice(max(b.start, s.start), min(b.stop, s.stop))
                for b, s in zip(block, spans, strict=True)
            ]
            into = tuple(_moved(part, -s.start) for part, s in zip(shared, spans, strict=True))
            part = tuple(_moved(part, -b.start) for part, b in zip(shared, block, strict=True))
            found[into] = self._block(place, *block)[part]
        return found

    def _block(self, place: tuple[int, int], rows: slice, columns: slice) -> np.ndarray:
        if place not in self._kept:
            pixels = self._read(rows, columns)
            room = _BYTES_KEPT - pixels.nbytes
            while self._kept and sum(kept.nbytes for kept in self._kept.values()) > room:
                del self._kept[next(iter(self._kept))]
            self._kept[place] = pixels
        return self._kept[place]

    def _read(self, rows: slice, columns: slice) -> np.ndarray:
        try:
            pixels = np.array(self.array[(*self.plane, rows, columns)])
            if self._stores and (pixels == pixels.flat[0]).all():
                for store in self._stores:
                    _check_there(store)
        except MemoryError:
            raise
        except Exception as error:  # whatever a reader of lazy pixels may raise
            reason = " ".join(str(error).split())[:80] or type(error).__name__
            raise UnreadableError(
                "CN-604",
                f"'{self.name[:40]}' cannot be read at rows {rows.start:,} to {rows.stop - 1:,}, columns "
                f"{columns.start:,} to {columns.stop - 1:,} ({reason}). Your annotations are safe. Check that its "
                "file or server can be reached, then try again.",
                str(error),
            ) from error
        return pixels

    @cached_property
    def _stores(self) -> tuple[Any, ...]:
        """The zarr arrays behind this one: what is gone from their store reads as an empty chunk."""
        layers = getattr(getattr(self.array, "dask", None), "layers", {})
        sources = [
            getattr(node, "value", node)
            for name, layer in layers.items()
            if str(name).startswith("original-")  # what dask calls an array that chunks are cut of
            for node in layer.values()
        ]
        return tuple(
            found for found in (self.array, *sources)
            if hasattr(found, "store") and hasattr(found, "path")
        )  # fmt: skip


def _edges(chunks: int | Sequence[int], size: int) -> list[slice]:
    """Return blocks of whole chunks along an axis; small chunks together, very large ones in parts."""
    starts = {0}
    ends = np.cumsum(chunks) if isinstance(chunks, Sequence) else range(chunks, size, chunks)
    for end in (*(int(end) for end in ends if end < size), size):
        last = max(starts)
        if end - last > _LARGEST_BLOCK:
            starts.update(range(last, end, _BLOCK))
        if end < size and end - max(starts) >= _BLOCK:
            starts.add(end)
    return [slice(start, end) for start, end in itertools.pairwise([*sorted(starts), size])]


def _touched(edges: list[slice], span: slice) -> list[int]:
    return [k for k, s in enumerate(edges) if s.start < span.stop and s.stop > span.start]


def _moved(span: slice, by: int) -> slice:
    return slice(span.start + by, span.stop + by)


def _check_there(array: Any) -> None:
    """Raise what zarr raises for an array that is not in its store (any more)."""
    import zarr

    zarr.open_array(store=array.store, path=array.path, mode="r")
