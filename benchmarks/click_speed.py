"""How long a click on a cell keeps the GUI thread: 4096 x 4096 pixels, 4,000 cells, 300 real clicks and keys.

Run it where there is a screen (or under Xvfb)::

    xvfb-run -a -s "-screen 0 1280x800x24" python benchmarks/click_speed.py

What is counted, in milliseconds of the GUI thread:

- *action*: the mouse press and release on the canvas (or the press and release of a key), from their arrival until
  Qt has them back: napari's handling, its callbacks, and ours, which are the write to the project file, the class
  map, the class table, the Train dock's summary.
- *action, processor*: what of that the GUI thread was at work, and not waiting for others on a busy machine.
- *until idle*: the action and what it causes afterwards: timers of ours and of napari, and the drawing of
  the canvas and the docks, until the event loop has had nothing to do for a while. Without a graphics card most of
  it is drawing.

Before the plugin is opened, the same is measured for napari itself, in the same window with the same size of canvas
and the same three layers: a press and release on a plain label layer that do nothing, and one that fills the
cell with napari's own bucket. For a press, vispy draws the scene once to find what was hit; ours ends before that
(widgets/pointer.py), which is why a click on a cell can take less than one without effect. Beside them stands
the cost of the other design: a new colour map for the layer of cells at each click (ARCHITECTURE.md, decision 1).
"""

from __future__ import annotations

import os
import platform
import tempfile
import time
from collections.abc import Callable, Sequence

import napari
import numpy as np
from napari.settings import get_plugin_settings
from napari.utils.colormaps import DirectLabelColormap
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QWidget

SIDE, N_CELLS = 4096, 4000
N_CLICKS, N_NOTHING, N_KEYS, N_FILLS = 260, 40, 40, 5
TARGET_MS, TARGET_P99_MS = 5, 50
#: The Annotate and the Train dock are about as wide as this.
DOCK_WIDTH = 340
N_RECOLOURINGS = 2
#: The event loop is idle once it has had nothing to do for so many seconds.
QUIET = 0.02


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


def place_of(canvas, layer, position) -> QPoint:
    """Return where a data position of a layer is on the canvas."""
    world = layer.data_to_world(position)
    transform = canvas.view.transform * canvas.view.scene.transform
    x, y = transform.map([world[-1], world[-2]])[:2]
    return QPoint(round(x), round(y))


def run_until_idle() -> float:
    """Let the event loop run until it has nothing to do (1 s at most); returns the milliseconds that it was busy."""
    busy, quiet_since = 0.0, time.perf_counter()
    latest = quiet_since + 1
    while quiet_since + QUIET > time.perf_counter() < latest:
        start = time.perf_counter()
        QApplication.processEvents()
        end = time.perf_counter()
        if end - start > 0.0005:
            busy, quiet_since = busy + end - start, end
        time.sleep(0.001)
    return 1000 * busy


def time_action(act: Callable[[], None]) -> tuple[float, float, float]:
    """Do something; returns milliseconds: action, action on the processor, until idle."""
    start, start_at_work = time.perf_counter(), time.thread_time()
    act()
    at_work = 1000 * (time.thread_time() - start_at_work)
    action = 1000 * (time.perf_counter() - start)
    return action, at_work, action + run_until_idle()


def click(canvas, place: QPoint) -> tuple[float, float, float]:
    """Click, as `time_action` does."""
    QTest.mouseMove(canvas.native, place)
    run_until_idle()
    left, none = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    return time_action(lambda: QTest.mouseClick(canvas.native, left, none, place))


def press_delete(canvas, place: QPoint) -> tuple[float, float, float]:
    """Press the Delete key over a place, as `time_action` does."""
    where, on_desktop = QPointF(place), QPointF(canvas.native.mapToGlobal(place))
    button, none = Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier
    moved = QMouseEvent(QEvent.Type.MouseMove, where, on_desktop, button, button, none)
    QApplication.sendEvent(canvas.native, moved)
    run_until_idle()
    return time_action(lambda: QTest.keyClick(canvas.native, Qt.Key.Key_Delete))


def chosen_labels(number: int) -> np.ndarray:
    """Return so many different labels, in no order."""
    return np.random.default_rng(1).choice(np.arange(1, N_CELLS), number, replace=False)


def measure_ours(viewer, session, tool) -> tuple[np.ndarray, np.ndarray]:
    """Click cells, each with the class that it does not have, then clear some; milliseconds, (N, 3) each."""
    canvas = viewer.window._qt_viewer.canvas
    clicks, keys = [], []
    labels = sorted(chosen_labels(N_CLICKS).tolist(), key=lambda label: label % 2)
    for label in labels:
        session.set_current_class(2 - label % 2)
        clicks.append(
            click(canvas, place_of(canvas, tool.labels, tool.image.objects.centre(label)))
        )
    assert all(tool.layer.data[centre_pixel(tool, label)] == 2 - label % 2 for label in labels)
    for label in labels[:N_KEYS]:
        place = place_of(canvas, tool.labels, tool.image.objects.centre(label))
        keys.append(press_delete(canvas, place))
    assert sum(session.class_counts()) == N_CELLS - N_KEYS
    return np.array(clicks), np.array(keys)


def centre_pixel(tool, label: int) -> tuple[int, ...]:
    """Return the pixel in the middle of a cell."""
    return tuple(int(c) for c in tool.image.objects.centre(label))


def measure_napari(viewer, labels: np.ndarray, mode: str, number: int) -> np.ndarray:
    """Click a plain label layer of classes in one of napari's modes; return milliseconds, (N, 3)."""
    canvas = viewer.window._qt_viewer.canvas
    layer = viewer.add_labels((labels > 0).astype(np.uint8), name="plain", opacity=0.5)
    layer.mode, layer.selected_label = mode, 2
    run_until_idle()
    per_row = int(np.ceil(np.sqrt(N_CELLS)))
    step = SIDE // per_row
    times = []
    for label in chosen_labels(number):
        row, column = divmod(int(label) - 1, per_row)
        place = place_of(canvas, layer, (row * step + step / 2, column * step + step / 2))
        times.append(click(canvas, place))
    viewer.layers.remove(layer)
    return np.array(times)


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


def describe(name: str, times: Sequence[float]) -> str:
    """Return a line with median, 95th and 99th percentile and maximum."""
    median, high, top, most = np.percentile(times, (50, 95, 99, 100))
    parts = {"median": median, "p95": high, "p99": top, "max": most}
    figures = "   ".join(f"{part} {value:7.1f} ms" for part, value in parts.items())
    return f"{name:<43} {figures}   n {len(times)}"


def tell_difference(clicks: np.ndarray, keys: np.ndarray, nothing: np.ndarray) -> None:
    """Print what a click on a cell takes more than one without effect, and whether the targets are met."""
    more = np.median(clicks, axis=0) - np.median(nothing, axis=0)
    print(
        f"more than a click without effect in napari (medians): action {more[0]:.1f} ms, "
        f"action on the processor {more[1]:.1f} ms, until idle {more[2]:.1f} ms"
    )
    actions = np.concatenate([clicks, keys])[:, 0]
    median, p99 = np.percentile(actions, (50, 99))
    met = median <= TARGET_MS and p99 <= TARGET_P99_MS
    busy = " / ".join(f"{load:.1f}" for load in os.getloadavg())
    print(
        f"targets for the whole action: median {TARGET_MS} ms, 99 % {TARGET_P99_MS} ms: {'met' if met else 'NOT met'} "
        f"(median {median:.1f} ms, 99 % {p99:.1f} ms; load {busy} on {os.cpu_count()} cores)"
    )


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
    stand_in = QWidget()
    stand_in.setFixedWidth(DOCK_WIDTH)
    room = viewer.window.add_dock_widget(stand_in, area="right")
    nothing = measure_napari(viewer, labels, "pan_zoom", N_NOTHING)
    bucket = measure_napari(viewer, labels, "fill", N_FILLS)
    viewer.window.remove_dock_widget(room)
    annotate = viewer.window.add_plugin_dock_widget("napari-convnet", "Annotate")[1]
    viewer.window.add_plugin_dock_widget("napari-convnet", "Train")
    session = session_of(viewer)
    annotate.use_tool("click_cells")
    wait_until(lambda: session.active_tool is not None)
    tool = session.active_tool
    annotate_all(session, tool)
    clicks, keys = measure_ours(viewer, session, tool)
    print(
        f"{SIDE} x {SIDE}, {N_CELLS} annotated cells, napari {napari.__version__}, {platform.platform()}"
    )
    for name, times in (("click on a cell", clicks), ("Delete over a cell", keys),
                        ("napari alone, no effect", nothing), ("napari alone, its bucket", bucket)):  # fmt: skip
        for column, what in enumerate(("action", "action, processor", "until idle")):
            print(describe(f"{name}, {what}", times[:, column]))
    print(describe("recolouring the cells instead", measure_recolouring(viewer.layers["cells"])))
    tell_difference(clicks, keys, nothing)
    viewer.close()


if __name__ == "__main__":
    main()
