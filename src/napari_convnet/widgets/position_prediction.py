"""Positions found in the background: in every plane of an image, or one in each frame of a film."""

from __future__ import annotations

import threading
from collections.abc import Generator
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from napari_convnet.images import ImageNote
from napari_convnet.progress import Progress, told_as
from napari_convnet.widgets.layers import short_unit
from napari_convnet.widgets.planes import Planes, image_of, in_blocks
from napari_convnet.widgets.prediction_result import Prediction

if TYPE_CHECKING:
    from napari_convnet.model_file import Model


def locate_steps(
    model: Model, planes: Planes, device: str, stop: threading.Event
) -> Generator[Progress, None, Prediction]:
    """Find positions; runs in the worker. Stopped, it keeps the planes that are done."""
    if model.card.locate.mode == "patch":
        return (yield from _in_frames(model, planes, device, stop))
    return (yield from _in_planes(model, planes, device, stop))


def _in_frames(
    model: Model, planes: Planes, device: str, stop: threading.Event
) -> Generator[Progress, None, Prediction]:
    from napari_convnet.prediction import locate_in_frames

    results, problem = yield from in_blocks(
        planes, lambda part: locate_in_frames(model, part, device=device, stop=stop), stop
    )
    positions = np.concatenate([result.positions for result in results])
    notes = tuple(note for result in results for note in result.notes)
    frames = np.flatnonzero(np.isfinite(positions).all(1))
    places = np.column_stack([_indices(planes, frames), positions[frames]])
    facts = {"class": [model.card.classes[0].name] * len(places)}
    if model.card.locate.orientations > 1:
        facts["agreement"] = np.concatenate([result.confidence for result in results])[frames]
    table = position_table(planes, places, facts)
    is_film = len(planes.shape) > 2
    return Prediction(
        "locate", None, None, table, notes, problem, places=places, shape=planes.shape, is_film=is_film
    )  # fmt: skip


def _in_planes(
    model: Model, planes: Planes, device: str, stop: threading.Event
) -> Generator[Progress, None, Prediction]:
    from napari_convnet.prediction import PredictionInterrupted, locate_positions

    names = [entry.name for entry in model.card.classes]
    places, classes, heights = [np.empty((0, len(planes.shape)))], [], []
    notes: list[ImageNote] = []
    problem = ""
    n = len(planes)
    for number in range(n):
        try:
            image = image_of(planes.arrays(number))
            steps = locate_positions(model, image, device=device, stop=stop)
            result = yield from (steps if n == 1 else _as_part(steps, number, n))
        except PredictionInterrupted as interrupted:
            result, problem = interrupted.result, interrupted.message
        indices = _indices(planes, np.full(len(result.positions), number))
        places.append(np.column_stack([indices, result.positions]))
        classes += [names[value - 1] for value in result.values]
        heights.append(result.confidence)
        notes += result.notes
        if problem or stop.is_set():
            break
    found = np.concatenate(places)
    facts = {"class": classes, "height": np.concatenate(heights)}
    return Prediction(
        "locate", None, None, position_table(planes, found, facts), tuple(notes), problem,
        places=found, shape=planes.shape, n_planes=number + 1,
    )  # fmt: skip


def _as_part(steps: Generator, number: int, n: int) -> Generator[Progress, None, object]:
    """Tell the progress of all planes instead of one plane's tiles."""

    def tell(event: Progress) -> Progress:
        done = round(100 * (number + event.share))
        return Progress(done=done, total=100 * n, text=f"plane {number + 1:,} of {n:,}")

    return told_as(steps, tell)


def _indices(planes: Planes, numbers: np.ndarray) -> np.ndarray:
    """Return the indices along the axes before Y and X of planes by their number, ``(N, axes)``."""
    n_axes = len(planes.shape) - 2
    return np.array(planes.indices, float).reshape(len(planes), n_axes)[numbers]


def position_table(planes: Planes, places: np.ndarray, facts: dict) -> pd.DataFrame:
    """Return a table of positions: pixels along every axis, the same in physical units, and facts.

    Parameters
    ----------
    places
        ``(N, axes)`` of the image.
    facts
        Further columns.
    """
    columns = {}
    for axis, name in enumerate(planes.axis_names):
        is_index = axis < len(planes.axis_names) - 2
        columns[name] = places[:, axis].astype(int) if is_index else places[:, axis]
    for axis, (name, (size, unit)) in enumerate(
        zip(planes.axis_names, planes.pixel_size, strict=True)
    ):
        if unit != "pixel":
            columns[f"{name}_{short_unit(unit).replace('µ', 'u')}"] = places[:, axis] * size
    return pd.DataFrame({**columns, **facts})
