"""A person's hands for tests: mouse and keys on the canvas, buttons, and waiting for jobs."""

from __future__ import annotations

import numpy as np
from qtpy.compat import isalive
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QWidget
from skimage.measure import regionprops

from napari_convnet.classes import make_classes
from napari_convnet.sample_data import read_sample
from napari_convnet.widgets import background
from napari_convnet.widgets.session import session_of

NO_KEY = Qt.KeyboardModifier.NoModifier
CONTROL = Qt.KeyboardModifier.ControlModifier
SHIFT = Qt.KeyboardModifier.ShiftModifier
ALT = Qt.KeyboardModifier.AltModifier


class Desk:
    """A viewer with the plugin's docks."""

    def __init__(self, viewer, qtbot, messages) -> None:
        self.viewer = viewer
        self.qtbot = qtbot
        self.messages = messages
        self.session = session_of(viewer)

    # Docks ------------------------------------------------------------------------------------

    def open_dock(self, name: str) -> QWidget:
        return self.viewer.window.add_plugin_dock_widget("napari-convnet", name)[1]

    def close_dock(self, dock: QWidget) -> None:
        self.viewer.window.remove_dock_widget(dock)
        self.qtbot.waitUntil(lambda: not isalive(dock), timeout=20_000)

    def use_tool(self, dock, name: str):
        press(dock.tool_buttons[name])
        self.qtbot.waitUntil(lambda: not dock._opener.is_busy, timeout=10_000)
        assert dock.tool_buttons[name].isChecked(), self.messages
        return dock.active_tool

    def wait_until_idle(self, timeout: int = 400_000) -> None:
        self.qtbot.waitUntil(lambda: not background._running, timeout=timeout)
        QApplication.processEvents()

    def train(self, dock, timeout: int = 400_000) -> None:
        """Press Train and wait for the model and what follows."""
        states = []  # of every change: a refused job may be over before the click returns

        def note_state() -> None:
            states.append(dock.training.state)

        dock.training.changed.connect(note_state)
        press(dock.train_button)
        dock.training.changed.disconnect(note_state)
        assert states[:1] == ["running"], self.messages
        self.qtbot.waitUntil(lambda: dock.training.state == "idle", timeout=timeout)
        self.qtbot.waitUntil(lambda: dock.predicting.state == "idle", timeout=timeout)

    # Mouse and keys on the canvas ---------------------------------------------------------------

    @property
    def canvas(self) -> QWidget:
        return self._canvas.native

    @property
    def _canvas(self):
        return getattr(self.viewer, "__wrapped__", self.viewer).window._qt_viewer.canvas

    @property
    def canvas_centre(self) -> tuple[float, ...]:
        """Where the canvas looks at now; napari hears of it when it draws."""
        return tuple(self._canvas.view.camera.center)

    def on_screen(self, layer, position) -> QPoint:
        """Return where a layer's data position is in the canvas."""
        world = layer.data_to_world(position)
        transform = self._canvas.view.transform * self._canvas.view.scene.transform
        x, y = transform.map([world[-1], world[-2]])[:2]
        return QPoint(round(x), round(y))

    def click(self, layer, position, modifiers=NO_KEY) -> None:
        place = self.on_screen(layer, position)
        QTest.mouseMove(self.canvas, place)
        QTest.mouseClick(self.canvas, Qt.MouseButton.LeftButton, modifiers, place)
        QApplication.processEvents()

    def hover(self, layer, position) -> None:
        """Move the mouse without a button."""
        self._move(self.on_screen(layer, position), Qt.MouseButton.NoButton, NO_KEY)
        QApplication.processEvents()

    def stroke(self, layer, positions, modifiers=NO_KEY) -> None:
        """Press the mouse, drag through the positions and release."""
        place = self.begin_stroke(layer, positions, modifiers)
        QTest.mouseRelease(self.canvas, Qt.MouseButton.LeftButton, modifiers, place)
        QApplication.processEvents()

    def begin_stroke(self, layer, positions, modifiers=NO_KEY) -> QPoint:
        """Press the mouse and drag through the positions; returns where the mouse is then, still pressed."""
        places = [self.on_screen(layer, position) for position in positions]
        left = Qt.MouseButton.LeftButton
        QTest.mouseMove(self.canvas, places[0])
        QTest.mousePress(self.canvas, left, modifiers, places[0])
        for place in places[1:]:
            self._move(place, left, modifiers)
        return places[-1]

    def _move(self, place, button, modifiers) -> None:
        self.qtbot.wait(15)  # vispy drops moves that come within 10 ms
        where, on_desktop = QPointF(place), QPointF(self.canvas.mapToGlobal(place))
        kind, none = QEvent.Type.MouseMove, Qt.MouseButton.NoButton
        QApplication.sendEvent(
            self.canvas, QMouseEvent(kind, where, on_desktop, none, button, modifiers)
        )

    def key(self, key: int, modifiers=NO_KEY) -> None:
        QTest.keyClick(self.canvas, Qt.Key(key), modifiers)
        QApplication.processEvents()

    def choose_class(self, value: int) -> None:
        self.key(int(Qt.Key.Key_0) + value, CONTROL)

    # Samples ----------------------------------------------------------------------------------

    def open_sample(self, key: str) -> None:
        self.viewer.open_sample("napari-convnet", key)

    def annotate_smear(self, dock, n: int = 100, by_mouse: int = 0):
        """Classify the first cells of blood smear 1 after its truth, some with real clicks."""
        sample = read_sample("blood_smear_1")
        names = sorted(set(sample.classes.values()))
        self.session.set_classes(make_classes(names))
        tool = self.use_tool(dock, "click_cells")
        for index, cell in enumerate(regionprops(sample.labels)[:n]):
            value = names.index(sample.classes[cell.label]) + 1
            place = cell.coords[len(cell.coords) // 2]
            if index < by_mouse:
                self.choose_class(value)
                self.click(tool.labels, place)
            else:
                tool.annotate_at(tool.labels.data_to_world(place), value)
        return tool

    def open_train_with_cells(self, n: int):
        """Open blood smear 1, classify its first cells after its truth, and return the Train dock."""
        self.open_sample("blood-smear-1")
        annotate, train = self.open_dock("Annotate"), self.open_dock("Train")
        self.wait_until_idle()
        self.annotate_smear(annotate, n)
        return train

    def paint_bacteria(self, dock, by_mouse: int = 0):
        """Paint thin rows over bacteria 1 after its truth, the first runs with the mouse."""
        truth = read_sample("bacteria_1").labels > 0
        tool = self.use_tool(dock, "paint_strokes")
        tool.layer.brush_size = 1
        for index, row in enumerate(range(10, truth.shape[0] - 5, 12)):
            start = 10 + 37 * index % (truth.shape[1] - 80)
            values = truth[row, start : start + 60] + 1
            for run in np.split(np.arange(60), np.flatnonzero(np.diff(values)) + 1):
                ends = [(row, start + run[0]), (row, start + run[-1])]
                if by_mouse > 0 and len(run) > 4:
                    by_mouse -= 1
                    self.choose_class(int(values[run[0]]))
                    self.stroke(tool.layer, ends)
                else:
                    where = (np.full(len(run), row), start + run)
                    tool.layer.data_setitem(where, values[run[0]])
        return tool


def press(button) -> None:
    """Click a button with the mouse."""
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)
    QApplication.processEvents()
