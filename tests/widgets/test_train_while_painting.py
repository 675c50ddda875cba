"""Live training in the dock: real strokes join it, its mask follows the view, and what it learned is kept."""

from __future__ import annotations

import numpy as np
import pytest
from dock_helpers import press
from qtpy.compat import isalive

from napari_convnet.settings import TrainingSettings
from napari_convnet.widgets.layers import layer_id, mark_of
from napari_convnet.widgets.learned import Learned, learned_images
from napari_convnet.widgets.project_test import without_learned
from napari_convnet.widgets.run_rows import COLUMNS, run_rows
from napari_convnet.widgets.source import Source
from napari_convnet.widgets.training_data import AnnotatedPlane
from napari_convnet.widgets.training_job import TrainingRequest


@pytest.fixture
def quarters(desk):
    """Four brightnesses with noise, of 0.5 micrometres a pixel and turned."""
    image = np.random.default_rng(0).normal(100, 10, (256, 320))
    image[:, 160:] += 60
    image[128:] += 120
    desk.viewer.add_image(image, name="quarters", scale=(0.5, 0.5), translate=(30, -20), rotate=10)
    return image


@pytest.fixture
def docks(desk, quarters):
    """Both docks, ready to paint, with the smallest network."""
    annotate, train = desk.open_dock("Annotate"), desk.open_dock("Train")
    press(annotate.task_buttons["segment"])
    train.form.patch_size.setValue(32)
    yield annotate, train
    if isalive(train):
        train.stop()


def paint(desk, dock, value, ends) -> None:
    desk.choose_class(value)
    desk.stroke(dock.active_tool.layer, ends)


def layers_of(viewer, kind: str) -> list:
    return [layer for layer in viewer.layers if mark_of(layer).get("kind") == kind]


def mask(desk) -> np.ndarray:
    found = layers_of(desk.viewer, "live-mask")
    return np.asarray(found[0].data) if found else np.zeros((256, 320), np.uint8)


def share(found: np.ndarray, value: int) -> float:
    return float((found == value).mean())


def press_live(desk, train) -> None:
    press(train.live_training.button)
    desk.qtbot.waitUntil(lambda: train.live_training.is_on, timeout=30_000)


def test_strokes_are_learned_while_they_come_and_the_model_is_kept(desk, docks):
    annotate, train = docks
    press_live(desk, train)  # opens the image for painting by itself
    assert train.training.state == "running"
    assert not train.train_button.isEnabled()
    desk.qtbot.waitUntil(lambda: "two classes" in train.time_line.text(), timeout=60_000)
    paint(desk, annotate, 1, [(20, 30), (90, 60)])
    paint(desk, annotate, 2, [(20, 250), (90, 280)])
    desk.qtbot.waitUntil(
        lambda: (
            share(mask(desk)[10:110, :140], 1) > 0.9 and share(mask(desk)[10:110, 180:], 2) > 0.9
        ),
        timeout=120_000,
    )
    [layer] = layers_of(desk.viewer, "live-mask")
    image = desk.viewer.layers["quarters"]
    np.testing.assert_allclose(layer.extent.world, image.extent.world, atol=1e-6)
    assert not layer.editable
    assert layer_id(desk.viewer.layers.selection.active) == layer_id(annotate.active_tool.layer)

    # A new class, first painted while it trains, where the mask says something else.
    annotate.class_table.add()
    paint(desk, annotate, 3, [(150, 30), (230, 120)])
    desk.qtbot.waitUntil(lambda: share(mask(desk)[150:, :140], 3) > 0.9, timeout=120_000)
    paint(desk, annotate, 1, [(240, 30), (245, 130)])
    desk.qtbot.waitUntil(lambda: "right on" in train.live_training.words.text(), timeout=60_000)

    press(train.stop_button)
    desk.qtbot.waitUntil(lambda: train.training.state == "idle", timeout=60_000)
    desk.qtbot.waitUntil(lambda: train.predicting.state == "idle", timeout=60_000)
    assert not layers_of(desk.viewer, "live-mask")
    [predicted] = layers_of(desk.viewer, "predicted-mask")
    assert share(np.asarray(predicted.data)[10:110, 180:], 2) > 0.9
    run = desk.session.project.runs()[-1]
    assert run.outcome == "stopped"
    joined = run.scores["live"]["joined"]
    assert [each["step"] for each in joined] == sorted(each["step"] for each in joined)
    painted = np.count_nonzero(annotate.active_tool.layer.data)
    assert painted <= sum(each["pixels"] for each in joined)
    scored = [each for each in joined if each["scored"]]
    assert scored
    assert all(0 <= each["right"] <= each["scored"] <= each["pixels"] for each in scored)
    assert joined[-1]["by_class"][2][0] == 0  # of the third class nothing was painted last
    names = [entry.name for entry in desk.session.model.card.classes]
    assert names == [info.name for info in desk.session.classes]
    project = desk.session.project
    assert project.model_bytes(run.id)
    ids = frozenset(image.id for image in project.images())
    scores = desk.session.model.card.scores
    assert learned_images(scores, project.runs()) == Learned(ids, is_all=True)
    assert learned_images(scores, []) == Learned(frozenset(), is_all=False)  # of another project
    texts = dict(
        zip((c.name for c in COLUMNS), (c.text for c in run_rows([run])[0].cells), strict=True)
    )
    assert texts["data"] == f"{sum(each['pixels'] for each in joined):,} pixels, 1 image, live"
    assert texts["epochs"] == f"{scores['steps']:,} steps"
    assert texts["score"].endswith("% of new strokes")


def test_it_follows_the_view_and_shows_where_it_is_unsure(desk, docks):
    annotate, train = docks
    press_live(desk, train)
    paint(desk, annotate, 1, [(20, 30), (90, 60)])
    paint(desk, annotate, 2, [(20, 250), (90, 280)])
    desk.qtbot.waitUntil(lambda: mask(desk).all(), timeout=120_000)
    assert not layers_of(desk.viewer, "live-uncertainty")
    train.live_training.uncertainty.setChecked(True)
    desk.qtbot.waitUntil(lambda: bool(layers_of(desk.viewer, "live-uncertainty")), timeout=60_000)
    [unsure] = layers_of(desk.viewer, "live-uncertainty")
    painted = annotate.active_tool.layer.data > 0
    desk.qtbot.waitUntil(  # it gets surer of what it learns
        lambda: 0 < np.asarray(unsure.data)[painted].mean() < 80, timeout=120_000
    )
    second = np.random.default_rng(1).normal(100, 10, (200, 200))
    second[:, 100:] += 60
    image = desk.viewer.add_image(second, name="second", translate=(0, 500))
    desk.session.set_source(Source((layer_id(image),)))
    desk.use_tool(annotate, "paint_strokes")
    desk.qtbot.waitUntil(
        lambda: [mark_of(each)["source"] for each in layers_of(desk.viewer, "live-mask")]
        == [layer_id(image)] and mask(desk).all(), timeout=120_000,
    )  # fmt: skip
    press(train.stop_button)
    desk.wait_until_idle()


def test_it_pauses_rests_and_ends_with_its_dock(desk, docks, monkeypatch):
    monkeypatch.setattr("napari_convnet.live.network.REST_STEPS", 20)
    monkeypatch.setattr("napari_convnet.live.network.suggest_epochs", lambda *_: 1)
    annotate, train = docks
    press_live(desk, train)
    paint(desk, annotate, 1, [(20, 30), (90, 60)])
    paint(desk, annotate, 2, [(20, 250), (90, 280)])
    desk.qtbot.waitUntil(lambda: "resting" in train.time_line.text(), timeout=120_000)
    paint(desk, annotate, 2, [(120, 250), (125, 280)])
    desk.qtbot.waitUntil(lambda: "learning" in train.time_line.text(), timeout=60_000)
    press(train.pause_button)
    desk.qtbot.waitUntil(lambda: "paused" in train.time_line.text(), timeout=60_000)
    step = train.time_line.text().split(":")[0]
    desk.qtbot.wait(500)
    assert train.time_line.text().split(":")[0] == step
    press(train.pause_button)
    desk.close_dock(train)
    desk.wait_until_idle()
    assert not layers_of(desk.viewer, "live-mask")


def test_held_out_images_teach_nothing_and_a_learned_one_is_no_test(desk, docks):
    annotate, train = docks
    press_live(desk, train)
    paint(desk, annotate, 1, [(20, 30), (90, 60)])
    annotate.active_tool.save()
    project, source = desk.session.project, train.live_training.desk
    [image] = project.images()
    for split, is_learned in (("test", False), ("validation", False), ("training", True)):
        project.set_split(image.id, split)
        desk.session.annotations_changed.emit()
        assert bool(source.read().painted) == is_learned
    request = TrainingRequest(
        "segment", (), (), "unet", TrainingSettings(), frozenset(), 0, "none", "live", live=source,
        test_planes=tuple(AnnotatedPlane(None, *[np.empty(0)] * 3, image_id=k) for k in (image.id, 99)),
    )  # fmt: skip
    kept, remark = without_learned(request, project)
    assert [plane.image_id for plane in kept.test_planes] == [99]
    assert remark == "Left out of the test, as they were learned from before: 1."


def test_pressed_twice_it_is_the_same_training(desk, docks):
    _, train = docks
    press_live(desk, train)
    first = train.live_training.desk
    desk.session.do("train_live")
    train.live_training.start()
    assert train.live_training.desk is first


def test_live_that_waited_for_an_image_does_not_begin_with_another_tool(desk, docks):
    annotate, train = docks
    train.live_training._wanted = ("an image that could not be opened",)
    desk.use_tool(annotate, "paint_strokes")
    assert not train.live_training.is_on
    assert train.live_training._wanted == ()


def test_another_project_stops_it_and_its_strokes_do_not_join(desk, docks, tmp_path):
    annotate, train = docks
    press_live(desk, train)
    paint(desk, annotate, 1, [(20, 30), (90, 60)])
    paint(desk, annotate, 2, [(20, 250), (90, 280)])
    desk.qtbot.waitUntil(lambda: mask(desk).any(), timeout=120_000)
    before = desk.session.project.path
    desk.session.new_project(tmp_path / "other.convnet")
    assert not train.live_training.is_on
    desk.qtbot.waitUntil(lambda: train.training.state == "idle", timeout=60_000)
    assert not layers_of(desk.viewer, "live-mask")
    assert desk.session.project.path != before
    assert desk.session.project.runs() == ()


def test_live_without_anything_to_paint_on_says_what_to_do(desk):
    train = desk.open_dock("Train")
    desk.session.set_task("segment")
    press(train.live_training.button)
    assert any("Paint strokes" in message for message in desk.messages)
    assert train.training.state == "idle"
