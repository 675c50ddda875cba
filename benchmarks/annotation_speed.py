"""How long picking and painting keep the GUI thread: 200 patches on 4096 x 4096, strokes on 20,000 x 20,000.

Run it where there is a screen (or under Xvfb)::

    xvfb-run -a -s "-screen 0 1280x800x24" python benchmarks/annotation_speed.py

Times are those of real mouse events on the canvas: *action* from their arrival until Qt has them back, with napari's
own handling and the write to the project file; *until idle* with what they cause afterwards, drawing included.
Clicks on cells are measured by ``click_speed.py``.
"""

from __future__ import annotations

import resource
import tempfile
import time
from collections.abc import Callable

import napari
import numpy as np
from click_speed import describe, wait_until
from napari.settings import get_plugin_settings
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

PATCH_SIDE, N_PATCHES = 4096, 200
SLIDE_SIDE, N_STROKES, N_DABS = 20_000, 40, 12
TARGET_MEDIAN_MS, TARGET_MS, TARGET_MB = 5, 50, 300
_LEFT, _NONE = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier


class Hand:
    """A mouse on the canvas of a viewer."""

    def __init__(self, viewer: napari.Viewer) -> None:
        self.canvas = viewer.window._qt_viewer.canvas
        self.times: list[float] = []
        self.until_idle: list[float] = []

    def place(self, layer, position) -> QPoint:
        """Return where a data position of a layer is on the canvas."""
        world = layer.data_to_world(position)
        transform = self.canvas.view.transform * self.canvas.view.scene.transform
        x, y = transform.map([world[-1], world[-2]])[:2]
        return QPoint(round(x), round(y))

    def time(self, action: Callable[[], object]) -> None:
        """Do something and note the milliseconds, and those with all that follows from it, drawing included."""
        QApplication.processEvents()
        start = time.perf_counter()
        action()
        self.times.append(1000 * (time.perf_counter() - start))
        QApplication.processEvents()
        self.until_idle.append(1000 * (time.perf_counter() - start))

    def click(self, layer, position) -> None:
        """Click, timed."""
        place = self.place(layer, position)
        QTest.mouseMove(self.canvas.native, place)
        self.time(lambda: QTest.mouseClick(self.canvas.native, _LEFT, _NONE, place))

    def stroke(self, layer, positions) -> None:
        """Drag, every event timed."""
        places = [self.place(layer, position) for position in positions]
        native = self.canvas.native
        self.time(lambda: QTest.mousePress(native, _LEFT, _NONE, places[0]))
        for place in places[1:]:
            time.sleep(0.012)  # vispy drops moves that come within 10 ms
            where, on_desktop = QPointF(place), QPointF(native.mapToGlobal(place))
            move = QMouseEvent(
                QEvent.Type.MouseMove, where, on_desktop, Qt.MouseButton.NoButton, _LEFT, _NONE
            )
            self.time(lambda move=move: QApplication.sendEvent(native, move))
        self.time(lambda: QTest.mouseRelease(native, _LEFT, _NONE, places[-1]))


def use_tool(viewer: napari.Viewer, name: str):
    """Open the Annotate dock and take a tool."""
    from napari_convnet.widgets.session import session_of

    dock = viewer.window.add_plugin_dock_widget("napari-convnet", "Annotate")[1]
    dock.use_tool(name)
    wait_until(lambda: session_of(viewer).active_tool is not None)
    return session_of(viewer).active_tool


def pick_patches() -> Hand:
    """Pick 200 patches all over an image."""
    random = np.random.default_rng(0)
    viewer = napari.Viewer()
    viewer.add_image(random.integers(0, 255, (PATCH_SIDE, PATCH_SIDE), dtype=np.uint8))
    tool, hand = use_tool(viewer, "pick_patches"), Hand(viewer)
    tool.size = 48
    for row, column in random.integers(50, PATCH_SIDE - 50, (N_PATCHES, 2)):
        hand.click(tool.layer, (int(row), int(column)))
    overlapping = N_PATCHES - len(tool.patches())  # a click on a patch's middle makes no second one
    assert 0 <= overlapping < N_PATCHES / 10
    viewer.close()
    return hand


def paint_strokes() -> tuple[Hand, float]:
    """Paint all over a slide; returns the hand and the megabytes that painting added."""
    slide = np.lib.stride_tricks.as_strided(np.zeros(1, np.uint8), (SLIDE_SIDE, SLIDE_SIDE), (0, 0))
    viewer = napari.Viewer()
    image = viewer.add_image(slide, contrast_limits=(0, 1))
    viewer.window.add_plugin_dock_widget("napari-convnet", "Annotate")
    drawn = time.monotonic() + 2  # what showing the image takes is not what painting takes
    wait_until(lambda: time.monotonic() > drawn)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    tool, hand = use_tool(viewer, "paint_strokes"), Hand(viewer)
    random = np.random.default_rng(0)
    for row, column in random.integers(500, SLIDE_SIDE - 500, (N_STROKES, 2)):
        viewer.scene.camera.center = (0, *image.data_to_world((row, column)))
        viewer.scene.camera.zoom = 1.5
        end = time.monotonic() + 1  # the painted region follows once the view has rested
        wait_until(lambda end=end: time.monotonic() > end)
        top, left = tool.region.origin
        path = [(row - top + 3 * k, column - left + 6 * k) for k in range(N_DABS)]
        hand.stroke(tool.layer, path)
    tool.save()
    assert tool.session.class_counts()[0] > N_STROKES * N_DABS
    added = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    viewer.close()
    return hand, added


def main() -> None:
    """Measure both and print."""
    with tempfile.TemporaryDirectory(prefix="napari-convnet-benchmark-") as folder:
        get_plugin_settings("napari-convnet").folders.projects = folder
        strokes, megabytes = paint_strokes()
        patches = pick_patches()
    for name, hand in (
        (f"a patch on {PATCH_SIDE} x {PATCH_SIDE}", patches),
        (f"a dab on {SLIDE_SIDE} x {SLIDE_SIDE}", strokes),
    ):
        print(describe(f"{name}, action", hand.times))
        print(describe(f"{name}, until idle", hand.until_idle))
    print(f"memory that painting the large image added: {megabytes:.0f} MB (target {TARGET_MB} MB)")
    median, top = np.percentile(patches.times, (50, 99))
    met = median <= TARGET_MEDIAN_MS and max(top, np.percentile(strokes.times, 95)) <= TARGET_MS
    print(
        f"targets for actions: patches, median {TARGET_MEDIAN_MS} ms, 99 % {TARGET_MS} ms; dabs, 95 % {TARGET_MS} ms: "
        f"{'met' if met else 'NOT met'}"
    )


if __name__ == "__main__":
    main()
