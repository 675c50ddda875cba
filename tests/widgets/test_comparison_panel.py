"""Compare models in the Predict dock: flow, layers, words, held-out scores, refusals, Stop and Remove."""

from __future__ import annotations

import numpy as np
import pytest
from dock_helpers import press
from qtpy.QtWidgets import QFileDialog

from napari_convnet import TrainingSettings, run, train
from napari_convnet.classes import make_classes
from napari_convnet.evaluation import compare_masks
from napari_convnet.images import clean_image
from napari_convnet.model_file import save_model
from napari_convnet.widgets.layers import find_layer, layer_id, mark_of
from napari_convnet.widgets.source import Source
from synthetic_pictures import blob_set, draw_blobs, train_classifier


@pytest.fixture(scope="module")
def weak():
    """A segmentation of blobs that has hardly learned."""
    settings = TrainingSettings(epochs=2, batch_size=8, learning_rate=5e-3)
    small = {"width": 4, "levels": 2}
    return run(train(blob_set(2), settings=settings, network_settings=small, name="weak < b"))


@pytest.fixture
def panel(desk, segmenter, weak, tmp_path, monkeypatch):
    """The panel, unfolded, with model B chosen and an image of blobs that is larger than one micrometre a pixel."""
    layer = desk.viewer.add_image(
        draw_blobs(5)[0], name="field", scale=(0.5, 0.5), translate=(3, 4)
    )
    desk.session.set_task("segment")
    desk.session.set_classes(make_classes(("background", "blob")))
    desk.session.set_source(Source((layer_id(layer),)))
    dock = desk.open_dock("Predict")
    desk.session.set_model(segmenter)
    panel = dock.comparison
    panel.button.setChecked(True)
    choose(panel, weak, tmp_path / "weak.safetensors", monkeypatch)
    return panel


def choose(panel, model, path, monkeypatch) -> None:
    save_model(model, path)
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(path), ""))
    index = panel.choice.findData("file")
    panel.choice.setCurrentIndex(index)
    panel.choice.activated.emit(index)


def compare(desk, panel) -> None:
    press(panel.compare_button)
    desk.qtbot.waitUntil(lambda: panel.slot.state == "idle", timeout=60_000)


def layer_of(desk, kind, name="field"):
    return find_layer(desk.viewer, kind, layer_id(desk.viewer.layers[name]))


def test_the_difference_lies_over_the_image_with_both_masks_and_goes_again(
    desk, panel, segmenter, weak
):
    dock = desk.open_dock("Predict")
    press(dock.predict_button)
    desk.qtbot.waitUntil(lambda: dock.runner.state == "idle", timeout=60_000)
    before = {layer.name: layer.data.copy() for layer in desk.viewer.layers}
    desk.viewer.layers.selection.active = desk.viewer.layers["field"]
    compare(desk, panel)
    image = clean_image(draw_blobs(5)[0], "YX", "field")
    wanted = run(compare_masks(segmenter, weak, image, device="cpu"))
    layers = [layer_of(desk, k) for k in ("compared-first", "compared-second", "difference")]
    for layer, values in zip(
        layers, (wanted.first, wanted.second, wanted.comparison.map), strict=True
    ):
        assert np.array_equal(layer.data, values)
        assert np.array_equal(layer.scale, (0.5, 0.5))
        assert np.array_equal(layer.translate, (3, 4))
        assert not layer.editable
    first, second, difference = layers
    assert [layer.visible for layer in layers] == [False, False, True]
    assert mark_of(first)["colours"] == mark_of(second)["colours"]  # of one name, one colour
    for known in wanted.comparison.differences:
        shown = difference.colormap.map(np.array([known.value], np.uint8))[0]
        assert np.allclose(shown[:3] * 255, hex_rgb(known.colour), atol=1)
    assert difference.colormap.map(np.array([1], np.uint8))[0][3] == 0  # what is the same
    assert difference.features["meaning"].tolist()[1:] == ["only A: blob", "only B: blob"]
    text = panel.result.text()
    n = wanted.comparison.n_different
    assert n > 0
    assert f"{n:,} of 9,216 pixels differ" in text
    assert f"{wanted.comparison.iou['blob']:.3f}" in text
    assert "weak &lt; b" in text
    assert "Who is right is not known" in text
    assert not desk.viewer.layers["field objects"].visible
    assert desk.viewer.layers.selection.active == desk.viewer.layers["field"]
    press(panel.compare_button)  # again: the same layers
    desk.qtbot.waitUntil(lambda: panel.slot.state == "idle", timeout=60_000)
    assert layer_of(desk, "difference") is difference
    press(panel.remove_button)
    assert {layer.name for layer in desk.viewer.layers} == set(before)
    assert desk.viewer.layers["field objects"].visible
    for name, data in before.items():
        assert np.array_equal(desk.viewer.layers[name].data, data)
    assert not panel.result.isVisibleTo(panel)
    assert not desk.messages


def hex_rgb(colour):
    return [int(colour[k : k + 2], 16) for k in (1, 3, 5)]


def test_both_are_scored_on_the_images_set_to_test(desk, panel, segmenter, weak):
    annotate = desk.open_dock("Annotate")
    tool = desk.use_tool(annotate, "paint_strokes")
    truth = (draw_blobs(5)[1] + 1).astype(np.uint8)
    tool.layer.data_setitem(np.nonzero(truth[:40]), truth[:40].ravel())
    compare(desk, panel)
    assert "Who is right is not known" in panel.result.text()  # painted, but not for a test
    project = desk.session.project
    [image] = project.images()
    project.set_split(image.id, "test")
    compare(desk, panel)
    text = panel.result.text()
    assert f"Measured on {40 * 96:,} painted pixels of 1 image set to test (field)" in text
    from napari_convnet import score_masks

    labels = np.where(np.arange(96)[:, None] < 40, truth, 0).astype(np.uint8)
    parts = [(clean_image(draw_blobs(5)[0], "YX", "field"), labels)]
    report = run(score_masks(segmenter, weak, parts, ["field"], device="cpu"))
    for key in ("first", "second"):
        assert f"{report[key]['mean_iou']:.3f}" in text
    assert "not known here whether A and B learned from these images" in text
    assert not desk.messages


def test_a_stack_is_compared_as_it_is_shown_or_whole(desk, panel, segmenter, weak):
    stack = np.stack([draw_blobs(seed)[0] for seed in (5, 6, 7)])
    layer = desk.viewer.add_image(stack, name="stack", axis_labels=("z", "y", "x"))
    desk.session.set_source(Source((layer_id(layer),)))
    desk.viewer.dims.set_point(0, 1)
    compare(desk, panel)
    shown = layer_of(desk, "difference", "stack").data
    assert shown.shape == stack.shape
    assert shown[1].all()
    assert not shown[[0, 2]].any()
    desk.open_dock("Predict").planes_box.setChecked(True)
    compare(desk, panel)
    assert layer_of(desk, "difference", "stack").data.all()
    assert f"of {stack.size:,} pixels differ" in panel.result.text()


def test_what_does_not_go_together_is_refused_and_nothing_changes(
    desk, panel, segmenter, tmp_path, monkeypatch
):
    n = len(desk.viewer.layers)
    choose(panel, train_classifier(), tmp_path / "shapes.safetensors", monkeypatch)
    compare(desk, panel)
    assert "Model A ('segment" in desk.messages[-1] or "to segment" in desk.messages[-1]
    (tmp_path / "bad.safetensors").write_bytes(b"no model")
    monkeypatch.setattr(
        QFileDialog, "getOpenFileName", lambda *_: (str(tmp_path / "bad.safetensors"), "")
    )
    panel.choice.activated.emit(panel.choice.findData("file"))
    compare(desk, panel)
    assert "bad.safetensors" in desk.messages[-1]
    assert len(desk.messages) == 2
    assert len(desk.viewer.layers) == n
    assert panel.compare_button.isEnabled()


def test_a_run_of_the_project_can_be_model_b_and_a_stop_changes_nothing(desk, panel, segmenter):
    annotate, dock = desk.open_dock("Annotate"), desk.open_dock("Train")
    tool = desk.use_tool(annotate, "paint_strokes")
    truth = (draw_blobs(5)[1] + 1).astype(np.uint8)
    tool.layer.data_setitem(np.nonzero(truth[:60]), truth[:60].ravel())
    desk.wait_until_idle()
    desk.session.save_tools()
    dock.form.epochs.setValue(1)
    desk.train(dock)
    desk.session.set_model(segmenter)
    [run_id] = [run.id for run in desk.session.project.runs()]
    panel.choice.setCurrentIndex(panel.choice.findData(run_id))
    panel._show_state()
    names = [layer.name for layer in desk.viewer.layers]
    press(panel.compare_button)
    press(panel.stop_button)
    desk.qtbot.waitUntil(lambda: panel.slot.state == "idle", timeout=60_000)
    assert [layer.name for layer in desk.viewer.layers] == names
    assert "Stopped" in panel.status.text()
    compare(desk, panel)
    assert desk.session.model is segmenter
    assert layer_of(desk, "difference") is not None
    assert mark_of(layer_of(desk, "difference"))["model B"].startswith("segment")
    [image] = desk.session.project.images()
    desk.session.project.set_split(image.id, "test")
    compare(desk, panel)  # B learned from it before it was set to test
    assert "Left out of the score: 1 set to test that A or B learned from" in panel.result.text()
    assert "Measured on" not in panel.result.text()
