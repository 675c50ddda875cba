"""The Predict dock: models that are refused, images that do not fit, layers that go."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from dock_helpers import press
from qtpy.QtWidgets import QFileDialog

from napari_convnet.classes import make_classes
from napari_convnet.images import clean_image
from napari_convnet.model_file import save_model
from napari_convnet.prediction import classify_objects, object_centres
from napari_convnet.sample_data import read_sample
from napari_convnet.samples import AnnotatedObjects, ClassificationSet
from napari_convnet.settings import TrainingSettings
from napari_convnet.training import run, train
from napari_convnet.widgets.layers import layer_id, mark_of
from napari_convnet.widgets.placement import placement_of
from napari_convnet.widgets.source import Source
from synthetic_pictures import train_segmenter


@pytest.fixture(scope="module")
def model():
    """A real model for RGB cells, after two epochs."""
    sample = read_sample("blood_smear_1")
    names = sorted(set(sample.classes.values()))
    labels, centres = object_centres(sample.labels)
    values = np.array([names.index(sample.classes[label]) + 1 for label in labels])
    objects = [AnnotatedObjects(clean_image(sample.image, "YXC", "smear"), centres, values)]
    samples = ClassificationSet.from_objects(
        objects, make_classes(names), patch_size=40, channels=("red", "green", "blue")
    )
    return run(train(samples, "convnet", TrainingSettings(epochs=2), name="cells"))


@pytest.fixture
def predict(desk):
    desk.open_sample("blood-smear-2")
    return desk.open_dock("Predict")


def load(desk, predict, monkeypatch, path) -> None:
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(path), ""))
    press(predict.model_bar.load_button)


def finish(desk, predict) -> None:
    desk.qtbot.waitUntil(lambda: predict.runner.state == "idle", timeout=30_000)


def test_without_a_model_predict_and_save_cannot_be_pressed(desk, predict):
    assert not predict.predict_button.isEnabled()
    assert not predict.model_bar.save_button.isEnabled()
    assert not predict.table_button.isEnabled()
    assert "Train a model" in predict.result.text()
    predict.predict()  # as the palette does
    assert len(desk.messages) == 1


def test_a_loaded_model_classifies_every_cell(desk, predict, model, monkeypatch, tmp_path):
    save_model(model, tmp_path / "cells.safetensors")
    load(desk, predict, monkeypatch, tmp_path / "cells.safetensors")
    assert "cells (convnet" in predict.model_bar.text.text()
    press(predict.predict_button)
    finish(desk, predict)
    overlay, cells = desk.viewer.layers["cells predicted"], desk.viewer.layers["cells"]
    assert np.array_equal(overlay.data > 0, cells.data > 0)
    assert np.array_equal(overlay.scale, cells.scale)
    assert overlay.units == cells.units
    assert predict.table_button.isEnabled()
    press(predict.predict_button)
    finish(desk, predict)
    assert [layer.name for layer in desk.viewer.layers].count("cells predicted") == 1


@pytest.mark.parametrize("damage", ["pickle", "cut", "flipped bit", "missing"])
def test_a_model_file_that_cannot_be_trusted_is_refused_and_the_old_model_stays(
    desk, predict, model, monkeypatch, tmp_path, damage
):
    path = tmp_path / "cells.safetensors"
    save_model(model, path)
    load(desk, predict, monkeypatch, path)
    before, content = desk.session.model, path.read_bytes()
    if damage == "pickle":
        torch.save({"weights": torch.zeros(3)}, path)
    elif damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "flipped bit":
        middle = len(content) // 2
        path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    else:
        path.unlink()
    load(desk, predict, monkeypatch, path)
    assert len(desk.messages) == 1
    assert "cells.safetensors" in desk.messages[0]
    assert len(desk.messages[0]) <= 300
    assert desk.session.model is before
    assert predict.predict_button.isEnabled()


def test_the_mean_over_orientations_is_that_of_the_python_call_and_is_said(desk, predict, model):
    box = predict.orientations_box
    assert box.isHidden()
    desk.session.set_model(model)
    assert not box.isHidden()
    assert "8 times as long" in box.toolTip()
    image = clean_image(desk.viewer.layers["blood smear 2"].data, "YXC")
    cells = desk.viewer.layers["cells"]
    names = [entry.name for entry in model.card.classes]
    for orientations in (1, 8):
        if orientations == 8:
            box.click()
        press(predict.predict_button)
        finish(desk, predict)
        steps = classify_objects(
            model, image, *object_centres(cells.data), orientations=orientations, device="cpu"
        )
        wanted, table = run(steps).probabilities, predict.table.table
        found = table[[f"p {name}" for name in names]].to_numpy()
        np.testing.assert_allclose(found, wanted, atol=1e-6)
        assert mark_of(desk.viewer.layers["cells predicted"])["orientations"] == orientations
        assert ("mean over 8 orientations" in predict.result.text()) == (orientations == 8)
        np.testing.assert_allclose(cells.features["probability"], wanted.max(1), atol=1e-6)
    once = run(classify_objects(model, image, *object_centres(cells.data), device="cpu"))
    assert np.abs(once.probabilities - wanted).max() > 1e-3
    desk.close_dock(predict)
    assert desk.open_dock("Predict").orientations_box.isChecked()
    assert not desk.messages


def test_a_model_that_segments_offers_no_orientations_and_ignores_them(desk, predict):
    desk.session.averages_orientations = True
    desk.session.set_model(train_segmenter())
    assert predict.orientations_box.isHidden()
    grey = desk.viewer.layers["blood smear 2"].data[..., 0].astype(np.float32)
    placement = placement_of(desk.viewer.layers["cells"]).as_arguments()
    layer = desk.viewer.add_image(grey[:64, :64], name="grey", **placement)
    desk.session.set_source(Source((layer_id(layer),)))
    press(predict.predict_button)
    finish(desk, predict)
    assert "orientations" not in predict.result.text()
    assert "orientations" not in mark_of(desk.viewer.layers["grey mask"])
    assert not desk.messages


def test_a_grey_image_is_refused_by_a_model_for_colour(desk, model):
    desk.open_sample("bacteria-1")
    placement = placement_of(desk.viewer.layers[0]).as_arguments()
    cells = read_sample("bacteria_1").labels.astype(int)
    desk.viewer.add_labels(cells, name="cells", **placement)
    predict = desk.open_dock("Predict")
    predict.picker.cells.setCurrentIndex(1)
    desk.session.set_model(model)
    press(predict.predict_button)
    finish(desk, predict)
    assert len(desk.messages) == 1
    assert "3" in desk.messages[0]
    assert "channel" in desk.messages[0]
    assert len(desk.viewer.layers) == 2


def test_no_cells_and_no_patches_are_said(desk, predict, model):
    desk.viewer.layers.remove(desk.viewer.layers["cells"])
    desk.session.set_model(model)
    press(predict.predict_button)
    finish(desk, predict)
    assert len(desk.messages) == 1
    assert "no cell" in desk.messages[0]


@pytest.mark.parametrize("change", ["removed", "other pixels"])
def test_layers_that_go_while_predicting_stop_the_result_and_nothing_else(
    desk, predict, model, change
):
    desk.session.set_model(model)
    press(predict.predict_button)
    if change == "removed":
        desk.viewer.layers.remove(desk.viewer.layers["cells"])
    else:
        desk.viewer.layers["cells"].data = np.ones((40, 40), int)
    finish(desk, predict)
    assert len(desk.messages) == 1
    assert "Nothing" in desk.messages[0]
    assert "cells predicted" not in desk.viewer.layers


def test_a_locked_result_stays_as_it_is(desk, predict, model):
    desk.session.set_model(model)
    press(predict.predict_button)
    finish(desk, predict)
    overlay = desk.viewer.layers["cells predicted"]
    overlay.locked, before = True, overlay.data.copy()
    desk.viewer.layers["cells"].data = np.roll(desk.viewer.layers["cells"].data, 30, axis=0)
    press(predict.predict_button)
    finish(desk, predict)
    assert len(desk.messages) == 1
    assert "locked" in desk.messages[0]
    assert np.array_equal(overlay.data, before)


def test_locked_cells_get_colours_but_no_table(desk, predict, model):
    cells = desk.viewer.layers["cells"]
    cells.locked = True
    desk.session.set_model(model)
    press(predict.predict_button)
    finish(desk, predict)
    assert "cells predicted" in desk.viewer.layers
    assert "class" not in cells.features
    assert cells.contour == 0
    assert len(desk.messages) == 1


def test_the_table_is_not_written_where_it_cannot_be(desk, predict, model, monkeypatch, tmp_path):
    desk.session.set_model(model)
    press(predict.predict_button)
    finish(desk, predict)
    path = tmp_path / "missing" / "cells.csv"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(path), ""))
    press(predict.table_button)
    assert len(desk.messages) == 1
    assert "saved" not in predict.result.text()


def test_what_the_train_dock_predicted_is_in_the_predict_dock_too(desk, tmp_path, monkeypatch):
    train = desk.open_train_with_cells(40)
    train.form.epochs.setValue(1)
    desk.train(train)
    predict = desk.open_dock("Predict")  # opened afterwards
    assert predict.table_button.isEnabled()
    assert predict.result_table.isVisibleTo(predict)
    assert len(predict.table.table) > 40
    assert str(len(predict.table.table)) in predict.result.text()
    desk.train(train)
    assert predict.table is desk.session.prediction[0]
