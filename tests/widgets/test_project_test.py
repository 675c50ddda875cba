"""Test images of a project: never trained on, scored once after a training, shown wherever scores are."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import tifffile
from dock_helpers import press

from napari_convnet import run
from napari_convnet.classes import make_classes
from napari_convnet.errors import UserError
from napari_convnet.evaluation import evaluate_objects
from napari_convnet.images import clean_image
from napari_convnet.model_file import model_from_bytes
from napari_convnet.samples import AnnotatedObjects
from napari_convnet.widgets import project_test, training_runner
from napari_convnet.widgets.learned import Learned, learned_images
from napari_convnet.widgets.run_rows import COLUMNS, run_rows
from napari_convnet.widgets.training_data import collect_planes, collect_test_planes

sys.path.insert(0, str(Path(__file__).parents[1]))
from synthetic_pictures import draw_blobs, draw_shape

_TEST = [column.name for column in COLUMNS].index("test")


def shapes_file(path: Path, seed: int, n: int = 24) -> list[tuple[tuple[float, float], int]]:
    """Write a picture of disks and squares; returns their centres and class values."""
    random = np.random.default_rng(seed)
    rows = [[draw_shape(bool((k + row) % 2), random) for k in range(6)] for row in range(n // 6)]
    tifffile.imwrite(path, np.block(rows).astype(np.float32))
    return [
        ((11.5 + 24 * row, 11.5 + 24 * k), 1 + (k + row) % 2)
        for row in range(n // 6) for k in range(6)
    ]  # fmt: skip


@pytest.fixture
def shapes(desk, tmp_path):
    """Three pictures of shapes with patches; only the last one is open, the first two are for a test."""
    dock, places = desk.open_dock("Annotate"), {}
    desk.session.set_classes(make_classes(("disk", "square")))
    for seed, name in enumerate(("one", "two", "three")):
        path = tmp_path / f"{name}.tif"
        places[name] = shapes_file(path, seed)
        desk.session.set_tool(None)
        for layer in list(desk.viewer.layers):
            layer.locked = False
            desk.viewer.layers.remove(layer)
        desk.viewer.open(path, plugin="napari")
        tool = desk.use_tool(dock, "pick_patches")
        tool.size = 24
        for centre, value in places[name]:
            desk.session.set_current_class(value)
            tool.pick_at(centre)
    project = desk.session.project
    for image in project.images()[:2]:
        project.set_split(image.id, "test")
    return {name: (tmp_path / f"{name}.tif", places[name]) for name in places}


def open_train(desk, epochs: int = 3):
    train = desk.open_dock("Train")
    train.form.network.setCurrentText("convnet, small")
    train.form.epochs.setValue(epochs)
    return train


def test_test_images_are_scored_once_after_the_training_and_shown_everywhere(desk, shapes):
    assert {plane.image_name for plane in collect_planes(desk.session)} == {"three"}
    train, states = open_train(desk), []
    train.training.changed.connect(lambda: states.append(train.training.state))
    desk.train(train)
    card = desk.session.model.card
    test = card.scores["test"]
    low, high = test["accuracy_interval"]
    words = (
        f"Test: accuracy {test['accuracy']:.3f} ({low:.3f} to {high:.3f}) on 48 cells of 2 images that training "
        "never saw."
    )  # fmt: skip
    assert words in train.result.text()
    assert "testing" in states
    assert test["measured"]["names"] == ["one", "two"]
    # It is what the core says of the same model on the same cells, read from the files here.
    annotated = [
        AnnotatedObjects(
            clean_image(tifffile.imread(path), "YX", name),
            np.array([centre for centre, _ in found]), np.array([value for _, value in found]),
        )
        for name, (path, found) in list(shapes.items())[:2]
    ]  # fmt: skip
    expected = run(evaluate_objects(desk.session.model, annotated))
    assert test["confusion"] == expected["confusion"]
    (record,) = desk.session.project.runs()
    assert record.outcome == "finished"
    assert record.scores["test"]["accuracy"] == test["accuracy"]
    assert sum(record.data["counts"]) == 24  # without the 48 cells of the test
    kept = model_from_bytes(desk.session.project.model_bytes(record.id), "kept").card
    assert kept.scores["test"] == test
    (row,) = run_rows([record])
    assert row.cells[_TEST].text == f"accuracy {test['accuracy']:.3f}"
    assert f"({low:.3f} to {high:.3f}) on test images: one, two" in row.cells[_TEST].tip

    press(train.result_bar.scores_button)
    window = train.result_bar.score_window
    desk.qtbot.waitUntil(lambda: window.subject is not None, timeout=20_000)
    window.part.setCurrentIndex(window.part.findData("test"))
    assert "on 48 samples of 2 images (one, two), which training never saw" in window.words.text()
    assert not desk.messages


def test_nothing_of_a_training_depends_on_the_test_images(desk, shapes):
    train, weights = open_train(desk, epochs=2), []
    for _ in range(2):
        desk.train(train)
        model = desk.session.model
        scores = {
            k: v
            for k, v in model.card.scores.items()
            if k not in ("seconds", "test", "waiting_for_data")
        }
        weights.append((model.network.state_dict(), scores, model.card.temperature))
        project = desk.session.project
        for patch in project.patches(project.images()[0].id):  # many are wrong now
            project.set_patch(patch.id, value=1)
    (one, scores, warm), (other, others, as_warm) = weights
    assert all(np.array_equal(one[name], other[name]) for name in one)
    assert (scores, warm) == (others, as_warm)
    first, second = (record.scores["test"] for record in desk.session.project.runs())
    assert first["confusion"] != second["confusion"]


def test_a_stop_while_testing_leaves_out_the_test_and_keeps_the_finished_model(
    desk, shapes, monkeypatch
):
    real, pressed = project_test.read_planes, threading.Event()
    train = open_train(desk)

    def read_slowly(planes):
        assert pressed.wait(60)
        return real(planes)

    monkeypatch.setattr(project_test, "read_planes", read_slowly)
    press(train.train_button)
    desk.qtbot.waitUntil(lambda: train.training.state == "testing", timeout=60_000)
    assert train.stop_button.isEnabled()
    assert not train.pause_button.isEnabled()
    press(train.stop_button)
    pressed.set()
    desk.qtbot.waitUntil(lambda: train.training.state == "idle", timeout=60_000)
    desk.wait_until_idle()
    assert "test images were not scored, as that was stopped" in train.result.text()
    assert desk.session.model is not None
    (record,) = desk.session.project.runs()
    assert record.outcome == "finished"
    assert "test" not in record.scores


def test_a_stopped_training_is_tested_all_the_same(desk, shapes):
    train = open_train(desk, epochs=500)
    press(train.train_button)
    desk.qtbot.waitUntil(lambda: bool(desk.session.project.epochs(1)), timeout=60_000)
    press(train.stop_button)
    desk.qtbot.waitUntil(lambda: train.training.state == "idle", timeout=60_000)
    desk.wait_until_idle()
    (record,) = desk.session.project.runs()
    assert record.outcome == "stopped"
    assert record.scores["test"]["n"] == 48
    assert "Test: accuracy" in train.result.text()


def test_a_test_image_that_cannot_be_read_costs_the_score_and_not_the_model(desk, shapes):
    path, _ = shapes["two"]
    tifffile.imwrite(path, tifffile.imread(path) + 1)
    train = open_train(desk, epochs=1)
    desk.train(train)
    assert "The model is kept, but test images were not scored." in train.result.text()
    assert "other pixels than when it was annotated" in train.result.text()
    assert desk.session.project.runs()[0].outcome == "finished"
    path.unlink()
    assert {plane.image_name for plane in collect_test_planes(desk.session)} == {"one"}
    assert (
        "Left out of the test score, as their files were not found: 'two' (1 in all)"
        in desk.messages[-1]
    )


def test_an_error_that_nobody_expected_costs_the_score_and_not_the_model(desk, shapes, monkeypatch):
    def fail(_planes):
        raise KeyError("nobody expected this")

    monkeypatch.setattr(project_test, "read_planes", fail)
    train = open_train(desk)
    desk.train(train)
    assert "The model is kept, but test images were not scored" in train.result.text()
    (run,) = desk.session.project.runs()
    assert run.outcome == "finished"
    assert desk.session.project.model_bytes(run.id)


def test_a_test_image_of_another_shape_now_does_not_keep_a_training_from_beginning(
    desk, shapes, monkeypatch
):
    def refuse(_session):
        raise UserError("CN-613", "The labels have another shape.")

    monkeypatch.setattr(training_runner, "collect_test_planes", refuse)
    train = open_train(desk)
    desk.train(train)
    assert "Test images will not be scored. The labels have another shape." in desk.messages
    (run,) = desk.session.project.runs()
    assert run.outcome == "finished"
    assert "test" not in run.scores


def test_stop_and_then_closing_the_dock_leaves_out_the_test(desk, shapes):
    train, project = open_train(desk, epochs=3000), desk.session.project
    press(train.train_button)
    desk.qtbot.waitUntil(lambda: len(train.curves._points["training"].values) >= 1, timeout=60_000)
    press(train.stop_button)
    assert train.training.state == "stopping"
    desk.close_dock(train)
    (run,) = project.runs()
    assert run.outcome == "stopped"
    assert project.model_bytes(run.id)
    assert project.checkpoint_step(run.id) is None
    assert "test" not in run.scores


def test_painted_test_images_are_scored_pixel_by_pixel(desk, tmp_path):
    annotate = desk.open_dock("Annotate")
    press(annotate.task_buttons["segment"])
    images = []
    for seed in (1, 2):
        image, mask = draw_blobs(seed)
        tifffile.imwrite(tmp_path / f"{seed}.tif", image)
        desk.session.set_tool(None)
        for layer in list(desk.viewer.layers):
            layer.locked = False
            desk.viewer.layers.remove(layer)
        desk.viewer.open(tmp_path / f"{seed}.tif", plugin="napari")
        tool = desk.use_tool(annotate, "paint_strokes")
        rows = slice(None, None, 4)
        tool.layer.data[rows] = mask[rows] + 1
        tool.layer.data_setitem((np.array([0]), np.array([0])), int(mask[0, 0]) + 1)
        desk.session.save_tools()
        images.append(desk.session.project.images()[-1].id)
    desk.session.project.set_split(images[0], "test")
    train = open_train(desk, epochs=4)
    train.form.network.setCurrentText("unet")
    train.form.patch_size.setValue(32)
    desk.train(train)
    test = desk.session.model.card.scores["test"]
    n = int((desk.session.project.read_painting(images[0], (), (96, 96)) > 0).sum())
    assert test["pixels"]["n"] == n > 1000
    assert (
        f"Test: mean IoU {test['mean_iou']:.3f} on {n:,} pixels of 1 image" in train.result.text()
    )


def test_frames_of_a_test_film_are_located(desk):
    sys.path.insert(0, str(Path(__file__).parents[2] / "sample_images"))
    from simulated_bead import bead_film

    annotate = desk.open_dock("Annotate")
    press(annotate.task_buttons["locate"])
    for seed, name in ((3, "learned"), (4, "tested")):
        film, truth = bead_film(seed, 30)
        image = desk.viewer.add_image(film.image, name=name, axis_labels=("t", "y", "x"))
        annotate.picker.set_value(type(desk.session.source)((str(image.unique_id),)))
        tool = desk.use_tool(annotate, "mark_positions")
        for t in range(30):
            tool.mark_at(tuple(truth[t]), (t,))
    project = desk.session.project
    project.set_split(project.images()[-1].id, "test")
    train = desk.open_dock("Train")
    train.form.epochs.setValue(2)
    desk.train(train)
    test = desk.session.model.card.scores["test"]
    assert test["n"] == 30
    error = test["root_mean_square_error_pixels"]
    words = f"Test: root mean square error {error:.2g} px on 30 positions of 1 image that training never saw."
    assert words in train.result.text(), train.result.text()


def test_an_image_that_the_first_model_learned_is_left_out_of_the_test_of_the_next_one(
    desk, shapes
):
    project = desk.session.project
    one = project.images()[0]
    project.set_split(one.id, "automatic")
    train = open_train(desk)
    desk.train(train)
    project.set_split(one.id, "test")
    for _ in range(2):  # begun with a model that learned it, then with one that was begun with that
        pretrained = train.form.pretrained
        pretrained.setCurrentIndex(pretrained.findData("model"))
        train.form.epochs.setValue(1)
        desk.train(train)
        card = desk.session.model.card
        assert card.scores["repeat"]["start"]["run"] == len(project.runs()) - 1
        assert card.scores["test"]["measured"]["names"] == ["two"]
        assert "Left out of the test, as they were learned from before: 1." in train.result.text()
        assert "It is not known" not in train.result.text()
    pretrained.setCurrentIndex(pretrained.findData("none"))
    desk.train(train)
    assert desk.session.model.card.scores["test"]["measured"]["names"] == ["one", "two"]


def test_what_a_model_from_elsewhere_learned_is_not_known(desk, shapes):
    train = open_train(desk, epochs=1)
    desk.train(train)
    model = desk.session.model
    desk.session.new_project(desk.session.project.path.with_name("other.convnet"))
    assert learned_images(model.card.scores, desk.session.project.runs()) == Learned(
        frozenset(), False
    )
