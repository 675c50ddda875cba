"""Make the README's pictures: drives the real docks on the sample images and photographs the window.

Run it with a screen, or with ``xvfb-run -a -s "-screen 0 1280x800x24" python docs/make_screenshots.py``.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import napari
import numpy as np
from napari.layers import Image, Labels
from qtpy.QtWidgets import QApplication, QScrollArea, QWidget

from napari_convnet.classes import make_classes
from napari_convnet.demonstration import paint_strokes
from napari_convnet.sample_data import read_sample
from napari_convnet.widgets.layers import mark_of
from napari_convnet.widgets.session import session_of

FOLDER = Path(__file__).parent / "images"
WINDOW = (1280, 800)
CELLS_CLICKED = 100
#: How long live training goes on before and after the second strokes.
LIVE_SECONDS = 20


def main() -> None:
    """Make all pictures."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        find_cells(Path(folder) / "raw.convnet")
        classify(Path(folder) / "cells.convnet")
        segment(Path(folder) / "bacteria.convnet")
        live(Path(folder) / "live.convnet")
        objects(Path(folder) / "smear.convnet")


def find_cells(project: Path) -> None:
    """Find the cells of an image that has no label layer."""
    viewer, docks = open_viewer("blood-smear-2")
    session_of(viewer).new_project(project)
    viewer.layers.remove(viewer.layers["cells"])
    annotate = docks["Annotate"]
    panel = annotate.first_labels
    panel.unfold()
    wait(lambda: "outlined" in panel.status.text() and panel.previewing.state == "idle")
    photograph(viewer, annotate, "find_cells")
    viewer.close()


def classify(project: Path) -> None:
    """Click cells, train, and show the result on the image."""
    viewer, docks = open_viewer("blood-smear-1")
    session, sample = session_of(viewer), read_sample("blood_smear_1")
    session.new_project(project)
    names = sorted(set(sample.classes.values()))
    session.set_classes(make_classes(names))
    docks["Annotate"].use_tool("click_cells")
    wait(lambda: docks["Annotate"].active_tool is not None)
    tool = docks["Annotate"].active_tool
    for label in list(sample.classes)[:CELLS_CLICKED]:
        rows, columns = np.nonzero(sample.labels == label)
        middle = len(rows) // 2
        position = tool.labels.data_to_world((rows[middle], columns[middle]))
        tool.annotate_at(position, names.index(sample.classes[label]) + 1)
    photograph(viewer, docks["Annotate"], "annotate")
    train(docks["Train"])
    show_curves(docks["Train"])
    photograph(viewer, docks["Train"], "train")
    for layer in list(viewer.layers):
        if layer.name.endswith("annotated"):
            layer.visible = False
    photograph(viewer, docks["Predict"], "classified")
    viewer.close()


def segment(project: Path) -> None:
    """Paint strokes, show what they say at once, train, and show mask and objects."""
    viewer, docks = open_viewer("bacteria-1")
    session, sample = session_of(viewer), read_sample("bacteria_1")
    session.new_project(project)
    annotate, preview = docks["Annotate"], docks["Annotate"].instant_preview
    layer = paint(annotate, sample.labels > 0, slice(40, None))
    preview.button.setChecked(True)
    wait(lambda: preview.words.text().startswith("Preview from"))
    paint(annotate, sample.labels > 0, slice(None, 40))  # this preview tells how long one takes
    n_painted = f"{np.count_nonzero(layer.data):,}"
    wait(lambda: f"from {n_painted} painted" in preview.words.text())
    photograph(viewer, annotate, "instant_preview")
    preview.toggle()
    train(docks["Train"])
    show_curves(docks["Train"])
    photograph(viewer, docks["Train"], "segmented")
    viewer.close()


def live(project: Path) -> None:
    """Train while strokes are painted: the second ones are scored before they are learned."""
    viewer, docks = open_viewer("bacteria-2")
    session, is_object = session_of(viewer), read_sample("bacteria_2").labels > 0
    session.new_project(project)
    annotate, dock = docks["Annotate"], docks["Train"]
    paint(annotate, is_object, slice(None, 150))
    dock.live_training.button.click()
    wait(lambda: dock.training.state == "running")
    wait_seconds(LIVE_SECONDS)
    paint(annotate, is_object, slice(150, None))
    wait(lambda: bool(dock.live_training.words.text()))
    wait_seconds(LIVE_SECONDS)
    photograph(viewer, dock, "live")
    dock.stop()
    wait(lambda: dock.training.state == "idle" and dock.predicting.state == "idle")
    viewer.close()


def objects(project: Path) -> None:
    """Segment round cells and cut those apart that touch."""
    viewer, docks = open_viewer("blood-smear-2")
    session = session_of(viewer)
    session.new_project(project)
    viewer.layers.remove(viewer.layers["cells"])
    session.set_task("segment")
    paint(docks["Annotate"], read_sample("blood_smear_2").labels > 0)
    train(docks["Train"])
    predict = docks["Predict"]
    predict.objects.button.setChecked(True)
    predict.objects.strength.setValue(60)
    wait(lambda: predict.table_button.isEnabled())  # the objects are formed again
    for layer in viewer.layers:
        is_objects = mark_of(layer).get("kind") == "predicted-objects"
        layer.visible = is_objects or isinstance(layer, Image)
        if is_objects:
            layer.contour = 2
            viewer.layers.selection.active = layer
    photograph(viewer, predict, "objects")
    viewer.close()


def paint(annotate: QWidget, is_object: np.ndarray, rows: slice = slice(None)) -> Labels:
    """Paint strokes of background and object on some rows, as the truth is there, and return their layer."""
    if annotate.active_tool is None:
        annotate.use_tool("paint_strokes")
        wait(lambda: annotate.active_tool is not None)
    layer = annotate.active_tool.layer
    strokes = paint_strokes(is_object + 1, {1: 0.01, 2: 0.01}, np.random.default_rng(0))
    here = np.zeros(strokes.shape, bool)
    here[rows] = True
    for value in (1, 2):
        layer.data_setitem(np.nonzero((strokes == value) & here), value)
    annotate.session.save_tools()
    return layer


def open_viewer(sample: str) -> tuple[napari.Viewer, dict[str, QWidget]]:
    """Open a sample with all docks."""
    viewer = napari.Viewer()
    viewer.theme = "dark"  # whatever this person prefers
    viewer.window.resize(*WINDOW)
    viewer.open_sample("napari-convnet", sample)
    docks = {
        name: viewer.window.add_plugin_dock_widget("napari-convnet", name, tabify=True)[1]
        for name in ("Annotate", "Train", "Predict")
    }
    wait(lambda: "looking" not in docks["Train"].device_line.text.text())
    return viewer, docks


def train(dock: QWidget) -> None:
    """Press Train and wait until the result is shown."""
    assert dock.train_button.isEnabled()
    dock.train_button.click()
    wait(lambda: dock.train_button.isEnabled() and dock.result.text().count("\n"))


def show_curves(dock: QWidget) -> None:
    """Scroll the dock to its end, where the curves are: it is higher than the window."""
    dock.parentWidget().raise_()
    wait_seconds(0.5)  # until it has its height
    bar = dock.findChild(QScrollArea).verticalScrollBar()
    bar.setValue(bar.maximum())


def photograph(viewer: napari.Viewer, dock: QWidget, name: str) -> None:
    """Bring a dock to the front and save the window."""
    dock.parentWidget().raise_()
    wait_seconds(1)
    viewer.window.screenshot(str(FOLDER / f"{name}.png"), flash=False, canvas_only=False)


def wait(is_done: Callable[[], bool], seconds: float = 600) -> None:
    """Let the window work until something is so."""
    end = time.monotonic() + seconds
    while not is_done():
        if time.monotonic() > end:
            raise TimeoutError("the docks did not answer")
        QApplication.processEvents()
        time.sleep(0.01)


def wait_seconds(seconds: float) -> None:
    """Let the window work for a while."""
    end = time.monotonic() + seconds
    wait(lambda: time.monotonic() > end)


if __name__ == "__main__":
    main()
