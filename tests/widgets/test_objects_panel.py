"""Objects in the Predict dock: formed again from the mask at once, measured, clicked, saved."""

from __future__ import annotations

import csv
import threading

import numpy as np
import pytest
from dock_helpers import press
from qtpy.QtWidgets import QFileDialog

from napari_convnet.sample_data import read_sample
from napari_convnet.scores import match_objects
from napari_convnet.settings import ObjectSettings
from napari_convnet.widgets import background
from napari_convnet.widgets.layers import layer_id
from napari_convnet.widgets.source import Source
from synthetic_pictures import train_segmenter
from whole_object_pictures import draw_rods, train_objects

SIZE = 120


@pytest.fixture(scope="module")
def model():
    return train_segmenter()


def dumbbells():
    """Return bright pairs of touching disks, and a small one, on noise."""
    rows, columns = np.ogrid[:SIZE, :SIZE]
    mask = np.zeros((SIZE, SIZE), bool)
    for row, column, radius in (
        (30, 25, 12),
        (30, 46, 12),
        (80, 60, 12),
        (80, 81, 12),
        (60, 15, 4),
    ):
        mask |= (rows - row) ** 2 + (columns - column) ** 2 < radius**2
    noise = np.random.default_rng(1).normal(0, 8, mask.shape)
    return (100 + 40 * mask + noise).astype(np.float32)


@pytest.fixture
def predicted(desk, model):
    """The Predict dock after a prediction of the pairs."""
    layer = desk.viewer.add_image(
        dumbbells(), name="pairs", scale=(0.5, 0.25), units=("micrometer", "micrometer")
    )
    dock = desk.open_dock("Predict")
    desk.session.set_source(Source((layer_id(layer),)))
    desk.session.set_model(model)
    press(dock.predict_button)
    desk.qtbot.waitUntil(lambda: dock.runner.state == "idle", timeout=30_000)
    assert "pairs objects" in desk.viewer.layers, desk.messages
    return dock


def change(desk, dock, name, value):
    """Change a control as a person does, and wait for the objects."""
    with desk.qtbot.waitSignal(dock.objects.made, timeout=20_000):
        dock.objects.controls[name].value = value
    desk.qtbot.waitUntil(lambda: dock.objects.slot.state == "idle", timeout=20_000)


def objects_of(desk):
    return desk.viewer.layers["pairs objects"]


def test_touching_objects_join_and_part_at_once_and_the_mask_stays(desk, predicted):
    layer, mask = objects_of(desk), desk.viewer.layers["pairs mask"].data.copy()
    before = layer.data.copy()
    assert layer.data[30, 25] != layer.data[30, 46]
    assert predicted.objects.value().touching == "automatic"
    change(desk, predicted, "touching", "off")
    assert not predicted.objects.strength.isEnabled()
    assert layer.data[30, 25] == layer.data[30, 46] > 0
    assert sorted(layer.features["index"]) == list(range(1, int(layer.data.max()) + 1))
    assert predicted.result.text().startswith(f"{layer.data.max():,} objects")
    assert "1 changed" in predicted.objects.button.text()
    change(desk, predicted, "touching", "shape")
    np.testing.assert_array_equal(layer.data, before)
    np.testing.assert_array_equal(desk.viewer.layers["pairs mask"].data, mask)
    assert not desk.messages


def test_features_hold_what_is_measured_in_pixels_and_in_the_unit(desk, predicted):
    layer = objects_of(desk)
    row = layer.features.set_index("index").loc[layer.data[80, 60]]
    area = int((layer.data == layer.data[80, 60]).sum())
    assert row["area_pixels"] == area
    assert row["area_physical"] == pytest.approx(area * 0.125)
    assert row["unit"] == "micrometer"
    image = desk.viewer.layers["pairs"].data
    assert row["mean pairs"] == pytest.approx(
        image[layer.data == layer.data[80, 60]].mean(), rel=1e-4
    )
    assert row["class"] == "blob"
    change(desk, predicted, "smallest_area", 200)
    assert (layer.features["area_pixels"] >= 200).all()
    assert layer.data[60, 15] == 0
    assert len(layer.features) == layer.data.max()


def test_a_cell_is_clicked_in_objects_that_were_just_formed(desk, predicted):
    change(desk, predicted, "touching", "off")
    layer = objects_of(desk)
    annotate = desk.open_dock("Annotate")
    press(annotate.task_buttons["classify"])
    annotate.picker.cells.setCurrentIndex(annotate.picker.cells.findText("pairs objects"))
    tool = desk.use_tool(annotate, "click_cells")
    desk.click(layer, (30, 25))
    assert desk.session.class_counts()[0] == 1
    assert tool.layer.data[30, 46] == 1  # the other disk is the same object


def test_the_table_is_saved_with_every_column(desk, predicted, monkeypatch, tmp_path):
    change(desk, predicted, "drop_border", True)
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "o"), ""))
    press(predicted.table_button)
    with open(tmp_path / "o.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    layer = objects_of(desk)
    assert [int(row["label"]) for row in rows] == list(range(1, int(layer.data.max()) + 1))
    assert {
        "class",
        "area_pixels",
        "area_physical",
        "y",
        "x_physical",
        "x_max",
        "mean pairs",
        "unit",
    } <= set(rows[0])
    assert predicted.result_table.model().rowCount() == len(rows)


def test_another_prediction_and_another_dock_keep_the_settings(desk, predicted):
    change(desk, predicted, "touching", "off")
    press(predicted.predict_button)
    desk.qtbot.waitUntil(lambda: predicted.runner.state == "idle", timeout=30_000)
    layer = objects_of(desk)
    assert layer.data[30, 25] == layer.data[30, 46] > 0
    desk.close_dock(predicted)
    again = desk.open_dock("Predict")
    assert again.objects.value().touching == "off"


def test_a_locked_layer_stays_and_is_named(desk, predicted):
    layer = objects_of(desk)
    layer.locked, before = True, layer.data.copy()
    predicted.objects.controls["touching"].value = "off"
    desk.qtbot.waitUntil(lambda: "locked" in predicted.objects.status.text(), timeout=5_000)
    np.testing.assert_array_equal(layer.data, before)


def test_without_a_mask_the_settings_wait_for_the_prediction(desk):
    desk.viewer.add_image(read_sample("bacteria_1").image, name="bacteria")
    dock = desk.open_dock("Predict")
    dock.objects.controls["strength"].value = 70
    assert dock.objects.strength.value() == 70
    desk.qtbot.waitUntil(lambda: bool(dock.objects.status.text()), timeout=5_000)
    assert not background._running
    assert not desk.messages


class SlowImage:
    """An image on a disk that is only read while its gate is open."""

    def __init__(self, pixels: np.ndarray) -> None:
        self._pixels, self.gate = pixels, threading.Event()
        self.shape, self.dtype, self.ndim = pixels.shape, pixels.dtype, pixels.ndim
        self.gate.set()

    def __getitem__(self, part):
        assert self.gate.wait(30)
        return self._pixels[part]


def test_stop_ends_objects_that_are_out_of_date_for_good(desk, predicted):
    image, layer, objects = desk.viewer.layers["pairs"], objects_of(desk), predicted.objects
    before, slow = layer.data.copy(), SlowImage(dumbbells())
    image.data = slow

    def change_twice():
        slow.gate.clear()
        objects.controls["smallest_area"].value = 200
        desk.qtbot.waitUntil(lambda: objects.slot.state == "running", timeout=5_000)
        objects.controls["touching"].value = "off"
        desk.qtbot.waitUntil(lambda: objects.slot.is_outdated, timeout=5_000)
        assert objects.slot.state == "stopping"

    for is_waiting_for_the_timer in (False, True):
        change_twice()
        if is_waiting_for_the_timer:
            slow.gate.set()
            desk.qtbot.waitUntil(lambda: objects.slot.state == "idle", timeout=5_000)
        assert predicted.stop_button.isEnabled()
        press(predicted.stop_button)
        assert not predicted.stop_button.isEnabled()
        slow.gate.set()
        desk.wait_until_idle()
        desk.qtbot.wait(300)  # longer than a change waits for the next
        assert objects.slot.state == "idle"
        assert not objects.status.text().endswith("…")
        np.testing.assert_array_equal(layer.data, before)
        objects.set_value(ObjectSettings())
    change_twice()
    with desk.qtbot.waitSignal(objects.made, timeout=20_000):
        slow.gate.set()
    assert layer.data[30, 25] == layer.data[30, 46] > 0
    desk.qtbot.waitUntil(lambda: not predicted.stop_button.isEnabled(), timeout=5_000)
    assert not desk.messages


def test_a_plane_of_a_stack_is_formed_again_and_the_other_stays(desk, model):
    stack = np.stack([dumbbells(), dumbbells()[::-1]])
    layer = desk.viewer.add_image(stack, name="pairs")
    dock = desk.open_dock("Predict")
    desk.session.set_source(Source((layer_id(layer),)))
    desk.session.set_model(model)
    for plane in (0, 1):
        desk.viewer.dims.set_point(0, plane)
        press(dock.predict_button)
        desk.qtbot.waitUntil(lambda: dock.runner.state == "idle", timeout=30_000)
    before = objects_of(desk).data.copy()
    change(desk, dock, "touching", "off")
    after = objects_of(desk).data
    np.testing.assert_array_equal(after[0], before[0])
    assert after[1].max() < before[1].max()


def test_objects_are_formed_again_by_what_the_model_learned_of_whole_ones(desk):
    model = train_objects()
    image, truth = draw_rods(11)
    layer = desk.viewer.add_image(np.stack([image.pixels[0]] * 2), name="rods")
    dock = desk.open_dock("Predict")
    desk.session.set_source(Source((layer_id(layer),)))
    desk.session.set_model(model)
    press(dock.predict_button)
    desk.qtbot.waitUntil(lambda: dock.runner.state == "idle", timeout=30_000)
    plane = desk.viewer.dims.current_step[0]
    found = desk.viewer.layers["rods objects"].data[plane].copy()
    assert match_objects(truth, found).average_precision > 0.8
    change(desk, dock, "touching", "shape")
    assert desk.viewer.layers["rods objects"].data[plane].max() < truth.max()
    change(desk, dock, "touching", "automatic")
    np.testing.assert_array_equal(desk.viewer.layers["rods objects"].data[plane], found)
