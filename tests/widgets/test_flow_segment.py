"""Flow B: paint strokes, train a UNet, see mask and objects, save, load, apply, use the objects as cells."""

from __future__ import annotations

import numpy as np
from dock_helpers import CONTROL, SHIFT, press
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog

from napari_convnet.sample_data import read_sample
from napari_convnet.widgets.layers import layer_id


def iou(mask, truth) -> float:
    return float((mask & truth).sum() / (mask | truth).sum())


def test_painted_strokes_train_a_unet_that_segments_another_image(desk, monkeypatch, tmp_path):
    desk.open_sample("bacteria-1")
    annotate, train = desk.open_dock("Annotate"), desk.open_dock("Train")
    press(annotate.task_buttons["segment"])
    tool = desk.paint_bacteria(annotate, by_mouse=6)
    annotate.session.save_tools()
    painted = [int((tool.layer.data == value).sum()) for value in (1, 2)]
    assert desk.session.class_counts() == painted
    assert min(painted) > 200
    desk.train(train)  # with every setting as the dock offers it
    assert "Mean IoU" in train.result.text()
    truth = read_sample("bacteria_1").labels > 0
    assert iou(desk.viewer.layers["bacteria 1 mask"].data == 2, truth) >= 0.8
    objects = desk.viewer.layers["bacteria 1 objects"]
    assert sorted(objects.features["index"]) == list(range(1, int(objects.data.max()) + 1))
    assert set(objects.features["class"]) == {"object"}
    assert tool.is_selected  # the person can go on painting

    path = tmp_path / "bacteria.safetensors"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(path), ""))
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(path), ""))
    press(train.model_bar.save_button)
    desk.session.model = None
    desk.open_sample("bacteria-2")
    predict = desk.open_dock("Predict")
    predict.picker.images.itemClicked.emit(predict.picker.images.item(1))
    assert predict.picker.value().image_ids == (layer_id(desk.viewer.layers["bacteria 2"]),)
    press(predict.model_bar.load_button)
    press(predict.predict_button)
    desk.qtbot.waitUntil(lambda: predict.runner.state == "idle", timeout=60_000)
    truth = read_sample("bacteria_2").labels > 0
    assert iou(desk.viewer.layers["bacteria 2 mask"].data == 2, truth) >= 0.8
    assert not desk.messages


def test_strokes_of_the_brush_are_in_the_project_soon_and_undone_with_it(desk):
    desk.open_sample("bacteria-1")
    annotate = desk.open_dock("Annotate")
    press(annotate.task_buttons["segment"])
    tool = desk.use_tool(annotate, "paint_strokes")
    assert tool.layer.mode == "paint"
    for value, row in ((1, 60), (2, 120)):
        desk.choose_class(value)
        desk.stroke(tool.layer, [(row, 50), (row, 80), (row, 110)])
    desk.qtbot.waitUntil(lambda: all(desk.session.class_counts()), timeout=2000)
    (image,) = desk.session.project.images()

    def stored() -> np.ndarray:
        return desk.session.project.read_painting(image.id, (), tool.layer.data.shape)

    assert np.array_equal(stored(), tool.layer.data)
    assert (tool.layer.data[118:123, 50:110] == 2).all()
    desk.key(Qt.Key.Key_Z, CONTROL)
    desk.qtbot.waitUntil(lambda: desk.session.class_counts()[1] == 0, timeout=2000)
    assert not (stored() == 2).any()
    desk.key(Qt.Key.Key_Z, CONTROL | SHIFT)
    desk.qtbot.waitUntil(lambda: desk.session.class_counts()[1] > 0, timeout=2000)
    assert np.array_equal(stored(), tool.layer.data)


def test_objects_of_a_segmentation_serve_as_cells_to_classify(desk):
    from napari_convnet.widgets.layers import objects_layer_data
    from napari_convnet.widgets.placement import placement_of

    desk.open_sample("bacteria-1")
    annotate = desk.open_dock("Annotate")
    image = desk.viewer.layers[0]
    labels = read_sample("bacteria_1").labels.astype(np.int32)
    data = objects_layer_data(
        labels, placement_of(image), name="objects", kind="predicted-objects", source="x"
    )
    layer = desk.viewer.add_labels(data[0], **data[1])
    press(annotate.task_buttons["classify"])
    annotate.picker.cells.setCurrentIndex(annotate.picker.cells.findText("objects"))
    tool = desk.use_tool(annotate, "click_cells")
    desk.click(layer, np.argwhere(labels == 5)[20])
    assert desk.session.class_counts() == [1, 0]
    # New objects: the annotation stays in the project, but is not laid over another cell.
    layer.data = np.roll(labels, 9, axis=0)
    tool = desk.use_tool(annotate, "click_cells")
    assert not tool.layer.data.any()
    assert any("neither shown nor learned" in message for message in desk.messages)
    assert desk.session.class_counts() == [1, 0]
