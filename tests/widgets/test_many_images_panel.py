"""Many images in the Predict dock: chosen, applied, stopped and gone on with, looked at row by row."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import tifffile
from dock_helpers import press
from qtpy.QtCore import QPoint, Qt, QUrl
from qtpy.QtGui import QDesktopServices
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QFileDialog

from napari_convnet.widgets.layers import layer_id
from synthetic_pictures import draw_blobs, write_fields

N = 5


@pytest.fixture
def images(tmp_path):
    """Five fields of blobs with pixels of a quarter of a micrometre, and a file that is none."""
    folder = write_fields(tmp_path / "plate", N)
    (folder / "notes.tif").write_bytes(b"no picture")
    return folder


@pytest.fixture
def dock(desk):
    return desk.open_dock("Predict")


@pytest.fixture
def panel(desk, dock, images, segmenter, monkeypatch):
    """The unfolded part with a model and the folder chosen."""
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(images))
    panel = dock.many_images
    press(panel.button)
    press(panel.folder_button)
    desk.wait_until_idle()
    assert not panel.start_button.isEnabled()  # there is no model
    desk.session.set_model(segmenter)
    return panel


def run(desk, panel):
    states = []  # of every change: a short job may be over before the click returns

    def note_state() -> None:
        states.append(panel.slot.state)

    panel.slot.changed.connect(note_state)
    press(panel.start_button)
    panel.slot.changed.disconnect(note_state)
    assert states[:1] == ["running"], desk.messages
    desk.qtbot.waitUntil(lambda: panel.slot.state == "idle", timeout=60_000)


def click_row(desk, panel, number):
    """Click a row of the summary and wait for its layers."""
    panel.table.scrollTo(panel.table.model().index(number, 0))
    place = panel.table.visualRect(panel.table.model().index(number, 0)).center()
    QTest.mouseClick(panel.table.viewport(), Qt.MouseButton.LeftButton, pos=QPoint(place))
    desk.wait_until_idle()


def row_of(panel, name):
    return [image.path.name for image in panel.table.images].index(name)


def summary(folder):
    with (folder / "summary.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_folder_is_done_and_the_summary_is_what_is_on_the_disk(desk, panel, images, segmenter):
    assert panel.chosen.text() == "6 images in 'plate'"
    out = images.with_name(f"plate_{segmenter.card.name}")
    assert panel.output.text() == str(out)
    run(desk, panel)
    assert panel.status.text() == "5 of 6 images done, 1 could not be used."
    rows = summary(out)
    assert [image.path.name for image in panel.table.images] == [
        row["image"].rpartition("/")[2] for row in rows
    ]
    for number, row in enumerate(rows):
        assert panel.table.text(number, "objects") == row["objects"]
        assert panel.table.text(number, "problem") == row["problem"]
    assert sum(bool(image.problem) for image in panel.table.images) == 1
    assert not desk.messages


def test_a_row_opens_its_image_with_mask_objects_and_table(desk, panel, images):
    run(desk, panel)
    out = images.with_name(panel.output.text().rpartition("/")[2])
    for number in (1, 4):
        click_row(desk, panel, row_of(panel, f"field_{number}.tif"))
        name, layers = f"field_{number}", desk.viewer.layers
        assert np.array_equal(layers[name].data, draw_blobs(number)[0])
        objects = tifffile.imread(out / f"{name}_objects.tif")
        assert np.array_equal(layers[f"{name} objects"].data, objects)
        assert np.array_equal(
            layers[f"{name} mask"].data, tifffile.imread(out / f"{name}_classes.tif")
        )
        assert layers[f"{name} objects"].scale == pytest.approx([0.25, 0.25])
        features = layers[f"{name} objects"].features
        assert sorted(features["index"]) == list(range(1, objects.max() + 1))
        assert desk.session.source.image_ids == (layer_id(layers[name]),)
    assert not desk.viewer.layers["field_1"].visible  # as another row was opened
    n_layers = len(desk.viewer.layers)
    click_row(desk, panel, row_of(panel, "field_1.tif"))
    assert len(desk.viewer.layers) == n_layers
    assert desk.viewer.layers["field_1 objects"].visible
    assert not desk.viewer.layers["field_4 objects"].visible
    assert not desk.messages
    click_row(desk, panel, row_of(panel, "notes.tif"))
    assert "CN-634" in desk.messages[-1]


def test_stop_keeps_whole_images_and_start_goes_on_with_the_rest(desk, panel, images):
    for seed in range(N, 30):
        tifffile.imwrite(images / f"field_{seed}.tif", draw_blobs(seed)[0])
    press(panel.start_button)
    desk.qtbot.waitUntil(lambda: len(panel.table.images) >= 2, timeout=60_000)
    press(panel.stop_button)
    desk.qtbot.waitUntil(lambda: panel.slot.state == "idle", timeout=60_000)
    n_first = len(panel.table.images)  # the broken one is the last
    assert 2 <= n_first < 31
    assert "left: Start goes on" in panel.status.text()
    run(desk, panel)
    assert f"{n_first:,} of them before" in panel.status.text()
    assert len(panel.table.images) == 31
    assert len(summary(images.with_name(panel.output.text().rpartition("/")[2]))) == 31


def test_other_settings_are_refused_until_it_starts_over(desk, dock, panel):
    run(desk, panel)
    dock.objects.controls["smallest_area"].value = 150
    desk.wait_until_idle()
    run(desk, panel)
    assert "smallest_area: 20, now 150" in panel.status.text()
    assert "smallest_area" in desk.messages[-1]
    assert len(panel.table.images) == 6
    panel.start_over.setChecked(True)
    assert panel.start_over.isChecked()
    run(desk, panel)
    assert panel.status.text() == "5 of 6 images done, 1 could not be used."
    assert not panel.start_over.isChecked()


def test_cells_of_label_images_are_classified_and_shown(
    desk, panel, images, classifier, tmp_path, monkeypatch
):
    labels = tmp_path / "labels"
    labels.mkdir()
    for seed in range(N):
        grid = np.kron(np.arange(9).reshape(3, 3), np.ones((32, 32))).astype(np.uint8)
        tifffile.imwrite(labels / f"field_{seed}.tif", grid)
    desk.session.set_model(classifier)
    assert panel.labels_text.text() == "Each image is classified as a whole."
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(labels))
    press(panel.labels_button)
    panel.output.setText(str(tmp_path / "cells"))
    run(desk, panel)
    assert "labels" in panel.labels_text.text()
    number = row_of(panel, "field_2.tif")
    assert panel.table.text(number, "objects") == "8"
    click_row(desk, panel, number)
    shown = desk.viewer.layers["field_2 labels predicted"].data
    assert np.array_equal(shown, tifffile.imread(tmp_path / "cells" / "field_2_classes.tif"))
    assert "probability" in desk.viewer.layers["field_2 labels"].features
    assert not desk.messages


def test_the_folder_of_results_is_opened_once_it_is_there(desk, panel, monkeypatch):
    opened = []
    monkeypatch.setattr(QDesktopServices, "openUrl", lambda url: opened.append(url))
    assert not panel.open_button.isEnabled()
    run(desk, panel)
    press(panel.open_button)
    assert opened == [QUrl.fromLocalFile(panel.output.text())]
