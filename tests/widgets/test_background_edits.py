"""Long edits of classes run beside the viewer: said, alone, whole, undone, and not lost when napari closes."""

from __future__ import annotations

import os
import threading

import numpy as np
import pytest
from dock_helpers import CONTROL, SHIFT
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QInputDialog

from napari_convnet.project import Project
from napari_convnet.widgets import background_edits

SIDE, STEP = 960, 16


@pytest.fixture
def dock(desk):
    """The Annotate dock over an image with 3,600 cells of 6 x 6 pixels."""
    labels = np.zeros((SIDE, SIDE), np.int32)
    for k in range((SIDE // STEP) ** 2):
        y, x = k // (SIDE // STEP) * STEP + 5, k % (SIDE // STEP) * STEP + 5
        labels[y : y + 6, x : x + 6] = k + 1
    desk.viewer.add_image((labels > 0).astype(np.uint8), name="image")
    desk.viewer.add_labels(labels, name="cells")
    return desk.open_dock("Annotate")


@pytest.fixture
def tool(desk, dock):
    """Click cells, of which all have a class."""
    desk.session.add_class("third")
    desk.session.set_current_class(1)
    tool = desk.use_tool(dock, "click_cells")
    cells = [
        (int(k), (), tool.image.objects.centre(k), int(k) % 3 + 1)
        for k in tool.image.objects.labels
    ]
    desk.session.project.set_object_classes(tool.image.image_id, tool.image.labels_name, cells)
    desk.session.show_annotations_again()
    desk.session.finish_edit()
    return tool


@pytest.fixture
def gate(monkeypatch):
    """Edits run in the background, and begin when this is set."""
    gate, steps = threading.Event(), background_edits._steps

    def gated(*arguments):
        assert gate.wait(60)
        return (yield from steps(*arguments))

    monkeypatch.setattr(background_edits, "_MANY_ANNOTATIONS", 0)
    monkeypatch.setattr(background_edits, "_steps", gated)
    yield gate
    gate.set()


def is_over(desk, gate) -> bool:
    gate.set()
    desk.qtbot.waitUntil(lambda: not desk.session.history.busy_with, timeout=60_000)
    return True


def shown_classes(tool) -> np.ndarray:
    """Return the class of each cell as the picture has it, which must be that of the project."""
    shown = tool.layer.data[5::STEP, 5::STEP].ravel()
    project = tool.session.project
    saved = project.object_annotations(tool.image.image_id, tool.image.labels_name)
    in_project = np.zeros(len(shown), int)
    in_project[[cell.label - 1 for cell in saved]] = [cell.value for cell in saved]
    np.testing.assert_array_equal(shown, in_project)
    return shown.copy()


def test_while_a_class_is_deleted_the_dock_says_so_and_nothing_else_changes(
    desk, dock, tool, gate, monkeypatch
):
    before, layer = shown_classes(tool), tool.layer
    monkeypatch.setattr(QInputDialog, "getItem", lambda *_: ("delete them too", True))
    desk.session.set_current_class(2)
    dock.class_table.delete_button.click()
    assert desk.session.history.busy_with == "deletion of 'class 2'"
    assert dock.status.text() == "Please wait: deletion of 'class 2'…"
    assert not dock.class_table.table.isEnabled()
    assert not dock.class_table.add_button.isEnabled()
    desk.session.undo()
    desk.click(tool.layer, (8, 8))
    assert ["not finished yet" in message for message in desk.messages] == [True, True]
    assert is_over(desk, gate)
    gone = before == 2
    expected = np.where(gone, 0, np.where(before == 3, 2, before))
    np.testing.assert_array_equal(shown_classes(tool), expected)
    assert tool.layer is layer
    assert dock.class_table.table.isEnabled()
    assert "Please wait" not in dock.status.text()
    desk.key(Qt.Key.Key_Z, CONTROL)
    assert is_over(desk, gate)
    np.testing.assert_array_equal(shown_classes(tool), before)
    assert [info.name for info in desk.session.classes] == ["class 1", "class 2", "third"]
    desk.key(Qt.Key.Key_Z, CONTROL | SHIFT)
    assert is_over(desk, gate)
    np.testing.assert_array_equal(shown_classes(tool), expected)


def test_a_long_edit_that_fails_leaves_everything_and_the_history_as_it_was(
    desk, tool, gate, tmp_path
):
    before = shown_classes(tool)
    path = desk.session.project.path
    steps = desk.session.history.steps()
    os.rename(path, tmp_path / "unplugged")
    desk.session.move_class(1, 3)
    assert desk.session.history.busy_with
    assert is_over(desk, gate)
    os.rename(tmp_path / "unplugged", path)
    assert len(desk.messages) == 1
    assert "Not done: move of 'class 1'" in desk.messages[0]
    assert "was moved or unplugged" in desk.messages[0]
    assert desk.session.history.steps() == steps
    assert [info.name for info in desk.session.classes] == ["class 1", "class 2", "third"]
    np.testing.assert_array_equal(shown_classes(tool), before)


def test_an_edit_is_whole_when_napari_is_closed_meanwhile(desk, tool, gate):
    project = desk.session.project
    counts = desk.session.class_counts()
    desk.session.delete_class(2, give_to=1)
    assert desk.session.history.busy_with
    threading.Timer(0.5, gate.set).start()
    desk.session.close_project()
    with Project.open(project.path, read_only=True) as again:
        assert again.damage == ()
        assert [info.name for info in again.classes("classify")] == ["class 1", "third"]
        assert again.class_counts("classify") == {1: counts[0] + counts[1], 2: counts[2]}


def test_nothing_is_painted_while_painted_classes_are_moved(desk, dock, request):
    desk.session.set_task("segment")
    tool = desk.use_tool(dock, "paint_strokes")
    for value, row in ((1, 100), (2, 200)):
        desk.choose_class(value)
        desk.stroke(tool.layer, [(row, 100), (row, 200)])
    desk.session.save_tools()
    painted = tool.layer.data.copy()
    gate = request.getfixturevalue("gate")
    desk.session.move_class(1, 2)
    assert desk.session.history.busy_with
    assert not tool.layer.editable
    assert is_over(desk, gate)
    assert tool.layer.editable
    assert tool.layer.mode == "paint"
    np.testing.assert_array_equal(tool.layer.data, np.array([0, 2, 1])[painted])
    gate.clear()
    desk.session.undo()
    assert not tool.layer.editable
    assert is_over(desk, gate)
    np.testing.assert_array_equal(tool.layer.data, painted)


def test_an_edit_shows_its_classes_in_the_layers_that_there_are(desk, dock):
    desk.session.add_class("third")
    tool = desk.use_tool(dock, "click_cells")
    for k in range(1, 7):
        tool.set_classes({k: 1 + k % 3})
    layer = tool.layer
    desk.session.delete_class(1, 2)
    assert not desk.session.history.busy_with  # few annotations in few pixels: done at once
    assert tool.layer is layer
    assert shown_classes(tool)[:6].tolist() == [1, 2, 1, 1, 2, 1]
    desk.session.undo()
    assert tool.layer is layer
    assert shown_classes(tool)[:6].tolist() == [2, 3, 1, 2, 3, 1]


def test_few_annotations_in_many_pixels_are_edited_in_the_background(desk, dock, monkeypatch):
    desk.session.add_class("third")
    tool = desk.use_tool(dock, "click_cells")
    tool.set_classes({1: 3})
    threads, read = [], type(tool).reading

    def noted(tool):
        reader = read(tool)
        return lambda: (threads.append(threading.current_thread()), reader())[1]

    monkeypatch.setattr(type(tool), "reading", noted)
    monkeypatch.setattr(background_edits, "_MANY_PIXELS", SIDE * SIDE)
    desk.session.delete_class(2, 1)
    assert desk.session.history.busy_with
    desk.session.finish_edit()
    assert len(threads) == 1
    assert threads[0] is not threading.main_thread()
    assert shown_classes(tool)[0] == 2
