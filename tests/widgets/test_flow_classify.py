"""Flow A: click cells, train, see every cell in the colour of its class, save, load, apply."""

from __future__ import annotations

import numpy as np
import pytest
from dock_helpers import ALT, CONTROL, SHIFT, press
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog

from napari_convnet.sample_data import read_sample
from napari_convnet.widgets.layers import mark_of


def accuracy_of(features, classes) -> float:
    table = features.set_index("index")
    return float(np.mean([table.loc[label, "class"] == name for label, name in classes.items()]))


def test_clicked_cells_train_a_model_that_is_right_on_another_image(desk, monkeypatch, tmp_path):
    desk.open_sample("blood-smear-1")
    annotate, train = desk.open_dock("Annotate"), desk.open_dock("Train")
    desk.annotate_smear(annotate, by_mouse=6)
    assert sum(desk.session.class_counts()) == 100
    train.form.epochs.setValue(30)
    desk.train(train)
    assert "Finished" in train.time_line.text()
    assert "best of 30 epochs" in train.time_line.text()
    assert "Accuracy" in train.result.text()
    assert "150 cells" in train.result.text()
    own = desk.viewer.layers["cells"].features
    assert accuracy_of(own, read_sample("blood_smear_1").classes) >= 0.9
    assert own["probability"].between(0.25, 1).all()
    overlay = desk.viewer.layers["cells predicted"]
    cell = own.iloc[10]
    value = [c.name for c in desk.session.classes].index(cell["class"]) + 1
    assert overlay.data[desk.viewer.layers["cells"].data == cell["index"]].tolist() == [
        value
    ] * int((desk.viewer.layers["cells"].data == cell["index"]).sum())

    path = tmp_path / "cells.safetensors"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(path), ""))
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(path), ""))
    press(train.model_bar.save_button)
    assert path.exists()
    desk.viewer.layers.clear()
    desk.open_sample("blood-smear-2")
    predict = desk.open_dock("Predict")
    press(predict.model_bar.load_button)
    press(predict.predict_button)
    desk.qtbot.waitUntil(lambda: predict.runner.state == "idle", timeout=60_000)
    features = desk.viewer.layers["cells"].features
    assert accuracy_of(features, read_sample("blood_smear_2").classes) >= 0.9
    assert {"class", "probability", "p normal"} <= set(features)
    table = tmp_path / "cells.csv"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(table), ""))
    press(predict.table_button)
    assert table.read_text().startswith("index,class,probability")
    assert not desk.messages


def test_clicks_and_keys_on_the_canvas_annotate_undo_and_redo(desk):
    desk.open_sample("blood-smear-1")
    annotate = desk.open_dock("Annotate")
    tool = desk.use_tool(annotate, "click_cells")
    cells = tool.labels.data
    first, second = (np.argwhere(cells == label)[30] for label in (20, 40))
    desk.choose_class(2)
    desk.click(tool.labels, first)
    desk.choose_class(1)
    desk.click(tool.labels, second)
    assert desk.session.class_counts() == [1, 1]
    assert tool.layer.data[tuple(first)] == 2
    assert tool.layer.data[tuple(second)] == 1
    desk.key(Qt.Key.Key_Z, CONTROL)
    assert desk.session.class_counts() == [0, 1]
    assert tool.layer.data[tuple(second)] == 0
    desk.key(Qt.Key.Key_Z, CONTROL | SHIFT)
    assert desk.session.class_counts() == [1, 1]
    desk.click(tool.labels, first, ALT)
    assert desk.session.class_counts() == [1, 0]
    background = np.argwhere(cells == 0)[50_000]
    desk.click(tool.labels, background)
    assert desk.session.class_counts() == [1, 0]
    desk.choose_class(9)  # there is no ninth class
    assert desk.session.current_class == 1


def test_a_drag_pans_and_annotates_nothing(desk):
    desk.open_sample("blood-smear-1")
    tool = desk.use_tool(desk.open_dock("Annotate"), "click_cells")
    start = np.argwhere(tool.labels.data == 20)[30]
    before = desk.canvas_centre
    desk.stroke(tool.labels, [start, start + np.array([10, 60]), start + np.array([20, 150])])
    assert sum(desk.session.class_counts()) == 0
    assert desk.canvas_centre != before


def test_patches_are_picked_trained_on_and_predicted_where_there_are_no_labels(desk):
    desk.open_sample("blood-smear-1")
    desk.viewer.layers.remove(desk.viewer.layers["cells"])
    sample = read_sample("blood_smear_1")
    annotate, train = desk.open_dock("Annotate"), desk.open_dock("Train")
    assert not annotate.tool_buttons["click_cells"].isEnabled()
    tool = desk.use_tool(annotate, "pick_patches")
    for index, label in enumerate(
        [k for k, name in sample.classes.items() if name in ("normal", "sickled")][:40]
    ):
        place = np.argwhere(sample.labels == label).mean(0)
        value = 1 if sample.classes[label] == "normal" else 2
        if index < 4:
            desk.choose_class(value)
            desk.click(desk.viewer.layers[0], place)
        else:
            desk.session.set_current_class(value)
            tool.pick_at(tuple(place))
    assert sum(desk.session.class_counts()) == 40
    desk.qtbot.waitUntil(lambda: len(tool.layer.data) == 40)
    desk.key(Qt.Key.Key_Z, CONTROL)
    assert len(tool.layer.data) == 39
    train.form.epochs.setValue(12)
    desk.train(train)
    assert "39 patches" in train.result.text()
    assert desk.session.model.card.patch_size == annotate.patch_form.size.value()
    predicted = desk.viewer.layers["blood smear 1 predicted patches"]
    assert predicted.features["class"].isin(["class 1", "class 2"]).all()
    mark = mark_of(predicted)
    assert (mark["model"], mark["orientations"]) == (desk.session.model.card.name, 1)
    shown = np.mean(
        [
            name == f"class {patch.value}"
            for name, patch in zip(predicted.features["class"], tool.patches(), strict=True)
        ]
    )
    assert shown >= 0.85
    assert tool.is_selected  # the person can go on picking


@pytest.mark.parametrize("value", [1, 2])
def test_patches_and_clicked_cells_of_one_image_are_learned_together(desk, value):
    from napari_convnet.widgets.training_data import collect_planes

    desk.open_sample("blood-smear-1")
    annotate = desk.open_dock("Annotate")
    tool = desk.annotate_smear(annotate, n=5)
    patches = desk.use_tool(annotate, "pick_patches")
    desk.session.set_current_class(value)
    patches.pick_at((100.0, 100.0))
    (plane,) = collect_planes(desk.session)
    assert plane.labels.tolist().count(0) == 1
    assert len(plane.labels) == 6
    assert plane.patch_sizes == (48,)
    assert plane.values[list(plane.labels).index(0)] == value
    assert plane.arrays.labels.shape == tool.labels.data.shape
