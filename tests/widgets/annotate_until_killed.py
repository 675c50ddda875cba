"""A napari that annotates with mouse and keys until it is killed; it logs what it begins and what it has done.

Run by `test_kills_while_annotating`: ``python annotate_until_killed.py PROJECT LOG SEED``. A line of the log is
a JSON list: "begin" or "done", time in seconds, kind, and what was annotated; it is with the system before the
next thing happens, so that a kill loses none.
"""

from __future__ import annotations

import json
import os
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
from dock_helpers import Desk
from qtpy.QtWidgets import QApplication

SIDE, STEP = 512, 32
#: A cell, a patch or a stroke has a place on this grid.
PLACES = [(y, x) for y in range(24, SIDE - 40, STEP) for x in range(24, SIDE - 40, STEP)]
STROKE_LENGTH = 12


def make_image() -> tuple[np.ndarray, np.ndarray]:
    """Return an image and the labels of a disc at each place; place k has label k + 1."""
    rows, columns = np.ogrid[:SIDE, :SIDE]
    labels = np.zeros((SIDE, SIDE), np.int32)
    for k, (y, x) in enumerate(PLACES):
        labels[(rows - y) ** 2 + (columns - x) ** 2 < 60] = k + 1
    return (labels > 0).astype(np.uint8) * 150, labels


class Waiting:
    """What `Desk` needs of pytest-qt."""

    def wait(self, milliseconds: int) -> None:
        end = time.monotonic() + milliseconds / 1000
        while time.monotonic() < end:
            QApplication.processEvents()

    def waitUntil(self, condition, timeout: int = 20_000) -> None:
        end = time.monotonic() + max(120, timeout / 1000)  # on a busy machine, too
        while not condition():
            QApplication.processEvents()
            if time.monotonic() > end:
                raise TimeoutError


class Log:
    """Lines that a kill does not lose."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def write(self, *values) -> None:
        os.write(self._file, (json.dumps(values) + "\n").encode())

    def around(self, what: list, action) -> None:
        self.write("begin", time.time(), *what)
        action()
        self.write("done", time.time(), *what)


def annotate(desk: Desk, dock, log: Log, random: np.random.Generator) -> None:
    """Use each tool for a while, again and again."""
    tools = ("click_cells", "pick_patches", "paint_strokes")
    while True:
        name = tools[random.integers(len(tools))]
        tool = desk.use_tool(dock, name)
        for _ in range(random.integers(2, 9)):
            value, place = int(random.integers(1, 3)), int(random.integers(len(PLACES)))
            y, x = PLACES[place]
            desk.choose_class(value)
            if name == "click_cells":
                log.around(["cell", place, value], partial(desk.click, tool.labels, (y, x)))
            elif name == "pick_patches":
                log.around(["patch", place, value], partial(desk.click, tool.layer, (y, x)))
            else:
                path = [(y, x), (y, x + STROKE_LENGTH // 2), (y, x + STROKE_LENGTH)]
                log.around(["stroke", place, value], partial(desk.stroke, tool.layer, path))


def main(project: str, log_path: str, seed: str) -> None:
    """Open the project and annotate."""
    import napari

    from napari_convnet.widgets.session import session_of

    viewer = napari.Viewer()
    image, labels = make_image()
    viewer.add_image(image, name="image")
    viewer.add_labels(labels, name="cells")
    desk = Desk(viewer, Waiting(), [])
    dock = desk.open_dock("Annotate")
    session, path = session_of(viewer), Path(project)
    (session.open_project if path.exists() else session.new_project)(path)
    assert not session.project.read_only
    log = Log(log_path)
    log.write("begin", time.time(), "opened", os.getpid())
    annotate(desk, dock, log, np.random.default_rng(int(seed)))


if __name__ == "__main__":
    main(*sys.argv[1:])
