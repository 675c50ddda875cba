"""What is measured of each object: class, area, place, and the brightness of every channel.

Columns have the names of the table of annotated cells, see `napari_convnet.exchange.object_table`.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Sequence
from dataclasses import dataclass

import numpy as np

from napari_convnet.images import CleanImage, LazyImage, UnreadableError
from napari_convnet.progress import Progress

#: Rows of the image that are looked at together, fewer in an image so wide that they had more pixels than this.
_ROWS, _PIXELS = 512, 2**22


@dataclass(frozen=True)
class PixelSize:
    """Height and width of a pixel in a unit; by default a pixel is the unit."""

    height: float = 1.0
    width: float = 1.0
    unit: str = "pixel"


def measure_objects(
    objects: np.ndarray,
    class_names: Sequence[str],
    image: CleanImage | LazyImage,
    channel_names: Sequence[str],
    pixel_size: PixelSize = PixelSize(),
    *,
    stop: threading.Event | None = None,
) -> Generator[Progress, None, dict[str, np.ndarray]]:
    """Measure objects, one row each.

    Parameters
    ----------
    objects
        ``(Y, X)`` int32 labels 1..n without gaps; an array on the disk (zarr) is read some rows at a time.
    class_names
        ``n`` names: the class of each object.
    image
        Of the same height and width, with pixels as they were measured, not normalised.
    channel_names
        One for each channel; the same name twice is told apart by a number.
    stop
        Ends the reading of the image; brightness that was not reached is NaN.

    Returns
    -------
    dict of numpy.ndarray
        ``label``, ``class``; ``area_pixels``, centroid ``y`` and ``x``; ``mean NAME`` of each channel over the
        object's valid pixels, NaN where the image cannot be read; first and last row and column (``y_min``,
        ``x_min``, ``y_max``, ``x_max``); the same in the pixel's unit with ``_physical``, where the box is given as
        its outer edges, with pixel 0's centre at 0; ``unit``, ``area_unit``.
    """
    n_objects = len(class_names)
    added = yield from _add_up(objects, n_objects, image, len(channel_names), stop)
    (area, rows, columns), boxes, sums, counts = added
    with np.errstate(invalid="ignore", divide="ignore"):
        place = (rows / area, columns / area)
        means = sums / counts
    table = {
        "label": np.arange(1, n_objects + 1), "class": np.array(class_names, object),
        "area_pixels": area[1:].astype(np.int64), "y": place[0][1:], "x": place[1][1:],
    }  # fmt: skip
    for name, mean in zip(different_names(channel_names), means, strict=True):
        table[f"mean {name}"] = mean[1:]
    table |= boxes.columns()
    return table | _physical(table, pixel_size)


def _add_up(
    objects: np.ndarray,
    n_objects: int,
    image: CleanImage | LazyImage,
    n_channels: int,
    stop: threading.Event | None,
) -> Generator[Progress, None, tuple[np.ndarray, _Boxes, np.ndarray, np.ndarray]]:
    """Add up for each label: pixels, rows, columns ``(3, n + 1)``; boxes; brightness and pixels ``(C, n + 1)``."""
    places = np.zeros((3, n_objects + 1))
    sums, counts = np.zeros((2, n_channels, n_objects + 1))
    boxes = _Boxes(n_objects)
    n_rows = max(1, min(_ROWS, _PIXELS // objects.shape[1]))
    n_parts = -(-objects.shape[0] // n_rows)
    for part in range(n_parts):
        if n_parts > 2 and not (stop is not None and stop.is_set()):
            yield Progress(done=part, total=n_parts, text="measuring objects")
        top = part * n_rows
        labels = np.asarray(objects[top : top + n_rows])
        y, x = np.nonzero(labels)
        if not len(y):
            continue
        found = labels[y, x]
        boxes.add(found, y + top, x)
        for total, weights in zip(places, (None, y + top, x), strict=True):
            total += np.bincount(found, weights, n_objects + 1)
        if stop is not None and stop.is_set():
            sums[:, np.unique(found)] = np.nan
        else:
            _add_brightness(image, slice(top, top + len(labels)), (y, x), found, sums, counts)
    return places, boxes, sums, counts


class _Boxes:
    """First and last row and column of each object, as far as it was seen."""

    def __init__(self, n_objects: int) -> None:
        self._least = np.full((2, n_objects + 1), np.iinfo(np.int64).max)
        self._most = np.full((2, n_objects + 1), -1)

    def add(self, labels: np.ndarray, *places: np.ndarray) -> None:
        """Take the rows and the columns of pixels of objects."""
        for least, most, place in zip(self._least, self._most, places, strict=True):
            np.minimum.at(least, labels, place)
            np.maximum.at(most, labels, place)

    def columns(self) -> dict[str, np.ndarray]:
        """Return them as columns of a table, without label 0."""
        ends = (*self._least[:, 1:], *self._most[:, 1:])
        return dict(zip(("y_min", "x_min", "y_max", "x_max"), ends, strict=True))


def _add_brightness(
    image: CleanImage | LazyImage,
    rows: slice,
    place: tuple[np.ndarray, np.ndarray],
    labels: np.ndarray,
    sums: np.ndarray,
    counts: np.ndarray,
) -> None:
    """Add up the valid pixels of objects at ``place``, counted from the first of some rows on."""
    try:
        part = image.read(rows, slice(0, image.shape[1]))
    except UnreadableError:
        sums[:, np.unique(labels)] = np.nan
        return
    if part.invalid is not None:
        is_valid = ~part.invalid[place]
        place, labels = tuple(axis[is_valid] for axis in place), labels[is_valid]
    counts += np.bincount(labels, minlength=counts.shape[1])
    for channel, total in zip(part.pixels, sums, strict=True):
        total += np.bincount(labels, channel[place], len(total))


def _physical(table: dict[str, np.ndarray], size: PixelSize) -> dict[str, np.ndarray]:
    n_objects = len(table["label"])
    return {
        "area_physical": table["area_pixels"] * size.height * size.width,
        "y_physical": table["y"] * size.height, "x_physical": table["x"] * size.width,
        "y_min_physical": (table["y_min"] - 0.5) * size.height,
        "x_min_physical": (table["x_min"] - 0.5) * size.width,
        "y_max_physical": (table["y_max"] + 0.5) * size.height,
        "x_max_physical": (table["x_max"] + 0.5) * size.width,
        "unit": np.full(n_objects, size.unit, object), "area_unit": np.full(n_objects, f"{size.unit}^2", object),
    }  # fmt: skip


def different_names(names: Sequence[str]) -> list[str]:
    """Return the names, those that come again with a number."""
    found: list[str] = []
    for name in names:
        number, new = 1, name
        while new in found:
            number += 1
            new = f"{name} {number}"
        found.append(new)
    return found
