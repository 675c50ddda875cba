"""Strokes reach the project file while the mouse is pressed, too: a crash takes at most the last two seconds."""

from __future__ import annotations

import numpy as np
import pytest
from dock_helpers import CONTROL, press
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

SIDE = 256


@pytest.fixture
def tool(desk):
    """A brush on a small image."""
    desk.viewer.add_image(np.zeros((SIDE, SIDE), np.uint8), name="image")
    dock = desk.open_dock("Annotate")
    press(dock.task_buttons["segment"])
    return desk.use_tool(dock, "paint_strokes")


def stored(desk, tool) -> np.ndarray:
    return desk.session.project.read_painting(tool.image.image_id, (), (SIDE, SIDE))


def release(desk, place) -> None:
    QTest.mouseRelease(desk.canvas, Qt.MouseButton.LeftButton, Qt.KeyboardModifier(0), place)
    desk.qtbot.wait(1)


def test_a_stroke_that_goes_on_is_written_and_undone_as_one(desk, tool):
    place = desk.begin_stroke(tool.layer, [(50, 50), (50, 70), (50, 90)])
    desk.qtbot.waitUntil(lambda: stored(desk, tool)[50, 60] == 1, timeout=10_000)
    release(desk, place)
    desk.session.save_tools()
    assert np.array_equal(stored(desk, tool), tool.layer.data)
    desk.key(Qt.Key.Key_Z, CONTROL)
    assert not tool.layer.data.any()
    assert not stored(desk, tool).any()


def test_strokes_are_written_while_the_next_one_is_painted(desk, tool):
    # The mouse is pressed whenever the time to write comes, as when one paints without a rest.
    for row in (40, 80):
        desk.stroke(tool.layer, [(row, 50), (row, 70)])
    place = desk.begin_stroke(tool.layer, [(120, 50), (120, 70)])
    desk.qtbot.waitUntil(lambda: stored(desk, tool)[[40, 80], 60].all(), timeout=10_000)
    release(desk, place)
    for n_left in (2, 1, 0):
        desk.key(Qt.Key.Key_Z, CONTROL)
        assert stored(desk, tool)[[40, 80, 120], 60].astype(bool).sum() == n_left
