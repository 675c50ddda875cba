"""Whole images classified: one class for every plane of an image."""

from __future__ import annotations

import threading
from collections.abc import Generator
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from napari_convnet.progress import Progress
from napari_convnet.widgets.planes import Planes
from napari_convnet.widgets.prediction_result import Prediction

if TYPE_CHECKING:
    from napari_convnet.model_file import Model


def whole_image_steps(
    model: Model, planes: Planes, device: str, stop: threading.Event
) -> Generator[Progress, None, Prediction]:
    """Classify each plane as a whole; runs in the worker. Stopped, it keeps the planes that are done."""
    from napari_convnet.prediction import classify_images

    notes = []

    def read(index: int):
        image = planes[index]
        notes.extend(image.notes)
        return image

    result = yield from classify_images(model, read, len(planes), device=device, stop=stop)
    names = [entry.name for entry in model.card.classes]
    done = np.array(planes.indices[: len(result.labels)], int).reshape(len(result.labels), -1)
    table = pd.DataFrame({
        "image": [planes.name] * len(done),
        **{axis: done[:, k] for k, axis in enumerate(planes.axis_names[:-2])},
        "class": [names[value - 1] for value in result.values], "probability": result.confidence,
        **{f"p {name}": result.probabilities[:, k] for k, name in enumerate(names)},
    })  # fmt: skip
    return Prediction("classify", None, None, table, tuple(notes), is_whole=True)
