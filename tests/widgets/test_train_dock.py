"""The Train dock: what is missing, failures in the middle, Stop, one run at a time, its record."""

from __future__ import annotations

import time
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import torch
from dock_helpers import press
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_convnet.model_file import model_from_bytes
from napari_convnet.project import Project


@pytest.fixture
def docks(desk):
    desk.open_sample("blood-smear-1")
    annotate, train = desk.open_dock("Annotate"), desk.open_dock("Train")
    desk.wait_until_idle()  # the device line has imported torch
    return annotate, train


@pytest.fixture
def annotated(desk, docks):
    desk.annotate_smear(docks[0], n=40)
    docks[1].form.epochs.setValue(3)
    return docks[1]


def fail_at_step(monkeypatch, k: int, action) -> None:
    """Let the real optimiser do something else at its k-th step."""
    original, steps = torch.optim.AdamW.step, []

    def step(self, *arguments, **options):
        steps.append(1)
        return action(self) if len(steps) == k else original(self, *arguments, **options)

    monkeypatch.setattr(torch.optim.AdamW, "step", step)


def test_what_is_missing_is_said_and_train_cannot_be_pressed(desk, docks):
    annotate, train = docks
    assert not train.train_button.isEnabled()
    assert "at least 2 classes" in train.summary.text()
    train.train()  # as the palette does
    assert len(desk.messages) == 1
    tool = desk.use_tool(annotate, "click_cells")
    tool.annotate_at(tool.labels.data_to_world(np.argwhere(tool.labels.data == 9)[20]), 1)
    assert "Only 'class 1' is annotated" in train.summary.text()
    assert not train.train_button.isEnabled()
    tool.annotate_at(tool.labels.data_to_world(np.argwhere(tool.labels.data == 11)[20]), 2)
    assert train.train_button.isEnabled()
    press(annotate.task_buttons["segment"])
    assert "Paint strokes" in train.summary.text()
    assert not train.train_button.isEnabled()


def test_annotated_images_that_are_not_open_are_asked_for(desk, annotated):
    desk.viewer.layers.clear()
    press(annotated.train_button)
    assert len(desk.messages) == 1
    assert "blood smear 1" in desk.messages[0]
    assert annotated.training.state == "idle"
    assert not desk.session.project.runs()


@pytest.mark.parametrize("step", [1, 3, 6])
def test_an_error_in_the_middle_is_shown_at_once_and_the_next_training_succeeds(
    desk, annotated, monkeypatch, step
):
    raised, words = [], "unexpected error"

    def fail(_optimiser):
        raised.append(time.monotonic())
        raise RuntimeError("a kernel failed")

    with monkeypatch.context() as patch:
        fail_at_step(patch, step, fail)
        press(annotated.train_button)
        desk.qtbot.waitUntil(lambda: bool(desk.messages), timeout=60_000)
        assert time.monotonic() - raised[0] <= 2
    assert [words in message for message in desk.messages] == [True]
    assert words in annotated.result.text()
    assert annotated.train_button.isEnabled()
    assert not annotated.stop_button.isEnabled()
    assert desk.session.project.runs()[-1].outcome == "failed"
    desk.train(annotated)
    assert desk.session.project.runs()[-1].outcome == "finished"
    assert len(desk.messages) == 1


@pytest.mark.parametrize("step", [1, 4])
def test_a_card_whose_memory_runs_out_trains_on_with_smaller_batches(
    desk, annotated, monkeypatch, step
):
    def fail(_optimiser):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    fail_at_step(monkeypatch, step, fail)
    desk.train(annotated)
    assert not desk.messages
    assert desk.session.project.runs()[-1].outcome == "finished"
    assert "Memory ran out with 16 samples a step; trained with 8." in annotated.result.text()


def test_a_card_without_memory_for_one_sample_is_said_to_have_none(desk, annotated, monkeypatch):
    def fail(*_):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(torch.optim.AdamW, "step", fail)
    press(annotated.train_button)
    desk.qtbot.waitUntil(lambda: bool(desk.messages), timeout=60_000)
    assert "graphics card ran out of memory" in desk.messages[0]
    assert desk.session.project.runs()[-1].outcome == "failed"


def test_invalid_numbers_keep_the_model_of_an_earlier_epoch(desk, annotated, monkeypatch):
    def spoil(optimiser):
        for group in optimiser.param_groups:
            for parameter in group["params"]:
                parameter.data.fill_(float("nan"))

    fail_at_step(monkeypatch, 5, spoil)  # of six
    desk.train(annotated)
    assert desk.session.model is not None
    assert "invalid" in annotated.result.text()
    tensors = desk.session.model.network.state_dict().values()
    assert all(torch.isfinite(tensor).all() for tensor in tensors if tensor.is_floating_point())


def test_stop_keeps_the_best_model_and_applies_it(desk, annotated):
    annotated.form.epochs.setValue(5000)
    press(annotated.train_button)
    desk.qtbot.waitUntil(
        lambda: len(annotated.curves._points["training"].values) >= 2, timeout=60_000
    )
    assert annotated.stop_button.isEnabled()
    assert "left" in annotated.time_line.text()
    press(annotated.stop_button)
    assert not annotated.stop_button.isEnabled()
    desk.qtbot.waitUntil(lambda: annotated.training.state == "idle", timeout=10_000)
    desk.qtbot.waitUntil(lambda: annotated.predicting.state == "idle", timeout=60_000)
    assert "Stopped after" in annotated.time_line.text()
    assert "cells predicted" in desk.viewer.layers
    (run,) = desk.session.project.runs()
    assert run.outcome == "stopped"
    assert run.scores
    kept = model_from_bytes(desk.session.project.model_bytes(run.id), "kept")
    assert kept.card.classes == desk.session.model.card.classes
    assert len(desk.session.project.epochs(run.id)) >= 2


def test_two_quick_clicks_start_one_run(desk, annotated):
    place = annotated.train_button.rect().center()
    left, no_key = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    QTest.mouseClick(annotated.train_button, left, no_key, place)
    QTest.mouseDClick(annotated.train_button, left, no_key, place)
    annotated.train()
    QApplication.processEvents()
    assert len(desk.session.project.runs()) == 1
    annotated.stop()
    annotated.train()
    assert len(desk.session.project.runs()) == 1


def test_layers_removed_and_classes_renamed_while_training_do_no_harm(desk, annotated):
    annotated.form.epochs.setValue(6)
    press(annotated.train_button)
    desk.qtbot.waitUntil(lambda: bool(annotated.curves._points["batch"].values), timeout=60_000)
    desk.viewer.layers.clear()
    info = desk.session.classes[0]
    desk.session.set_classes((type(info)("renamed", info.colour), *desk.session.classes[1:]))
    desk.qtbot.waitUntil(lambda: annotated.training.state == "idle", timeout=60_000)
    assert desk.session.model.card.classes[0].name == info.name
    assert desk.session.project.runs()[-1].outcome == "finished"
    assert not desk.messages


def test_a_dock_closed_while_training_leaves_its_run_and_model_in_the_project(desk, annotated):
    annotated.form.epochs.setValue(5000)
    press(annotated.train_button)
    desk.qtbot.waitUntil(
        lambda: len(annotated.curves._points["training"].values) >= 1, timeout=60_000
    )
    desk.close_dock(annotated)
    (run,) = desk.session.project.runs()
    assert run.outcome == "stopped"
    assert desk.session.project.model_bytes(run.id)
    reopened = desk.open_dock("Train")
    assert desk.session.model.card.name in reopened.model_bar.text.text()
    assert reopened.train_button.isEnabled()


def test_another_project_opened_while_training_does_not_get_the_run(desk, annotated, tmp_path):
    first = desk.session.project.path
    annotated.form.epochs.setValue(5000)
    press(annotated.train_button)
    desk.qtbot.waitUntil(
        lambda: len(annotated.curves._points["training"].values) >= 1, timeout=60_000
    )
    desk.session.new_project(tmp_path / "second.convnet")
    press(annotated.stop_button)
    desk.qtbot.waitUntil(lambda: annotated.training.state == "idle", timeout=10_000)
    assert not desk.session.project.runs()
    with Project.open(first) as project:
        assert [run.outcome for run in project.runs()] == ["interrupted"]
        assert project.epochs(1)


def test_a_backbone_too_big_for_the_memory_is_refused_before_it_starts(
    desk, annotated, monkeypatch
):
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=1e8))
    annotated.form.network.setCurrentText("resnet18")
    press(annotated.train_button)
    desk.qtbot.waitUntil(lambda: annotated.training.state == "idle", timeout=60_000)
    (said,) = desk.messages
    assert "Training 'resnet18'" in said
    assert "this computer has 0.1 GB free. Nothing was started." in said
    assert said in annotated.result.text()
    assert desk.session.model is None
    monkeypatch.undo()
