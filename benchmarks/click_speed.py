"""How long a click on a cell keeps the GUI thread: 4096 x 4096 pixels, 4,000 cells, 200 real clicks.

Run it where there is a screen (or under Xvfb)::

    xvfb-run -a -s "-screen 0 1280x800x24" python benchmarks/click_speed.py

A click is a mouse press and release on the canvas; its time includes napari's own handling, the write
to the project file, the class map, the class table and the Train dock's summary. Beside it stands the
cost of the other design: a new colour map for the layer of cells at each click (ARCHITECTURE.md,
decision 1).
"""

from __future__ import annotations

import platform
import tempfile
import time

import napari
import numpy as np
from napari.settings import get_plugin_settings
from napari.utils.colormaps import DirectLabelColormap
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

SIDE, N_CELLS, N_CLICKS, TARGET_MS = 4096, 4000, 200, 50
N_RECOLOURINGS = 10


def make_image() -> tuple[np.ndarray, np.ndarray]:
    """Return noise with 4,000 discs on a grid and their labels."""
    labels = np.zeros((SIDE, SIDE), np.int32)
    per_row = int(np.ceil(np.sqrt(N_CELLS)))
    step = SIDE // per_row
    y, x = np.mgrid[:step, :step] - step / 2
    disc = y**2 + x**2 < (0.4 * step) ** 2
    for index in range(N_CELLS):
        top, left = index // per_row * step, index % per_row * step
        labels[top : top + step, left : left + step][disc] = index + 1
    noise = np.random.default_rng(0).integers(0, 60, labels.shape, dtype=np.uint8)
    return noise + (labels > 0) * np.uint8(120), labels


def wait_until(condition) -> None:
    """Let the event loop run until something is true."""
    while not condition():
        QApplication.processEvents()
        time.sleep(0.005)


def annotate_all(session, tool) -> None:
    """Give every cell a class, as after a long day, and show it."""
    cells = [
        (int(k), (), tool.image.objects.centre(k), int(k) % 2 + 1)
        for k in tool.image.objects.labels
    ]
    session.project.set_object_classes(tool.image.image_id, tool.image.labels_name, cells)
    tool.discard_layer()
    tool.start()
    session.annotations_changed.emit()


def measure_clicks(viewer, session, tool) -> list[float]:
    """Click cells, each with the class that it does not have; return milliseconds."""
    canvas = viewer.window._qt_viewer.canvas
    times = []
    for label in np.random.default_rng(1).choice(np.arange(1, N_CELLS), N_CLICKS, replace=False):
        world = tool.labels.data_to_world(tool.image.objects.centre(int(label)))
        transform = canvas.view.transform * canvas.view.scene.transform
        x, y = transform.map([world[-1], world[-2]])[:2]
        session.set_current_class(2 - int(label) % 2)
        QTest.mouseMove(canvas.native, QPoint(round(x), round(y)))
        QApplication.processEvents()
        start = time.perf_counter()
        place = QPoint(round(x), round(y))
        QTest.mouseClick(
            canvas.native, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, place
        )
        times.append(1000 * (time.perf_counter() - start))
        QApplication.processEvents()
    return times


def measure_recolouring(layer) -> list[float]:
    """Colour the cells themselves by class, one more of them each time; return milliseconds."""
    colours = {
        None: "transparent",
        **{k: ("#e69f00", "#0072b2")[k % 2] for k in range(1, N_CELLS + 1)},
    }
    times = []
    for label in range(1, N_RECOLOURINGS + 1):
        colours[label] = "#009e73"
        start = time.perf_counter()
        layer.colormap = DirectLabelColormap(color_dict=dict(colours))
        times.append(1000 * (time.perf_counter() - start))
        QApplication.processEvents()
    return times


def describe(name: str, times: list[float]) -> str:
    """Return a line with median, 95th percentile and maximum."""
    median, high, most = np.percentile(times, (50, 95, 100))
    return f"{name:<32} median {median:7.1f} ms   p95 {high:7.1f} ms   max {most:7.1f} ms   n {len(times)}"


def main() -> None:
    """Open a viewer, measure and print."""
    with tempfile.TemporaryDirectory(prefix="napari-convnet-benchmark-") as folder:
        get_plugin_settings("napari-convnet").folders.projects = folder
        measure()


def measure() -> None:
    """Measure with a project in a folder of its own."""
    from napari_convnet.widgets.session import session_of

    viewer = napari.Viewer()
    image, labels = make_image()
    viewer.add_image(image, name="image")
    viewer.add_labels(labels, name="cells")
    annotate = viewer.window.add_plugin_dock_widget("napari-convnet", "Annotate")[1]
    viewer.window.add_plugin_dock_widget("napari-convnet", "Train")
    session = session_of(viewer)
    annotate.use_tool("click_cells")
    wait_until(lambda: session.active_tool is not None)
    tool = session.active_tool
    annotate_all(session, tool)
    before = session.class_counts()
    clicks = measure_clicks(viewer, session, tool)
    changed = (
        sum(session.class_counts()) == sum(before) == N_CELLS and session.class_counts() != before
    )
    print(
        f"{SIDE} x {SIDE}, {N_CELLS} annotated cells, napari {napari.__version__}, {platform.platform()}"
    )
    print(describe("click on a cell", clicks))
    print(describe("recolouring the cells instead", measure_recolouring(viewer.layers["cells"])))
    p95 = np.percentile(clicks, 95)
    print(
        f"target {TARGET_MS} ms: {'met' if changed and p95 <= TARGET_MS else 'NOT met'} (95 % of clicks)"
    )
    viewer.close()


if __name__ == "__main__":
    main()
