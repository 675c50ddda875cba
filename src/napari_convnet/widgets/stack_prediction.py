"""A stack segmented in the background: all planes, and one row of the table for each object in all of them."""

from __future__ import annotations

import threading
from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from napari_convnet.images import CleanImage, LazyImage
from napari_convnet.progress import Progress, run
from napari_convnet.widgets.objects_job import ObjectOptions
from napari_convnet.widgets.planes import Planes, image_of
from napari_convnet.widgets.prediction_result import Prediction

if TYPE_CHECKING:
    from napari_convnet.model_file import Model


class PlaneImages(Sequence):
    """The images of planes, read when they are asked for; large lazy ones tile by tile."""

    def __init__(self, planes: Planes) -> None:
        self.planes, self.name = planes, planes.name

    def __len__(self) -> int:
        return len(self.planes)

    def __getitem__(self, number: Any) -> CleanImage | LazyImage:
        return image_of(self.planes.arrays(number))


def stack_steps(
    model: Model,
    planes: Planes,
    linked_axis: int | None,
    device: str,
    options: ObjectOptions,
    stop: threading.Event,
) -> Generator[Progress, None, Prediction | None]:
    """Segment all planes of an image; runs in the worker. Stopped, it keeps the planes that are done, if any.

    ``linked_axis`` is the axis of depth, along which objects go on from slice to slice, or None.
    """
    yield Progress(done=0, total=0, text="preparing the image")
    from napari_convnet.prediction import (
        PixelSize,
        PredictionInterrupted,
        check_model_fits,
        measure_objects,
        segment_stack,
    )

    images, tables = PlaneImages(planes), []
    check_model_fits(model, "segment", images[0])
    names = [entry.name for entry in model.card.classes]
    channels, size = planes.arrays(0).channel_names, PixelSize(*options.pixel_size)

    def take(number: int, image: CleanImage | LazyImage, result: Any, numbers: np.ndarray) -> None:
        of_class = [names[value - 1] for value in result.object_values[1:]]
        table = pd.DataFrame(run(measure_objects(result.objects, of_class, image, channels, size)))
        table["label"] = numbers[1:]
        for axis, place in zip(planes.axis_names, planes.indices[number], strict=False):
            table[axis] = place
        tables.append(table)

    steps = segment_stack(
        model, images, planes.shape, linked_axis=linked_axis, objects=options.settings,
        device=device, take=take, stop=stop,
    )  # fmt: skip
    problem = ""
    try:
        result = yield from steps
    except PredictionInterrupted as interrupted:
        result, problem = interrupted.result, interrupted.message
    if not tables:  # stopped before the first plane was done
        return None
    table = join_planes(tables, planes.axis_names[:-2])
    axes = planes.axis_names
    places = np.column_stack([table[axis].to_numpy(float) for axis in axes])
    return Prediction(
        "segment", result.classes, result.objects, table, result.notes, problem,
        places=places.reshape(-1, len(axes)), shape=planes.shape, n_planes=result.n_planes,
        object_settings=options.settings, is_stack=True,
    )  # fmt: skip


def join_planes(tables: Sequence[pd.DataFrame], axes: Sequence[str]) -> pd.DataFrame:
    """Return one row for each object of a stack, from one row for each of its parts in a plane.

    Areas are added up, as ``pixels`` and ``area_physical``; places and brightness are means weighted by them, places
    along ``axes`` whole numbers of planes; boxes hold all parts. ``planes`` says in how many the object is.
    """
    rows = pd.concat(tables, ignore_index=True)
    weight = rows["area_pixels"].to_numpy(float)
    means = [name for name in rows if name.startswith("mean ")] + [
        "y",
        "x",
        "y_physical",
        "x_physical",
    ]
    weighted = rows[[*means, *axes]].mul(weight, axis=0).assign(label=rows["label"])
    grouped = rows.groupby("label", sort=True)
    total = grouped["area_pixels"].sum()
    centre = weighted.groupby("label", sort=True).sum(min_count=1).div(total, axis=0)
    low = grouped[[name for name in rows if "_min" in name]].min()
    high = grouped[[name for name in rows if "_max" in name]].max()
    first = grouped[["class", "unit", "area_unit"]].first()
    found = pd.DataFrame({"class": first["class"], "planes": grouped.size(), "pixels": total})
    found[list(axes)] = centre[list(axes)].round().astype(int)
    places = ["y", "x", *(name for name in means if name.startswith("mean "))]
    found[places] = centre[places]
    for axis in axes:
        found[f"{axis}_min"], found[f"{axis}_max"] = grouped[axis].min(), grouped[axis].max()
    found["area_physical"] = grouped["area_physical"].sum()
    found = found.join(centre[["y_physical", "x_physical"]]).join(low).join(high)
    return found.join(first[["unit", "area_unit"]]).rename_axis("index").reset_index()
