"""The background part of applying a model to many images: list them, apply it, read one result again."""

from __future__ import annotations

import threading
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from napari_convnet.folders import list_images, list_inputs
from napari_convnet.progress import Progress
from napari_convnet.settings import ObjectSettings
from napari_convnet.widgets.prediction_result import Prediction

if TYPE_CHECKING:
    from napari_convnet.model_file import Model
    from napari_convnet.prediction.many_images import AppliedResult, AppliedToImages


@dataclass(frozen=True, eq=False)
class ManyImagesRequest:
    """Everything that applying a model to many images needs, independent of widgets.

    ``inputs`` are files and folders; ``labels`` is the folder of label images whose objects are classified, or None.
    """

    model: Model
    inputs: tuple[Path, ...]
    output: Path
    objects: ObjectSettings
    orientations: int
    labels: Path | None
    device: str
    starts_over: bool = False


def list_files(
    inputs: Sequence[Path], output: Path, _stop: threading.Event
) -> Generator[Progress, None, int]:
    """Count the images among files and folders; only names are read."""
    yield Progress(done=0, total=0, text="listing images")
    return len(list_inputs(inputs, output))


def many_images_steps(
    request: ManyImagesRequest, stop: threading.Event
) -> Generator[Progress, None, AppliedToImages]:
    """Apply the model to all images; runs in the worker."""
    yield Progress(done=0, total=0, text="preparing")
    from napari_convnet.prediction.many_images import ApplyOptions, apply_to_images, list_sources

    if request.labels is not None:
        list_images(request.labels)  # refused before anything is made
    files = list_sources(request.model, request.inputs, request.output, request.labels)
    options = ApplyOptions(request.objects, request.orientations, request.labels)
    return (
        yield from apply_to_images(
            request.model, files, request.output, options,
            device=request.device, start_over=request.starts_over, stop=stop,
        )
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class OpenedResult:
    """An image that was read again, with its result as `show_prediction` takes it (None: nothing to lay over it)."""

    path: Path
    read: AppliedResult
    labels: Path | None
    prediction: Prediction | None


def open_result(
    request: ManyImagesRequest, path: Path, _stop: threading.Event
) -> Generator[Progress, None, OpenedResult]:
    """Read an image and its result; runs in the worker."""
    yield Progress(done=0, total=0, text=f"opening {path.name}")
    from napari_convnet.prediction.many_images import read_result

    labels = None
    if request.labels is not None:
        labels = next((f for f in list_images(request.labels) if f.stem == path.stem), None)
    read = read_result(request.model, path, request.output, labels)
    return OpenedResult(path, read, labels, _prediction(request, read))


def _prediction(request: ManyImagesRequest, read: AppliedResult) -> Prediction | None:
    task = request.model.card.task
    table = pd.DataFrame(read.rows, columns=read.columns)
    if task == "locate":
        return _located(read, table)
    if read.class_map is None:  # whole images
        return None
    table = table.rename(columns={"label": "index"})
    if task == "segment":
        objects = read.objects.astype(np.int32)
        return Prediction(task, read.class_map, objects, table, object_settings=request.objects)
    return Prediction(task, read.class_map, None, table, orientations=request.orientations)


def _located(read: AppliedResult, table: pd.DataFrame) -> Prediction:
    axes = read.axes.replace("C", "")
    places = table[["frame", "y", "x"][-len(axes) :]].to_numpy(float).reshape(-1, len(axes))
    shape = tuple(read.pixels.shape[read.axes.index(axis)] for axis in axes)
    is_film = "T" in axes and bool((table["frame"].value_counts() == 1).all())
    numbers = table[["y", "x", "confidence"]].astype(float)
    facts = pd.concat([table[["frame"] if "T" in axes else []], numbers, table["class"]], axis=1)
    return Prediction("locate", None, None, facts, places=places, shape=shape, is_film=is_film)
