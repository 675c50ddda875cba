"""Strokes on some slices of a stack, unet3d in the Train dock, and the whole stack segmented with its objects."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from dock_helpers import press

from napari_convnet import clean_image, run
from napari_convnet.classes import make_classes
from napari_convnet.prediction.volumes import predict_volume
from napari_convnet.widgets.layers import layer_id, mark_of
from napari_convnet.widgets.preferences import read_preferences
from napari_convnet.widgets.resuming import request_again
from napari_convnet.widgets.source import Source

SHAPE = (8, 40, 48)


def draw_stack(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Draw bright balls on noise."""
    planes, rows, columns = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    balls = np.zeros(SHAPE, bool)
    for z, row, column in ((3, 10, 10), (4, 10, 34), (3, 28, 14), (5, 29, 36), (2, 20, 24)):
        balls |= (rows - row) ** 2 + (columns - column) ** 2 + 3 * (planes - z) ** 2 < 36
    noise = np.random.default_rng(seed).normal(0, 5, SHAPE)
    return (100 + 60 * balls + noise).astype(np.float32), balls


def paint_slices(desk, axes=("z", "y", "x")):
    """Open a stack, and paint four of its slices in the project."""
    stack, balls = draw_stack()
    layer = desk.viewer.add_image(stack, name="stack", axis_labels=axes, scale=(2, 1, 1))
    desk.session.set_task("segment")
    desk.session.set_classes(make_classes(("background", "ball")))
    desk.session.set_source(Source((layer_id(layer),)))
    annotate = desk.open_dock("Annotate")
    desk.use_tool(annotate, "paint_strokes")
    [image] = desk.session.project.images()
    for z in (0, 2, 4, 6):
        desk.session.project.write_painting(image.id, (z,), (balls[z] + 1).astype(np.uint8))
    desk.session.annotations_changed.emit()
    dock = desk.open_dock("Train")
    desk.wait_until_idle()
    dock.form.network.setCurrentText("unet3d")
    dock.form.patch_size.setValue(16)
    dock.form.epochs.setValue(3)
    return dock, layer, balls


def test_painted_slices_train_a_network_of_stacks_that_segments_the_whole(desk):
    train, layer, balls = paint_slices(desk)
    desk.train(train)
    model = desk.session.model
    assert model.card.network == "unet3d"
    [record] = desk.session.project.runs()
    assert record.network == "unet3d"
    [painted] = request_again(record, desk.session)().stacks  # to resume it or to repeat it
    assert painted.labels().shape == SHAPE
    mask = desk.viewer.layers["stack mask"]  # laid over the image after the training
    assert mark_of(mask)["is_stack"]
    assert mask.data.shape == SHAPE
    assert mask.data.all()
    assert np.array_equal(mask.scale, layer.scale)
    found = mask.data == 2
    assert (found & balls).sum() / (found | balls).sum() > 0.5
    predict = desk.open_dock("Predict")
    assert not predict.planes_box.isEnabled()  # it sees all planes in any case
    assert predict.planes_box.isChecked()
    desk.session.set_model(replace(model, card=model.card.model_copy(update={"network": "unet"})))
    assert predict.planes_box.isEnabled()
    assert not predict.planes_box.isChecked()
    desk.session.set_model(model)
    mask.data = np.zeros_like(mask.data)
    press(predict.predict_button)
    desk.qtbot.waitUntil(lambda: predict.runner.state == "idle", timeout=60_000)
    assert desk.viewer.layers["stack mask"].data.all()
    objects = desk.viewer.layers["stack objects"].data
    assert predict.table.table["planes"].max() >= 3  # objects go on from slice to slice
    assert set(predict.table.table["index"]) == set(np.unique(objects)) - {0}
    plane = desk.viewer.add_image(layer.data[3], name="plane")
    desk.session.set_source(Source((layer_id(plane),)))
    press(predict.predict_button)
    desk.qtbot.waitUntil(lambda: predict.runner.state == "idle", timeout=60_000)
    assert "single plane" in desk.messages[-1]
    assert "plane mask" not in desk.viewer.layers
    assert len(desk.messages) == 1


def test_a_film_is_no_stack(desk):
    train, _, _ = paint_slices(desk, ("t", "y", "x"))
    press(train.train_button)
    desk.wait_until_idle()
    assert "no axis that is known to be depth" in desk.messages[-1]
    assert desk.session.model is None
    assert not desk.session.project.runs()


def test_a_stack_set_to_test_is_scored_as_a_whole(desk):
    train, _, _ = paint_slices(desk)
    unseen, balls = draw_stack(1)
    other = desk.viewer.add_image(unseen, name="unseen", axis_labels=("z", "y", "x"))
    desk.session.set_source(Source((layer_id(other),)))
    desk.use_tool(desk.open_dock("Annotate"), "paint_strokes")
    project = desk.session.project
    image = next(image for image in project.images() if image.name == "unseen")
    for z in (3, 4):
        project.write_painting(image.id, (z,), (balls[z] + 1).astype(np.uint8))
    project.set_split(image.id, "test")
    desk.session.annotations_changed.emit()
    desk.train(train)
    model = desk.session.model
    test = model.card.scores["test"]
    assert test["measured"]["names"] == ["unseen"]
    found = np.zeros(SHAPE, np.uint8)
    planes = [clean_image(plane, "YX") for plane in unseen]
    run(predict_volume(model, planes, found, device=read_preferences().device))
    both = [((found == k) & (balls + 1 == k))[3:5].sum() for k in (1, 2)]
    any_of = [((found == k) | (balls + 1 == k))[3:5].sum() for k in (1, 2)]
    assert test["mean_iou"] == pytest.approx(np.mean(np.divide(both, any_of)), abs=2e-3)
    assert "that training never saw" in train.result.text()
    assert not desk.messages
