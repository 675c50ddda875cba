"""What a prediction found: a table, what is laid over the image, and one line for the person."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from napari_convnet.images import ImageNote
from napari_convnet.settings import ObjectSettings

if TYPE_CHECKING:
    from napari_convnet.model_file import Model


@dataclass(frozen=True, eq=False)
class Prediction:
    """A model's answer for one plane.

    Parameters
    ----------
    class_map
        ``(Y, X)`` uint8 class values, of cells or of pixels; None for picked patches.
    objects
        ``(Y, X)`` int32 instance labels of a segmentation, else None.
    table
        One row an object: ``index`` (its label), ``class``, ``probability`` where there is one, position, area.
    notes
        What the person should know about the image.
    problem
        Why the image could not be read to its end; the result then ends there, too.
    is_whole
        Whether rows of the table are whole planes.
    places, shape
        ``(N, axes)`` places in pixels, one a row of the table (the middle of whole planes), and the shape of the
        image; None and empty for cells, patches and pixels.
    is_film
        Whether they are one thing's, one in each frame.
    n_planes
        In how many planes positions were looked for.
    object_settings
        How the objects were formed, if they were.
    orientations
        In how many orientations a classifier looked at each thing.
    is_stack
        Whether mask and objects are of a whole stack, ``(..., Y, X)``.
    class_levels, object_levels
        Of a result in a file: zarr arrays at full size, half the size and so on, of which the first are
        ``class_map`` and ``objects``.
    path
        The file, or None.
    depth
        ``(Y, X)`` uint8 of a segmentation by a model that learned whole objects, see `Segmentation`; else None.
    """

    task: str
    class_map: np.ndarray | None
    objects: np.ndarray | None
    table: pd.DataFrame
    notes: tuple[ImageNote, ...] = ()
    problem: str = ""
    is_whole: bool = False
    places: np.ndarray | None = None
    shape: tuple[int, ...] = ()
    is_film: bool = False
    n_planes: int = 1
    object_settings: ObjectSettings | None = None
    orientations: int = 1
    is_stack: bool = False
    class_levels: tuple[Any, ...] = ()
    object_levels: tuple[Any, ...] = ()
    path: Path | None = None
    depth: np.ndarray | None = None


def describe_prediction(model: Model, result: Prediction) -> str:
    """Say in one line what was found, and in how many orientations it was looked at."""
    found = _describe_whole(result) if result.is_whole else _describe_things(model, result)
    if result.path is not None:
        found += f" The result did not fit into the memory and is in {result.path}"
    is_mean = result.orientations > 1 and len(result.table)
    return f"{found} (mean over {result.orientations} orientations)" if is_mean else found


def _describe_things(model: Model, result: Prediction) -> str:
    if result.is_film:
        return f"One position in each of {len(result.table):,} frames, shown as a track."
    counts = result.table["class"].value_counts()
    found = {c.name: counts.get(c.name, 0) for c in model.card.classes if not c.is_background}
    is_patches = result.task == "classify" and result.class_map is None
    what = "patches" if is_patches else "cells" if result.task == "classify" else "objects"
    if result.task == "locate":
        what = "position" if len(result.table) == 1 else "positions"
    what += f" in {result.n_planes:,} planes" if result.n_planes > 1 else ""
    return _count_things(len(result.table), what, found)


def _count_things(n: int, what: str, by_class: Mapping[str, int]) -> str:
    """Say how many there are, and of each class where there are several."""
    if not n:
        return f"No {what} found."
    if len(by_class) == 1:  # the number need not be said twice
        return f"{n:,} {what} of class '{next(iter(by_class))}'"
    return f"{n:,} {what}: " + ", ".join(f"{count:,} {name}" for name, count in by_class.items())


def describe_objects(result: Prediction) -> str:
    """Say in one line which objects were formed from a mask."""
    counts = result.table["class"].value_counts(sort=False)
    return _count_things(len(result.table), "objects", counts.to_dict())


def _describe_whole(result: Prediction) -> str:
    table = result.table
    if not len(table):
        return "Stopped before the first image was classified."
    if len(table) == 1:
        row = table.iloc[0]
        return f"The whole image is '{row['class']}' (probability {row['probability']:.2f})."
    counts = table["class"].value_counts()
    found = ", ".join(f"{count:,} {name}" for name, count in counts.items())
    return f"{len(table):,} planes, each classified as a whole: {found}"
