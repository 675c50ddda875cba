"""Objects of a class map that is read block by block: areas that meet at a border of blocks are one.

The areas of each block are labelled on their own; those that touch across a border are the edges of a graph, whose
connected components are the objects. Only one row of blocks' borders is in memory at a time.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Generator, Iterable
from typing import Any

import numpy as np
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from napari_convnet.prediction.tiles import Window
from napari_convnet.progress import Progress
from napari_convnet.settings import ObjectSettings


def label_blocks(
    classes: Any,
    block: int,
    background: int,
    settings: ObjectSettings,
    write: Callable[[Window, np.ndarray], None],
    *,
    stop: threading.Event | None = None,
) -> Generator[Progress, None, np.ndarray | None]:
    """Label the connected areas of each class, exactly as if the whole map were labelled at once.

    Parameters
    ----------
    classes
        ``(Y, X)`` uint8, anything that is read by slicing.
    block
        Side in pixels of what is worked on at once.
    background
        Class value that forms no objects; 0 never does.
    settings
        ``smallest_area`` and ``drop_border`` are used; touching objects are not cut, and holes are not filled.
    write
        Takes the rows and columns of a block and its objects, int32, numbered as by `separate_objects`.
    stop
        Ends the work, with None as the result.

    Returns
    -------
    numpy.ndarray
        Class value of each object by its label, ``(n + 1,)`` uint8, of which the first is 0.
    """
    windows = list(_windows(classes.shape, block))
    areas, steps = _Areas(classes.shape), _Steps(2 * len(windows), stop)
    for window in windows:
        if (yield from steps.take()):
            return None
        areas.add(window, *_label(classes[window], background))
    number, values = areas.number_objects(settings)
    for window, offset in zip(windows, areas.offsets, strict=True):
        if (yield from steps.take()):
            return None
        labels, found = _label(classes[window], background)
        if len(found):
            write(
                window,
                np.concatenate([[0], number[offset : offset + len(found)]]).astype(np.int32)[
                    labels
                ],
            )
    return values


#: Of the areas of a block, ``(n,)`` each: class value uint8, pixels int32, first pixel int64, at the border bool.
#: There may be tens of millions, where a network finds specks: each counts.
_Facts = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


class _Areas:
    """What is known of the areas of all blocks so far, and which of them touch."""

    def __init__(self, shape: tuple[int, int]) -> None:
        self._shape = shape
        self.offsets: list[int] = []
        self._n = 0
        self._facts: list[_Facts] = []
        self._edges: list[np.ndarray] = []
        self._above = np.full(
            shape[1], -1
        )  # the area of each pixel of the last row above, -1 for none
        self._left = np.empty(0, int)
        self._values_above, self._values_left = np.zeros(shape[1], np.uint8), np.empty(0, np.uint8)

    def add(self, window: Window, labels: np.ndarray, values: np.ndarray) -> None:
        """Take the areas of the next block, row by row of blocks."""
        columns = window[1]
        self._facts.append(self._measure(window, labels, values))
        here = np.where(labels > 0, labels + (self._n - 1), -1)
        of_class = np.concatenate([[0], values]).astype(np.uint8)[labels]
        self._meet(self._above[columns], self._values_above[columns], here[0], of_class[0])
        if columns.start > 0:
            self._meet(self._left, self._values_left, here[:, 0], of_class[:, 0])
        self._above[columns], self._values_above[columns] = here[-1], of_class[-1]
        self._left, self._values_left = here[:, -1].copy(), of_class[:, -1].copy()
        self.offsets.append(self._n)
        self._n += len(values)

    def _measure(self, window: Window, labels: np.ndarray, values: np.ndarray) -> _Facts:
        (rows, columns), (height, width) = window, self._shape
        n = len(values) + 1
        pixels = np.bincount(labels.ravel(), minlength=n).astype(np.int32)
        first, is_border = np.zeros(n, np.int64), np.zeros(n, bool)
        inside = np.flatnonzero(labels)[::-1]
        y, x = np.divmod(inside, labels.shape[1])
        # The last one written stays.
        first[labels.ravel()[inside]] = (y + rows.start) * width + x + columns.start
        ends = [
            labels[0] * (rows.start == 0), labels[-1] * (rows.stop == height),
            labels[:, 0] * (columns.start == 0), labels[:, -1] * (columns.stop == width),
        ]  # fmt: skip
        is_border[np.concatenate(ends)] = True
        return values, pixels[1:], first[1:], is_border[1:]

    def _meet(
        self, one: np.ndarray, value: np.ndarray, other: np.ndarray, other_value: np.ndarray
    ) -> None:
        touch = (one >= 0) & (other >= 0) & (value == other_value)
        if touch.any():
            self._edges.append(
                np.unique(np.stack([one[touch], other[touch]]), axis=1).astype(np.int32)
            )

    def number_objects(self, settings: ObjectSettings) -> tuple[np.ndarray, np.ndarray]:
        """Return the object of each area (0: left out), and the class value of each object from 0 on."""
        if not self._n:
            return np.zeros(0, np.int32), np.zeros(1, np.uint8)
        facts, self._facts = self._facts, []
        value, pixels, first, is_border = (np.concatenate(f) for f in zip(*facts, strict=True))
        del facts
        ends = np.concatenate([np.empty((2, 0), np.int32), *self._edges], axis=1)
        graph = coo_array((np.ones(ends.shape[1], bool), tuple(ends)), shape=(self._n, self._n))
        n_objects, object_of = connected_components(graph, directed=False)
        sizes = np.bincount(object_of, pixels, n_objects)
        firsts = np.full(n_objects, np.iinfo(np.int64).max)
        np.minimum.at(firsts, object_of, first)
        values = np.zeros(n_objects, np.uint8)
        values[object_of] = value
        is_kept = sizes >= settings.smallest_area
        if settings.drop_border:
            is_kept[object_of[is_border]] = False
        order = np.lexsort((firsts, values))
        order = order[is_kept[order]]
        number = np.zeros(n_objects, np.int32)
        number[order] = np.arange(1, len(order) + 1)
        return number[object_of], np.concatenate([[0], values[order]]).astype(np.uint8)


class _Steps:
    """Tells progress, and whether to stop."""

    def __init__(self, total: int, stop: threading.Event | None) -> None:
        self._total, self._stop, self._done = total, stop, 0

    def take(self) -> Generator[Progress, None, bool]:
        if self._stop is not None and self._stop.is_set():
            return True
        share = 100 * self._done // self._total
        yield Progress(done=self._done, total=self._total, text=f"numbering objects: {share} %")
        self._done += 1
        return False


def _label(classes: np.ndarray, background: int) -> tuple[np.ndarray, np.ndarray]:
    """Return areas 1..n of one class each, and their class values ``(n,)``."""
    labels, values = np.zeros(classes.shape, np.int64), [np.empty(0, np.uint8)]
    if not classes.any():  # not predicted
        return labels, values[0]
    n_areas = 0
    for value in np.unique(classes):
        if value in (0, background):
            continue
        mask = classes == value
        parts, n_parts = ndimage.label(mask)
        labels[mask] = parts[mask] + n_areas
        n_areas += n_parts
        values.append(np.full(n_parts, value, np.uint8))
    return labels, np.concatenate(values)


def _windows(shape: tuple[int, int], block: int) -> Iterable[Window]:
    spans = ([slice(start, min(start + block, n)) for start in range(0, n, block)] for n in shape)
    return itertools.product(*spans)
