"""Training on a folder per class in the Train dock: counts, random samples, groups, refusals."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from dock_helpers import press
from PIL import Image
from qtpy.QtWidgets import QFileDialog

from napari_convnet.model_file import model_from_bytes
from napari_convnet.widgets.sample_grid import SampleGrid


@pytest.fixture
def folder(tmp_path):
    """Dark and bright pictures of three patients, some grey and some in colour."""
    random = np.random.default_rng(0)
    for name, level in (("bright", 180), ("dark", 60)):
        (tmp_path / "set" / name).mkdir(parents=True)
        for index in range(18):
            pixels = random.normal(level, 12, (24 + index, 30, 3)).clip(0, 255).astype(np.uint8)
            picture = Image.fromarray(pixels[..., 0] if index % 5 == 0 else pixels)
            picture.save(tmp_path / "set" / name / f"patient{index % 3}_{index}.png")
    return tmp_path / "set"


@pytest.fixture
def train(desk, folder, monkeypatch):
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(folder))
    dock = desk.open_dock("Train")
    desk.wait_until_idle()
    assert not dock.train_button.isEnabled()  # nothing is annotated
    press(dock.folder_panel.choose_button)
    desk.wait_until_idle()
    return dock


def test_a_folder_is_listed_with_its_counts_and_trained_on(desk, train, folder):
    assert train.folder_panel.text.text() == "36 images in 'set' (bright: 18, dark: 18)."
    assert train.summary.isHidden()
    assert train.train_button.isEnabled()
    train.folder_panel.together.setText(r"^(patient\d)")
    train.form.epochs.setValue(4)
    train.form.patch_size.setValue(16)
    desk.session.ensure_project()
    desk.train(train)
    assert "1 of 3 groups held out" in train.result.text(), desk.messages
    run = desk.session.project.runs()[-1]
    assert run.outcome == "finished"
    assert run.data["folder"] == str(folder)
    model = model_from_bytes(desk.session.project.model_bytes(run.id), "model")
    assert [entry.name for entry in model.card.classes] == ["bright", "dark"]
    assert model.card.patch_size is None
    assert model.card.scores["validation"]["accuracy"] >= 0.9


def test_random_samples_are_shown_with_their_classes_and_others_on_request(desk, train):
    press(train.folder_panel.samples_button)
    desk.wait_until_idle()
    grid = train.findChild(SampleGrid)
    assert len(grid.tiles) == 20
    shown = [tile.picture.toolTip() for tile in grid.tiles]
    assert len(set(shown)) == 20
    for tile in grid.tiles:
        assert f"/{tile.name.text()}/" in tile.picture.toolTip()  # the folder is the class
        assert not tile.picture.pixmap().isNull()
    press(grid.draw_button)
    desk.wait_until_idle()
    assert [tile.picture.toolTip() for tile in grid.tiles] != shown
    press(grid.close_button)


def test_a_broken_image_is_named_and_nothing_is_trained(desk, train, folder):
    (folder / "dark" / "patient0_0.png").write_bytes(b"no picture")
    desk.train(train)
    assert "patient0_0.png" in train.result.text()
    assert desk.session.model is None
    train.folder_panel.skip_broken.setChecked(True)
    train.form.epochs.setValue(1)
    desk.train(train)
    assert "1 images that cannot be read are left out" in train.result.text()
    assert desk.session.model is not None


def test_a_pattern_that_does_not_fit_is_told(desk, train):
    train.folder_panel.together.setText("slide")
    desk.train(train)
    assert "'slide' does not occur" in train.result.text()


def test_stop_while_images_are_read_leaves_everything_as_it_was(desk, train, monkeypatch):
    from napari_convnet.folders import ClassFolder

    original, reading = ClassFolder.read, threading.Event()

    def read(self, index):
        reading.set()
        time.sleep(0.1)
        return original(self, index)

    monkeypatch.setattr(ClassFolder, "read", read)
    press(train.train_button)
    desk.qtbot.waitUntil(reading.is_set, timeout=20_000)
    press(train.stop_button)
    desk.wait_until_idle()
    assert "Stopped before there was a model" in train.result.text()


def test_a_folder_without_class_folders_is_refused_and_the_dock_stays(
    desk, train, tmp_path, monkeypatch
):
    (tmp_path / "empty").mkdir()
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path / "empty"))
    press(train.folder_panel.choose_button)
    desk.wait_until_idle()
    assert "no class folders" in desk.messages[-1]
    assert train.folder_panel.text.text().startswith("36 images")
    press(train.folder_panel.leave_button)
    assert not train.summary.isHidden()
    assert not train.train_button.isEnabled()
