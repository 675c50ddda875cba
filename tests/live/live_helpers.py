"""A painter for live training: planes whose strokes and view a test changes while it goes on."""

from __future__ import annotations

import threading

import numpy as np

from napari_convnet.classes import make_classes
from napari_convnet.images import CleanImage
from napari_convnet.instant import split_strokes
from napari_convnet.live import InView, LiveStrokes
from napari_convnet.live.network import LiveRequest
from napari_convnet.settings import TrainingSettings


def bright_quarters(side: int = 128, seed: int = 0) -> CleanImage:
    """Return four brightnesses with noise."""
    pixels = np.random.default_rng(seed).normal(0, 10, (1, side, side)).astype(np.float32)
    pixels[:, :, side // 2 :] += 60
    pixels[:, side // 2 :] += 120
    return CleanImage(pixels, None, "quarters")


class Painter:
    """Strokes and view of now; what a dock's `LiveDesk` is, without a dock."""

    def __init__(self, *images: CleanImage, names=("dark", "bright")) -> None:
        self.images = dict(enumerate(images))
        self.painted = {key: np.zeros(image.shape, np.uint8) for key, image in self.images.items()}
        self.classes = make_classes(names)
        self.version = 0
        self.view: InView | None = None
        self.opened: list[int] = []
        #: Number of times that images were closed and opened again, which gives them other keys.
        self.n_reopened = 0

    def paint(self, value: int, rows: slice, columns: slice, key: int = 0) -> None:
        self.painted[key] = self.painted[key].copy()
        self.painted[key][rows, columns] = value
        self.version += 1

    def name_classes(self, *names: str) -> None:
        self.classes = make_classes(names)
        self.version += 1

    def look(self, key: int, rows: slice, columns: slice) -> None:
        self.view = InView((key, self.n_reopened), lambda: self._open(key), (rows, columns))

    def look_at_all(self, key: int = 0) -> None:
        height, width = self.images[key].shape
        self.look(key, slice(0, height), slice(0, width))

    def _open(self, key: int) -> CleanImage:
        self.opened.append(key)
        return self.images[key]

    def read(self) -> LiveStrokes:
        keys = {key: (key, self.n_reopened) for key in self.images}
        parts = [
            p for key, labels in self.painted.items() for p in split_strokes(keys[key], labels)
        ]
        opening = {keys[key]: lambda key=key: self._open(key) for key in self.images}
        return LiveStrokes(
            opening, parts, self.classes, {known: key for key, known in keys.items()}
        )

    def reopen(self) -> None:
        self.n_reopened += 1
        self.version += 1


def request(channels=("grey",), **settings) -> LiveRequest:
    return LiveRequest(
        "unet", TrainingSettings(batch_size=4, device="cpu", **settings), channels, 32,
        network_settings={"width": 4, "levels": 2},
    )  # fmt: skip


def go_on_until(steps, condition, most: int = 4000) -> list:
    """Let a training go on until an event fulfils a condition; returns all events."""
    events = []
    for event in steps:
        events.append(event)
        if condition(event):
            return events
        assert len(events) < most, {type(event).__name__ for event in events}
    raise AssertionError("the training ended")


def finish(steps, stop: threading.Event):
    """Stop a training and return its model."""
    stop.set()
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value
