"""A project opened like any file, by the command line, File > Open or a drop; recent and lost ones."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing

import numpy as np
import pytest
import tifffile
from qtpy.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from qtpy.QtGui import QDropEvent
from qtpy.QtWidgets import QApplication

from napari_convnet.classes import make_classes
from napari_convnet.project import Project, content_hash
from napari_convnet.widgets import recent_projects


def picture(path, seed=0):
    """Write a small picture and return its pixels."""
    pixels = np.random.default_rng(seed).integers(0, 255, (64, 80), dtype=np.uint8)
    tifffile.imwrite(path, pixels)
    return pixels


@pytest.fixture
def stored(tmp_path):
    """A project of two images, one of which has gone."""
    path = tmp_path / "cells.convnet"
    with Project.create(path) as project:
        project.set_classes("classify", make_classes(["round", "long", "odd"]))
        project.set_classes("segment", make_classes(["back", "cell"]))
        for name in ("a.tif", "gone.tif"):
            pixels = picture(tmp_path / name, seed=len(name))
            project.add_image(
                name, str(tmp_path / name), pixels.shape, "uint8", "YX",
                content_hash=content_hash(pixels),
            )  # fmt: skip
        project.add_patch(1, (), (20, 30), 16, 3)
    (tmp_path / "gone.tif").unlink()
    return path


def drop(viewer, path) -> None:
    """Drop a file on the window as a file manager does."""
    window = getattr(viewer, "__wrapped__", viewer).window._qt_viewer
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path))])
    event = QDropEvent(
        QPointF(QPoint(50, 50)), Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )  # fmt: skip
    window.dropEvent(event)
    QApplication.processEvents()


def open_by_menu(viewer, path) -> None:
    """Do what File > Open does once a file is chosen, and what the command line does."""
    window = getattr(viewer, "__wrapped__", viewer).window._qt_viewer
    window._qt_open([str(path)], stack=False)
    QApplication.processEvents()


@pytest.mark.parametrize(
    "how", [open_by_menu, drop, lambda viewer, path: viewer.open(path, plugin=None)]
)
def test_a_project_is_opened_like_any_file_with_its_dock_and_images(desk, stored, how):
    how(desk.viewer, stored)
    assert desk.session.project.path == stored
    assert not desk.session.project.read_only
    assert [info.name for info in desk.session.classes] == ["round", "long", "odd"]
    assert desk.session.class_counts() == [0, 0, 1]
    assert "Annotate (napari-convnet)" in desk.viewer.window.dock_widgets
    (layer,) = desk.viewer.layers
    assert (layer.name, str(layer.source.path)) == ("a", str(stored.parent / "a.tif"))
    (message,) = desk.messages
    assert "'gone.tif' could not be opened" in message


def test_the_annotations_of_an_image_opened_with_its_project_are_shown(desk, stored):
    desk.viewer.open(stored, plugin=None)
    dock = desk.open_dock("Annotate")
    tool = desk.use_tool(dock, "pick_patches")
    assert len(tool.layer.data) == 1
    assert len(desk.session.project.images()) == 2


def test_a_project_that_is_open_is_not_opened_twice_nor_its_images(desk, stored):
    desk.viewer.open(stored, plugin=None)
    project = desk.session.project
    desk.messages.clear()
    desk.viewer.open(stored, plugin=None)
    assert desk.session.project is project
    assert not project.read_only
    assert len(desk.viewer.layers) == 1
    assert desk.messages == ["'cells.convnet' is open already."]


@pytest.mark.parametrize("kind", ["newer", "foreign", "cut short"])
def test_a_file_that_cannot_be_opened_says_why_and_changes_nothing(desk, stored, kind):
    if kind == "newer":
        with closing(sqlite3.connect(stored)) as raw:
            raw.execute("PRAGMA user_version = 99")
    elif kind == "foreign":
        stored.write_bytes(b"PK\x03\x04" * 100)
    else:
        stored.write_bytes(stored.read_bytes()[:5000])
    before = stored.read_bytes()
    open_by_menu(desk.viewer, stored)
    (message,) = desk.messages
    assert message.startswith("'cells.convnet' was")
    assert "not changed" in message
    assert desk.session.project is None
    assert stored.read_bytes() == before
    assert len(desk.viewer.layers) == 0


def test_an_image_that_no_reader_can_read_does_not_keep_the_project_closed(desk, stored):
    (stored.parent / "a.xyz").write_bytes(b"no picture")
    with Project.open(stored) as project:
        project.set_image_source(1, str(stored.parent / "a.xyz"))
    desk.viewer.open(stored, plugin=None)
    assert desk.session.project.path == stored
    (message,) = desk.messages
    assert "'gone.tif' and 1 more could not be opened" in message


def test_of_a_large_project_the_first_images_are_opened(desk, tmp_path):
    with Project.create(tmp_path / "large.convnet") as project:
        for k in range(8):
            picture(tmp_path / f"{k}.tif", seed=k)
            project.add_image(f"{k}", str(tmp_path / f"{k}.tif"), (64, 80), "uint8", "YX")
    desk.viewer.open(tmp_path / "large.convnet", plugin=None)
    assert [layer.name for layer in desk.viewer.layers] == ["0", "1", "2", "3", "4"]
    assert desk.messages == ["3 more images belong to this project. Open them when you need them."]


def test_a_project_open_in_another_program_is_opened_for_reading_and_says_so(desk, stored):
    script = (
        "import sys; from napari_convnet.project import Project\n"
        "with Project.open(sys.argv[1]) as project:\n"
        "    print(project.read_only, flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", script, str(stored)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "False\n"
        desk.viewer.open(stored, plugin=None)
        assert desk.session.project.read_only
        message = next(line for line in desk.messages if "reading only" in line)
        assert f"process {other.pid} on" in message
        other.communicate("")
    (stored.parent / "second").mkdir()
    desk.session.new_project(stored.parent / "second" / "b.convnet")
    desk.viewer.open(stored, plugin=None)
    assert not desk.session.project.read_only


def test_the_reader_takes_project_files_only():
    from napari_convnet.widgets.project_reader import get_reader

    assert get_reader("/a/b.CONVNET") is not None
    assert get_reader("/a/b.tif") is None
    assert get_reader(["/a/b.convnet", "/a/c.convnet"]) is None


@pytest.fixture
def _no_list():
    """Begin without recent projects."""
    recent_projects.list_file().unlink(missing_ok=True)


def recent_names(dock):
    menu = dock.project_bar.recent_button.menu()
    menu.aboutToShow.emit()
    return [action.text() for action in menu.actions()]


@pytest.mark.usefixtures("_no_list")
def test_the_last_projects_are_offered_newest_first(desk, tmp_path):
    dock = desk.open_dock("Annotate")
    assert recent_names(dock) == ["none yet"]
    for number in range(12):
        desk.session.new_project(tmp_path / f"r&d {number}.convnet")
    assert recent_names(dock) == [f"r&&d {number}.convnet" for number in range(11, 1, -1)]
    (tmp_path / "r&d 10.convnet").unlink()
    assert recent_names(dock) == [f"r&&d {n}.convnet" for n in (11, *range(9, 0, -1))]
    dock.project_bar.recent_button.menu().actions()[2].trigger()
    assert desk.session.project.path == tmp_path / "r&d 8.convnet"
    assert recent_names(dock)[:2] == ["r&&d 8.convnet", "r&&d 11.convnet"]
    assert not desk.messages


@pytest.mark.parametrize("text", ["", "[", "{}", "7", '[1, null, "", "\\u0000"]', "[" * 99_999])
@pytest.mark.usefixtures("_no_list")
def test_a_damaged_list_of_recent_projects_is_an_empty_one(tmp_path, text):
    recent_projects.list_file().parent.mkdir(parents=True, exist_ok=True)
    recent_projects.list_file().write_text(text)
    assert recent_projects.recent_projects() == ()
    (tmp_path / "a.convnet").touch()
    recent_projects.remember_project(tmp_path / "a.convnet")
    assert recent_projects.recent_projects() == (tmp_path / "a.convnet",)


@pytest.mark.usefixtures("_no_list")
def test_a_list_that_cannot_be_written_disturbs_nobody(tmp_path):
    recent_projects.list_file().mkdir(parents=True)
    try:
        recent_projects.remember_project(tmp_path / "a.convnet")
        assert recent_projects.recent_projects() == ()
    finally:
        recent_projects.list_file().rmdir()
