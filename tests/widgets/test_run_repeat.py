"""Runs that began from something are repeated to the bit, or refused because that is gone or has changed."""

from __future__ import annotations

import pytest
from dock_helpers import press
from qtpy.QtWidgets import QFileDialog
from safetensors.torch import save_file
from test_start_from import choose, slow_server  # noqa: F401 - a fixture

from napari_convnet import save_model
from napari_convnet.model_file import model_from_bytes
from napari_convnet.networks import build_network
from napari_convnet.widgets.run_table import RunWindow

_SAME = "weights are the same to the bit"


@pytest.fixture
def dock(desk):
    """The Train dock with 40 annotated cells and a small network."""
    train_dock = desk.open_train_with_cells(40)
    train_dock.form.network.setCurrentText("convnet, small")
    train_dock.form.epochs.setValue(1)
    train_dock.form.patch_size.setValue(32)
    return train_dock


def repeat(desk, dock, run_id: int) -> str:
    """Repeat a run in the window of runs; returns what it says."""
    window = RunWindow(dock, desk.session)
    window.show()
    desk.qtbot.waitUntil(lambda: bool(window.rows), timeout=20_000)
    window.table.choose(next(k for k, row in enumerate(window.rows) if row.run.id == run_id))
    assert window.repeat_button.isEnabled()
    press(window.repeat_button)
    desk.qtbot.waitUntil(
        lambda: "was repeated" in window.status.text() or "cannot be" in window.status.text(),
        timeout=60_000,
    )
    text = window.status.text()
    press(window.close_button)
    return text


def test_a_run_that_began_from_a_run_of_the_project(desk, dock):
    desk.train(dock)
    choose(dock.form, "model")
    desk.train(dock)
    project = desk.session.project
    first, second = project.runs()
    start = second.scores["repeat"]["start"]
    assert (start["kind"], start["run"], start["sha256"]) == ("model", 1, first.model_sha256)
    choose(dock.form, "none")
    assert _SAME in repeat(desk, dock, 2)  # the current model is that of run 2, not of run 1
    desk.session.set_model(model_from_bytes(project.model_bytes(1), "first"))
    project.delete_model(1)
    assert _SAME in repeat(desk, dock, 2)  # it is the current one
    desk.session.set_model(model_from_bytes(project.model_bytes(2), "second"))
    assert "model of run 1" in (said := repeat(desk, dock, 2))
    assert "was deleted" in said


def test_a_run_that_began_from_a_model_file(desk, dock, tmp_path, monkeypatch):
    desk.train(dock)
    path = tmp_path / "cells.safetensors"
    save_model(desk.session.model, path)
    desk.session.new_project(tmp_path / "other.convnet")  # which does not know the model
    desk.annotate_smear(desk.open_dock("Annotate"), n=40)
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_a, **_k: (str(path), ""))
    choose(dock.form, "model_file")
    desk.qtbot.waitUntil(lambda: dock.form.start_from.model is not None, timeout=20_000)
    desk.train(dock)
    (record,) = desk.session.project.runs()
    assert record.scores["repeat"]["start"]["path"] == str(path)
    assert "run" not in record.scores["repeat"]["start"]
    assert _SAME in repeat(desk, dock, 1)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    said = repeat(desk, dock, 1)
    assert "cells.safetensors', has changed since" in said
    path.unlink()
    assert "cells.safetensors', is gone" in repeat(desk, dock, 1)


def test_a_run_that_began_from_a_file_of_weights(desk, dock, tmp_path, monkeypatch):
    weights = build_network("convnet", 3, 4, (32, 32), **dock.form.network.settings).state_dict()
    path = tmp_path / "weights.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in weights.items()}, path)
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_a, **_k: (str(path), ""))
    choose(dock.form, "file")
    desk.train(dock)
    start = desk.session.project.runs()[0].scores["repeat"]["start"]
    assert start["kind"] == "weights file"
    assert _SAME in repeat(desk, dock, 1)
    save_file({name: tensor.contiguous() + 1 for name, tensor in weights.items()}, path)
    assert "has changed since" in repeat(desk, dock, 1)


def test_features_and_fine_tuning_of_downloaded_weights(desk, dock, slow_server):  # noqa: F811
    slow_server.set()
    dock.form.network.setCurrentText("squeezenet1_1")
    choose(dock.form, "imagenet")
    dock.form.start_from.logistic.setChecked(True)
    desk.train(dock)
    said = repeat(desk, dock, 1)
    assert _SAME in said
    assert "no losses are recorded" in said
    dock.form.start_from.logistic.setChecked(False)
    desk.train(dock)
    assert _SAME in repeat(desk, dock, 2)
