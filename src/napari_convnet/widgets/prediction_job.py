"""Prediction in the background: a model applied to the cells, pixels, positions or whole planes of an image."""

from __future__ import annotations

import threading
from collections.abc import Generator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from napari_convnet.errors import UserError
from napari_convnet.progress import Progress
from napari_convnet.widgets.objects_job import ObjectOptions, segmented_steps
from napari_convnet.widgets.planes import Planes, image_of
from napari_convnet.widgets.position_prediction import locate_steps
from napari_convnet.widgets.prediction_result import Prediction
from napari_convnet.widgets.source import PlaneArrays
from napari_convnet.widgets.whole_images import whole_image_steps

if TYPE_CHECKING:
    from napari_convnet.model_file import Model


@dataclass(frozen=True)
class PredictionSettings:
    """How a model is applied.

    Parameters
    ----------
    device
        Where it computes.
    orientations
        In how many of them (1 or 8) one that classifies looks at each thing.
    centre
        Row and column of a mask that are predicted first.
    result_path
        Where the mask goes if it does not fit into the memory; None to refuse that.
    """

    device: str
    orientations: int = 1
    centre: tuple[float, float] | None = None
    result_path: Path | None = None


def prediction_steps(
    model: Model,
    arrays: PlaneArrays,
    centres: np.ndarray,
    settings: PredictionSettings,
    options: ObjectOptions,
    stop: threading.Event,
) -> Generator[Progress, None, Prediction]:
    """Apply a model to a plane; runs in the worker.

    ``centres`` ``(N, 2)`` are the picked patches, used where there is no label layer; ``options`` say how a
    mask becomes objects.
    """
    yield Progress(done=0, total=0, text="preparing the image")
    from napari_convnet.prediction import (
        PredictionInterrupted,
        check_model_fits,
        classify_objects,
        result_fits,
        segment_image,
        segment_to_file,
    )

    image, device = image_of(arrays), settings.device
    check_model_fits(model, model.card.task, image)
    if model.card.task == "segment":
        common = {"objects": options.settings, "device": device, "stop": stop}
        common["centre"] = settings.centre
        if settings.result_path is None or result_fits(image.shape):
            steps = segment_image(model, image, **common)
        else:
            steps = segment_to_file(model, image, settings.result_path, **common)
    else:
        cells = _cells(arrays, centres, image.name)
        steps = classify_objects(
            model, image, *cells, orientations=settings.orientations, device=device, stop=stop
        )
    problem = ""
    try:
        result = yield from steps
    except PredictionInterrupted as interrupted:
        result, problem = interrupted.result, interrupted.message
    names = [entry.name for entry in model.card.classes]
    if model.card.task == "segment":
        found = yield from segmented_steps(result, names, arrays, image, options, stop)
    else:
        found = _classified(result, names, arrays.labels, settings.orientations)
    return replace(found, notes=result.notes, problem=problem)


def plane_steps(
    model: Model, planes: Planes, settings: PredictionSettings, stop: threading.Event
) -> Generator[Progress, None, Prediction]:
    """Apply a model that locates or takes whole images to planes, one after the other; runs in the worker."""
    yield Progress(done=0, total=0, text="preparing the image")
    if model.card.task == "locate":
        return (yield from locate_steps(model, planes, settings.device, stop))
    return (
        yield from whole_image_steps(model, planes, settings.device, settings.orientations, stop)
    )


def _cells(
    arrays: PlaneArrays, patch_centres: np.ndarray, name: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return labels and centres of what is to be classified: cells, or patches where there is no label layer."""
    from napari_convnet.prediction import object_centres

    labels, centres = np.arange(1, len(patch_centres) + 1), patch_centres
    if arrays.labels is not None:
        labels, centres = object_centres(arrays.labels)
    if not len(labels):
        raise UserError(
            "CN-625",
            f"There is no cell to classify in '{name}'. Choose a label layer of cells, or pick patches.",
        )
    return labels, centres


def _classified(
    result, names: list[str], label_plane: np.ndarray | None, orientations: int
) -> Prediction:
    table = pd.DataFrame({
        "index": result.labels, "class": [names[v - 1] for v in result.values], "probability": result.confidence,
        "y": result.centres[:, 0], "x": result.centres[:, 1],
        **{f"p {name}": result.probabilities[:, k] for k, name in enumerate(names)},
    })  # fmt: skip
    if label_plane is None:
        return Prediction("classify", None, None, table, orientations=orientations)
    return Prediction("classify", result.draw(label_plane), None, table, orientations=orientations)
