"""Whole images classified: one class for every plane of an image."""

from __future__ import annotations

import threading
from collections.abc import Generator
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from napari_convnet.progress import Progress
from napari_convnet.widgets.planes import Planes, in_blocks
from napari_convnet.widgets.prediction_result import Prediction

if TYPE_CHECKING:
    from napari_convnet.model_file import Model


def whole_image_steps(
    model: Model, planes: Planes, device: str, orientations: int, stop: threading.Event
) -> Generator[Progress, None, Prediction]:
    """Classify each plane as a whole; runs in the worker. Stopped, it keeps the planes that are done."""
    from napari_convnet.prediction import classify_images

    notes = []

    def steps_of(part: Planes):
        def read(index: int):
            image = part[index]
            notes.extend(image.notes)
            return image

        return classify_images(
            model, read, len(part), orientations=orientations, device=device, stop=stop
        )

    results, problem = yield from in_blocks(planes, steps_of, stop)
    names = [entry.name for entry in model.card.classes]
    probabilities = np.concatenate([result.probabilities for result in results])
    n_done = len(probabilities)
    done = np.array(planes.indices[:n_done], int).reshape(n_done, len(planes.shape) - 2)
    table = pd.DataFrame({
        "image": [planes.name] * n_done,
        **{axis: done[:, k] for k, axis in enumerate(planes.axis_names[:-2])},
        "class": [names[k] for k in probabilities.argmax(1)], "probability": probabilities.max(1, initial=0),
        **{f"p {name}": probabilities[:, k] for k, name in enumerate(names)},
    })  # fmt: skip
    middle = [(extent - 1) / 2 for extent in planes.shape[-2:]]
    return Prediction(
        "classify", None, None, table, tuple(notes), problem, is_whole=True, shape=planes.shape,
        places=np.column_stack([done, np.tile(middle, (n_done, 1))]), orientations=orientations,
    )  # fmt: skip
