"""Ask for previews of small images in memory, and take their tiles."""

from __future__ import annotations

import threading

import numpy as np

from napari_convnet.images import CleanImage
from napari_convnet.instant import (
    FeatureStore,
    PreviewPart,
    PreviewRequest,
    preview_steps,
    split_strokes,
)


def in_memory(pixels: np.ndarray, invalid=None, name="image") -> CleanImage:
    return CleanImage(np.asarray(pixels, np.float32), invalid, name)


def request(images, strokes, shown, window=None, seed=0) -> PreviewRequest:
    """Ask for a preview of images and strokes by name; of all of the one that is shown, unless said."""
    shape = images[shown].shape
    return PreviewRequest(
        {key: (lambda image=image: image) for key, image in images.items()},
        [part for key, labels in strokes.items() for part in split_strokes(key, labels)],
        shown, window or (slice(0, shape[0]), slice(0, shape[1])), seed,
    )  # fmt: skip


def compute(asked, store=None, stop=None):
    """Return the coarse and the full classes, and all events."""
    shape = asked.images[asked.shown]().shape
    found, events = {True: np.zeros(shape, np.uint8), False: np.zeros(shape, np.uint8)}, []
    for event in preview_steps(asked, store or FeatureStore(), stop or threading.Event()):
        events.append(event)
        if isinstance(event, PreviewPart):
            (row, column), (height, width) = event.origin, event.classes.shape
            found[event.is_coarse][row : row + height, column : column + width] = event.classes
    return found[True], found[False], events
