"""The end of a training is written beside the viewer, and not lost when its dock or the project is closed."""

from __future__ import annotations

import threading

import pytest
from dock_helpers import press
from qtpy.compat import isalive
from qtpy.QtWidgets import QApplication

from napari_convnet.errors import UserError
from napari_convnet.project import Project, runs
from napari_convnet.widgets import background


@pytest.fixture
def train(desk):
    train = desk.open_train_with_cells(40)
    train.form.epochs.setValue(1)
    return train


@pytest.fixture
def writers(monkeypatch):
    """The threads that write models; each waits until the gate is open."""
    threads, write, gate = [], runs.write_parts, threading.Event()

    def noted(*arguments):
        threads.append(threading.current_thread())
        assert gate.wait(60)
        write(*arguments)

    monkeypatch.setattr(runs, "write_parts", noted)
    threads_and_gate = (threads, gate)
    yield threads_and_gate
    gate.set()


def train_until_it_is_kept(desk, train, threads) -> None:
    press(train.train_button)
    desk.qtbot.waitUntil(lambda: bool(threads), timeout=60_000)


def test_a_model_is_written_in_another_thread_while_the_dock_waits(desk, train, writers):
    threads, gate = writers
    train_until_it_is_kept(desk, train, threads)
    assert threads[0] is not threading.main_thread()
    desk.qtbot.waitUntil(lambda: train.training.state == "saving", timeout=10_000)
    assert not train.train_button.isEnabled()
    assert desk.session.model is None  # what is shown is saved
    gate.set()
    desk.qtbot.waitUntil(lambda: train.training.state == "idle", timeout=10_000)
    (run,) = desk.session.project.runs()
    assert run.outcome == "finished"
    assert desk.session.project.model_bytes(run.id)
    assert desk.session.model is not None


def test_closing_the_docks_while_a_model_is_written_loses_nothing(desk, train, writers):
    threads, gate = writers
    train_until_it_is_kept(desk, train, threads)
    desk.qtbot.waitUntil(lambda: train.training.state == "saving", timeout=10_000)
    path = desk.session.project.path
    desk.viewer.window.remove_dock_widget(train)  # it lives until the model is kept
    QApplication.processEvents()
    assert isalive(train)
    threading.Timer(0.3, gate.set).start()  # while the project is being closed
    desk.session.close_project()
    desk.qtbot.waitUntil(lambda: not isalive(train), timeout=20_000)
    assert desk.session.model is not None
    with Project.open(path) as project:
        (run,) = project.runs()
        assert (run.outcome, project.checkpoint_step(run.id)) == ("finished", None)
        assert project.model_bytes(run.id)


def test_a_write_that_napari_stops_before_it_begins_is_done_all_the_same(desk, monkeypatch):
    gate, run, done = threading.Event(), background._Loop._run, []

    def late(loop):
        assert gate.wait(60)
        return run(loop)

    monkeypatch.setattr(background._Loop, "_run", late)
    session = desk.session
    session.write(lambda: done.append("written"), lambda: done.append("told"), "a write")
    session._write_jobs[0].request_stop()
    gate.set()
    session.finish_writes()
    assert done == ["written", "told"]


def test_a_write_that_fails_is_said_once_and_the_dock_goes_on(desk, train, monkeypatch):
    def refuse(*_arguments):
        raise UserError("CN-301", "The disk is full.")

    monkeypatch.setattr(runs, "write_parts", refuse)
    desk.train(train)
    assert [text for text in desk.messages if "disk is full" in text] == desk.messages[-1:]
    assert desk.session.model is not None
    assert train.train_button.isEnabled()
