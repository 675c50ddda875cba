"""The list of images: what the project holds, one click away, found again when folders move."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import tifffile
from dock_helpers import press
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QFileDialog, QWidget

from napari_convnet.project import content_hash
from napari_convnet.widgets.image_list import ImageList
from napari_convnet.widgets.layers import layer_id


@pytest.fixture
def images(desk):
    """The list in a dock of its own."""
    dock = QWidget()
    desk.viewer.window.add_dock_widget(dock, name="images")
    images = ImageList(dock, desk.session)
    images.setParent(dock)
    images.show()
    yield images
    desk.wait_until_idle()
    images.release()


def add_files(desk, folder, n=4, side=60) -> list:
    """Write images of equal size and different pixels, and add them to the project."""
    folder.mkdir(parents=True, exist_ok=True)
    project, ids = desk.session.ensure_project(), []
    for number in range(n):
        pixels = np.random.default_rng(number).integers(0, 255, (side, side), dtype=np.uint8)
        path = folder / f"field {number}.tif"
        tifffile.imwrite(path, pixels)
        ids.append(
            project.add_image(
                name=path.stem, source=str(path), shape=pixels.shape, dtype="uint8", axes="YX",
                content_hash=content_hash(pixels),
            )
        )  # fmt: skip
    return ids


def open_list(desk, images) -> None:
    press(images.toggle)
    wait(desk, images)


def wait(desk, images) -> None:
    desk.qtbot.waitUntil(
        lambda: images.looking.state == images.finding.state == "idle", timeout=20_000
    )


def texts(images, column=0) -> list[str]:
    return [item.text(column) for item in images._items()]


def click(images, row) -> None:
    place = images.tree.visualItemRect(images._items()[row]).center()
    QTest.mouseClick(images.tree.viewport(), Qt.MouseButton.LeftButton, pos=place)


def test_it_shows_pictures_counts_and_what_images_are_for(desk, images, tmp_path):
    ids = add_files(desk, tmp_path / "data")
    project = desk.session.project
    for x in (10, 20, 30):
        project.add_patch(ids[1], (), (5, x), 8, 1)
    project.write_painting(ids[2], (), np.ones((60, 60), np.uint8))
    open_list(desk, images)
    assert images.toggle.text() == "Images (4)"
    assert texts(images) == [f"field {number}" for number in range(4)]
    assert texts(images, 1) == ["0", "3", "painted", "0"]
    assert all(not item.icon(0).isNull() for item in images._items())
    for row in (1, 3):
        images._items()[row].setSelected(True)
    images.split.setCurrentIndex(2)
    images.split.activated.emit(2)
    assert project.splits() == {ids[1]: "validation", ids[3]: "validation"}
    assert texts(images, 2) == ["automatic", "validation", "automatic", "validation"]
    project.add_patch(ids[0], (), (5, 5), 8, 1)
    desk.session.annotations_changed.emit()
    desk.qtbot.waitUntil(lambda: texts(images, 1)[0] == "1")


def test_a_click_opens_an_image_once_and_keys_go_on(desk, images, tmp_path):
    add_files(desk, tmp_path / "data")
    open_list(desk, images)
    click(images, 2)
    assert [layer.name for layer in desk.viewer.layers] == ["field 2"]
    assert desk.session.source.image_ids == (layer_id(desk.viewer.layers[0]),)
    click(images, 2)
    assert len(desk.viewer.layers) == 1
    images.tree.setFocus()
    QTest.keyClick(images.tree, Qt.Key.Key_PageDown)
    assert [layer.name for layer in desk.viewer.layers if layer.visible] == ["field 3"]
    QTest.keyClick(images.tree, Qt.Key.Key_PageDown)
    assert [layer.name for layer in desk.viewer.layers if layer.visible] == ["field 0"]
    QTest.keyClick(images.tree, Qt.Key.Key_PageUp)
    assert [layer.name for layer in desk.viewer.layers if layer.visible] == ["field 3"]
    assert len(desk.viewer.layers) == 3


def test_the_tool_goes_along_to_the_next_image(desk, images, tmp_path):
    ids = add_files(desk, tmp_path / "data")
    open_list(desk, images)
    click(images, 0)
    dock = desk.open_dock("Annotate")
    tool = desk.use_tool(dock, "pick_patches")
    assert tool.image.image_id == ids[0]
    tool.pick_at((20, 20))
    # The list may be refreshed while the next one is being opened, with the focus elsewhere.
    images.tree.clearFocus()
    desk.viewer.layers.events.inserted.connect(
        lambda event: images.refresh() if event.value.name == "field 1" else None
    )
    images.next_image()
    assert [item.text(0) for item in images.tree.selectedItems()] == ["field 1"]
    desk.qtbot.waitUntil(lambda: not dock._opener.is_busy, timeout=10_000)
    tool = desk.session.active_tool
    assert tool.is_selected
    assert tool.image.image_id == ids[1]
    shown = [layer.name for layer in desk.viewer.layers if layer.visible]
    assert shown == ["field 1", "field 1 patches"]
    images.previous_image()
    desk.qtbot.waitUntil(lambda: not dock._opener.is_busy, timeout=10_000)
    assert desk.session.active_tool.image.image_id == ids[0]
    assert len(desk.session.active_tool.patches()) == 1


def test_moved_files_are_found_by_their_pixels(desk, images, tmp_path, monkeypatch):
    """One was renamed, one has a false friend of its name and size, one is gone for good."""
    ids = add_files(desk, tmp_path / "old")
    new = tmp_path / "new" / "deep"
    new.mkdir(parents=True)
    shutil.move(tmp_path / "old" / "field 0.tif", new / "field 0.tif")
    shutil.move(tmp_path / "old" / "field 1.tif", new / "renamed.tif")
    (tmp_path / "old" / "field 2.tif").unlink()
    shutil.copy(new / "field 0.tif", new / "field 2.tif")
    open_list(desk, images)
    assert texts(images)[:3] == [f"missing: field {number}" for number in range(3)]
    assert images.status.text() == "3 of 4 files are not where they were."
    click(images, 2)
    assert "is not there" in desk.messages[-1]
    assert len(desk.viewer.layers) == 0
    wait(desk, images)
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path / "new"))
    press(images.find_button)
    wait(desk, images)
    sources = {image.id: image.source for image in desk.session.project.images()}
    assert sources[ids[0]] == str(new / "field 0.tif")
    assert sources[ids[1]] == str(new / "renamed.tif")
    assert sources[ids[2]].startswith(str(tmp_path / "old"))
    assert "Found 2 of 3 missing images in 'new'." in desk.messages
    assert texts(images) == ["field 0", "field 1", "missing: field 2", "field 3"]


def test_two_hundred_images_are_listed_at_once(desk, images, tmp_path):
    add_files(desk, tmp_path / "data", n=200, side=16)
    open_list(desk, images)
    assert len(images._items()) == 200
    assert not images._items()[199].icon(0).isNull()


def test_another_project_brings_its_own_images(desk, images, tmp_path):
    add_files(desk, tmp_path / "data", n=2)
    open_list(desk, images)
    desk.session.new_project(tmp_path / "other.convnet")
    assert texts(images) == []
    assert images.toggle.text() == "Images"
    images.next_image()
    assert "no images yet" in desk.messages[-1]
