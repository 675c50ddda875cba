"""The project file behind the docks: started, changed, closed and opened again; nothing is lost."""

from __future__ import annotations

import sqlite3

import numpy as np
import pytest
from dock_helpers import press
from qtpy.QtWidgets import QFileDialog

from napari_convnet.project import Project
from napari_convnet.widgets.session import session_of


@pytest.fixture
def annotate(desk):
    desk.open_sample("blood-smear-1")
    return desk.open_dock("Annotate")


def choose_file(monkeypatch, path) -> None:
    for dialog in ("getOpenFileName", "getSaveFileName"):
        monkeypatch.setattr(QFileDialog, dialog, lambda *_: (str(path), ""))


def test_annotating_starts_a_project_of_one_file_that_is_closed_with_the_last_dock(desk, annotate):
    desk.annotate_smear(annotate, n=3)
    path = desk.session.project.path
    train = desk.open_dock("Train")
    desk.wait_until_idle()
    desk.close_dock(annotate)
    assert desk.session.project is not None
    desk.close_dock(train)
    assert desk.session.project is None
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert [layer.name for layer in desk.viewer.layers] == ["blood smear 1", "cells"]
    with Project.open(path) as project:
        assert len(project.object_annotations(project.images()[0].id)) == 3


def test_a_reopened_dock_opens_the_project_again(desk, annotate):
    tool = desk.annotate_smear(annotate, n=6)
    shown, path = tool.layer.data.copy(), desk.session.project.path
    desk.close_dock(annotate)
    annotate = desk.open_dock("Annotate")
    assert desk.session.project.path == path
    assert annotate.project_bar.label.text() == path.name
    assert sum(desk.session.class_counts()) == 6
    tool = desk.use_tool(annotate, "click_cells")
    assert np.array_equal(tool.layer.data, shown)
    desk.click(tool.labels, np.argwhere(tool.labels.data == 60)[30])
    assert sum(desk.session.class_counts()) == 7
    assert not desk.messages


def test_another_viewer_shows_classes_and_annotations_of_a_project(
    desk, annotate, make_napari_viewer_proxy, qtbot, messages
):
    from dock_helpers import Desk

    tool = desk.annotate_smear(annotate, n=8)
    shown, path = tool.layer.data.copy(), desk.session.project.path
    names = [info.name for info in desk.session.classes]
    desk.close_dock(annotate)
    other = Desk(make_napari_viewer_proxy(), qtbot, messages)
    assert other.session is not desk.session
    other.open_sample("blood-smear-1")
    dock = other.open_dock("Annotate")
    other.session.open_project(path)
    assert [info.name for info in other.session.classes] == names
    assert [dock.class_table.table.item(k, 0).text() for k in range(4)] == names
    tool = other.use_tool(dock, "click_cells")
    assert np.array_equal(tool.layer.data, shown)
    assert not messages


def test_strokes_that_wait_are_written_to_the_project_they_were_painted_in(
    desk, annotate, monkeypatch, tmp_path
):
    press(annotate.task_buttons["segment"])
    tool = desk.use_tool(annotate, "paint_strokes")
    first = desk.session.project.path
    desk.stroke(tool.layer, [(60, 50), (60, 80), (60, 110)])
    painted = tool.layer.data.copy()
    assert painted.any()
    choose_file(monkeypatch, tmp_path / "second")
    annotate.project_bar.new()
    assert desk.session.project.path == tmp_path / "second.convnet"
    assert annotate.active_tool is None
    assert desk.session.class_counts() == [0, 0]
    assert [layer.name for layer in desk.viewer.layers] == ["blood smear 1", "cells"]
    with Project.open(first) as project:
        (image,) = project.images()
        assert np.array_equal(project.read_painting(image.id, (), painted.shape), painted)
    choose_file(monkeypatch, first)
    annotate.project_bar.open()
    tool = desk.use_tool(annotate, "paint_strokes")
    assert np.array_equal(tool.layer.data, painted)
    assert not desk.messages


def test_a_painted_layer_that_is_deleted_at_once_is_saved(desk, annotate):
    press(annotate.task_buttons["segment"])
    tool = desk.use_tool(annotate, "paint_strokes")
    desk.stroke(tool.layer, [(60, 50), (60, 80), (60, 110)])
    painted = tool.layer.data.copy()
    desk.viewer.layers.remove(tool.layer)
    desk.qtbot.waitUntil(lambda: sum(desk.session.class_counts()) > 0, timeout=2000)
    assert [layer.name for layer in desk.viewer.layers] == ["blood smear 1", "cells"]
    tool = desk.use_tool(annotate, "paint_strokes")
    assert np.array_equal(tool.layer.data, painted)


def test_a_project_that_is_open_elsewhere_is_shown_and_not_changed(
    desk, annotate, monkeypatch, tmp_path
):
    tool = desk.annotate_smear(annotate, n=4)
    path, shown = desk.session.project.path, tool.layer.data.copy()
    desk.session.new_project(tmp_path / "other.convnet")
    with Project.open(path) as owner:
        desk.session.open_project(path)
        assert desk.session.project.read_only
        assert len(desk.messages) == 1
        assert "reading only" in desk.messages[0]
        assert "read only" in annotate.project_bar.label.text()
        tool = desk.use_tool(annotate, "click_cells")
        assert np.array_equal(tool.layer.data, shown)
        desk.messages.clear()
        for _ in range(3):
            desk.click(tool.labels, np.argwhere(tool.labels.data == 60)[30])
        assert len(desk.messages) == 1
        assert np.array_equal(tool.layer.data, shown)
        assert len(owner.object_annotations(owner.images()[0].id)) == 4
        choose_file(monkeypatch, tmp_path / "copy.convnet")
        annotate.project_bar.save_copy()
        desk.session.open_project(tmp_path / "copy.convnet")
        tool = desk.use_tool(annotate, "click_cells")
        desk.click(tool.labels, np.argwhere(tool.labels.data == 60)[30])
        assert sum(desk.session.class_counts()) == 5


@pytest.mark.parametrize("kind", ["newer", "no project", "missing"])
def test_a_project_that_cannot_be_opened_leaves_the_present_one_in_place(
    desk, annotate, monkeypatch, tmp_path, kind
):
    tool = desk.annotate_smear(annotate, n=4)
    path = tmp_path / "bad.convnet"
    if kind == "newer":
        Project.create(path).close()
        connection = sqlite3.connect(path)
        connection.execute("PRAGMA user_version = 99")
        connection.close()
    elif kind == "no project":
        path.write_bytes(b"no project" * 100)
    before = path.read_bytes() if path.exists() else None
    present = desk.session.project
    choose_file(monkeypatch, path)
    annotate.project_bar.open()
    assert len(desk.messages) == 1
    assert "bad.convnet" in desk.messages[0]
    assert desk.session.project is present
    assert tool.is_selected
    assert sum(desk.session.class_counts()) == 4
    assert (path.read_bytes() if path.exists() else None) == before


def test_two_viewers_have_projects_and_classes_of_their_own(
    desk, annotate, make_napari_viewer_proxy
):
    other = make_napari_viewer_proxy()
    session = session_of(other)
    other.window.add_plugin_dock_widget("napari-convnet", "Annotate")
    desk.session.add_class()
    desk.annotate_smear(annotate, n=2)
    assert len(session.classes) == 2
    assert session.project is None
    desk.wait_until_idle()


def test_a_full_history_of_docks_opened_and_closed_leaves_nothing_behind(desk):
    import gc

    from napari_convnet.widgets.dock import Dock

    desk.open_sample("blood-smear-1")
    for _ in range(5):
        docks = [desk.open_dock(name) for name in ("Annotate", "Train", "Predict")]
        desk.wait_until_idle()
        for dock in docks:
            desk.close_dock(dock)
        del dock, docks
    desk.session.set_task("segment")  # signals of the session reach no dock that is gone
    desk.session.annotations_changed.emit()
    desk.viewer.theme = "light"
    desk.viewer.layers.clear()

    def is_gone() -> bool:  # a worker may hold its last job for a moment longer
        gc.collect()
        return not [each for each in gc.get_objects() if issubclass(type(each), Dock)]

    desk.qtbot.waitUntil(is_gone, timeout=20_000)
