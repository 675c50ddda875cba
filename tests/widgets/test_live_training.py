"""Training in the dock as it goes on: pause, resume after a kill, options, curves, table, over-fitting, preview."""

from __future__ import annotations

import csv
import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from dock_helpers import press
from qtpy.QtWidgets import QLabel
from train_until_killed import EPOCHS, prepare

from napari_convnet.model_file import model_from_bytes
from napari_convnet.training import BatchFinished, BatchSizeReduced, EpochFinished, TrainingStarted
from napari_convnet.training.overfitting import advice
from napari_convnet.widgets.augmentation_preview import AugmentationPreview, pictures_alike
from napari_convnet.widgets.curve_points import MOST_POINTS
from napari_convnet.widgets.live_view import LiveView


@pytest.fixture
def annotated(desk):
    return desk.open_train_with_cells(40)


def is_bold(form, text: str) -> bool:
    return next(label for label in form.findChildren(QLabel) if label.text() == text).font().bold()


def test_pause_pauses_and_the_view_shows_what_the_run_recorded(desk, annotated):
    annotated.form.epochs.setValue(8)
    press(annotated.train_button)
    desk.qtbot.waitUntil(lambda: len(annotated.live.rows) >= 1, timeout=60_000)
    press(annotated.pause_button)
    assert annotated.pause_button.text() == "Go on"
    desk.qtbot.waitUntil(lambda: "paused" in annotated.time_line.text(), timeout=20_000)
    project = desk.session.project
    step, run_id = annotated.bar.value(), project.runs()[-1].id
    assert project.checkpoint_step(run_id) == step  # a pause may end tomorrow
    desk.qtbot.wait(1000)
    assert annotated.bar.value() == step < annotated.bar.maximum()
    assert annotated.stop_button.isEnabled()
    press(annotated.pause_button)
    desk.qtbot.waitUntil(lambda: annotated.training.state == "idle", timeout=60_000)
    run, recorded = project.runs()[-1], project.epochs(run_id)
    assert run.outcome == "finished"
    assert project.checkpoint_step(run_id) is None
    assert [record.epoch for record in recorded] == list(range(1, 9))
    rows = list(csv.DictReader(io.StringIO(annotated.live.csv())))
    for row, record in zip(rows, recorded, strict=True):
        for name in ("training_loss", "validation_loss", "score", "learning_rate", "seconds"):
            assert float(row[name]) == record.curves[name]
    points = annotated.curves._points["validation"]
    assert points.steps == [record.curves["step"] for record in recorded]
    assert points.values == [record.curves["validation_loss"] for record in recorded]
    assert annotated.curves._points["rate"].values
    press(annotated.live.table_button)
    shown = annotated.live.table.rows
    assert [texts[0].startswith("★") for texts in shown] == [row["is_best"] == "1" for row in rows]
    assert float(shown[-1][1]) == pytest.approx(recorded[-1].curves["training_loss"], rel=5e-3)
    assert "Why: 16 samples a step" in annotated.form.why.text()
    assert "cpu" in run.settings["device"] or run.settings["device"] == "auto"


def test_options_change_what_is_trained_and_are_remembered_for_each_task(desk, annotated):
    options = annotated.form.options
    wanted = {
        "epochs": 2,
        "batch_size": 4,
        "solver": "sgdm",
        "momentum": 0.5,
        "augment": False,
        "patience": 3,
    }
    options.set_value(wanted)
    press(options.more.button)
    for group in ("solver", "regularisation"):  # their forms are made when they are unfolded
        press(options.folds[group].button)
    assert is_bold(options, "Solver")
    assert not is_bold(options, "Weight decay (L2)")
    assert options.folds["solver"].button.text().endswith("Solver (2 changed)")
    desk.session.set_task("segment")
    assert options.value()["solver"] == "adamw"
    desk.close_dock(annotated)
    desk.session.set_task("classify")
    train = desk.open_dock("Train")
    desk.wait_until_idle()
    options = train.form.options
    assert options.changed_values() == wanted
    desk.train(train)
    run = desk.session.project.runs()[-1]
    card = model_from_bytes(desk.session.project.model_bytes(run.id), "model").card
    for name, value in wanted.items():
        assert run.settings[name] == card.training[name] == value
    assert card.scores["batch_size"] == 4
    assert 2 * 5 <= card.scores["steps"] <= 2 * 10  # 40 cells, some of them held out, 4 a step
    press(options.defaults_button)
    assert options.changed_values() == {}
    assert options.automatic == {"epochs", "batch_size"}


def test_a_killed_training_is_offered_again_and_goes_on_in_its_record(desk, tmp_path):
    path = tmp_path / "cells.convnet"
    script = Path(__file__).with_name("train_until_killed.py")
    home = {"NAPARI_CONFIG": str(tmp_path / "napari.yaml"), "XDG_DATA_HOME": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, str(script), str(path)], env={**os.environ, **home}, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, text=True,
    ) as child:  # fmt: skip
        assert child.stdout.readline() == "paused\n"
        child.send_signal(signal.SIGKILL)
    annotate, train = prepare(desk, path)
    desk.use_tool(annotate, "click_cells")
    desk.wait_until_idle()
    project = desk.session.project
    (run,) = project.runs()
    assert project.checkpoint_step(run.id) > 0
    before = {record.epoch: dict(record.curves) for record in project.epochs(run.id)}
    assert run.outcome == "interrupted"
    assert train.resume_bar.isVisibleTo(train)
    assert f"epoch {len(before)} of {EPOCHS}" in train.resume_bar.label.text()
    press(train.resume_bar.resume_button)
    assert not train.resume_bar.isVisibleTo(train)
    desk.qtbot.waitUntil(lambda: train.training.state == "idle", timeout=60_000)
    (run,) = project.runs()
    assert run.outcome == "finished", train.result.text()
    assert project.model_bytes(run.id)
    assert project.checkpoint_step(run.id) is None
    epochs = {record.epoch: dict(record.curves) for record in project.epochs(run.id)}
    assert list(epochs) == list(range(1, EPOCHS + 1))
    assert {k: epochs[k] for k in before} == before  # these were not trained again
    assert [row["epoch"] for row in train.live.rows] == list(epochs)
    assert not train.resume_bar.isVisibleTo(train)


def test_a_training_that_does_not_fit_any_more_is_refused_and_stays_offered(desk, annotated):
    annotated.form.epochs.setValue(5000)
    press(annotated.train_button)
    desk.qtbot.waitUntil(lambda: len(annotated.live.rows) >= 1, timeout=60_000)
    desk.viewer.window.remove_dock_widget(annotated)  # it can go on another day
    train = desk.open_dock("Train")  # while the closed one still writes its last state
    assert not train.resume_bar.isVisibleTo(train)
    desk.qtbot.waitUntil(lambda: train.resume_bar.isVisibleTo(train), timeout=60_000)
    assert "Resume the stopped training" in train.resume_bar.label.text()
    tool = desk.session.active_tool
    tool.annotate_at(tool.labels.data_to_world(np.argwhere(tool.labels.data == 60)[20]), 1)
    press(train.resume_bar.resume_button)
    desk.qtbot.waitUntil(lambda: train.training.state == "idle", timeout=60_000)
    assert "have changed since" in train.result.text()
    assert "'blood smear 1'" in train.result.text()
    assert desk.session.project.runs()[-1].outcome == "stopped"
    assert train.resume_bar.isVisibleTo(train)
    press(train.resume_bar.later_button)
    assert not train.resume_bar.isVisibleTo(train)


def test_the_preview_shows_samples_as_they_are_above_augmented_ones(desk, annotated):
    press(annotated.form.options.preview_button)
    desk.wait_until_idle()
    grid = annotated.findChild(AugmentationPreview)

    def pictures():
        images = [tile.picture.pixmap().toImage() for tile in grid.tiles]
        return images[:5] + images[10:15], images[5:10] + images[15:]

    originals, augmented = pictures()
    assert all(a != b for a, b in zip(originals, augmented, strict=True))
    assert "10 of" in grid.status.text()
    annotated.form.options.set_value({"augment": False})
    press(grid.draw_button)
    desk.wait_until_idle()
    others, same = pictures()
    assert all(a == b for a, b in zip(others, same, strict=True))
    assert others != originals
    press(grid.close_button)


def test_pictures_of_any_channels_are_as_bright_as_the_first_one():
    original = np.linspace(-2, 2, 2 * 8 * 8, dtype=np.float32).reshape(2, 8, 8)
    first, brighter = pictures_alike(original, original + 1)
    assert first.shape == brighter.shape == (8, 8, 3)
    assert brighter.mean() > first.mean() > 0
    assert not first[..., 2].any()


@pytest.fixture
def live(viewer, qtbot):
    view = LiveView(viewer)
    qtbot.addWidget(view)
    view.begin("balanced accuracy", training_score="training accuracy")
    yield view
    view.release()


def started(total):
    return TrainingStarted(
        done=0, total=total, text="", device="cpu", n_parameters=1, n_training=8, n_validation=4,
        batches_per_epoch=total // 10,
    )  # fmt: skip


def epoch(number, done, total, **changes):
    values = {
        "training_loss": 1 / number, "training_accuracy": 0.5, "validation_loss": 0.5, "validation_accuracy": 0.5,
        "score": 0.5, "learning_rate": 1e-3, "is_best": number == 1, "seconds": 1.0 * number,
    }  # fmt: skip
    return EpochFinished(done=done, total=total, text="", epoch=number, **(values | changes))


def test_over_fitting_is_marked_and_said_with_advice(live, qtbot):
    live.take([started(40), epoch(1, 4, 40)])
    assert live.advice.isHidden()
    live.take([epoch(2, 8, 40, overfits_since=1)])
    assert live.advice.text() == advice(1)
    assert not live.advice.isHidden()
    qtbot.waitUntil(lambda: live.curves._parting.value() == 4)
    live.begin("balanced accuracy")
    assert live.advice.isHidden()


def test_halved_batches_stretch_what_was_drawn(live):
    live.take([started(40), epoch(1, 4, 40)])
    live.take([BatchSizeReduced(done=8, total=80, text="", batch_size=8, reason="full")])
    live.take([epoch(2, 16, 80)])
    assert live.curves._points["training"].steps == [8, 16]


def test_ten_thousand_iterations_stay_few_points(live):
    live.take([started(10_000)])
    for step in range(1, 10_001):
        event = BatchFinished(
            done=step, total=10_000, text="", epoch=1, loss=1.0, learning_rate=1e-3
        )
        live.take([event])
    live.curves._draw()
    for name in ("batch", "rate"):
        assert MOST_POINTS / 3 < len(live.curves._lines[name].getData()[0]) <= MOST_POINTS
