"""The window of runs: what the project knows, comparable ones told apart, one repeated to the bit."""

from __future__ import annotations

import csv
from dataclasses import replace

import pytest
from dock_helpers import press
from qtpy.compat import isalive
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QFileDialog, QMessageBox

from napari_convnet.model_file import model_bytes, model_from_bytes
from napari_convnet.networks import graph_from_json
from napari_convnet.networks.network_settings import STARTER_GRAPH
from napari_convnet.project import Project, RunRecord
from napari_convnet.widgets.run_rows import COLUMNS, run_rows
from napari_convnet.widgets.run_table import RunWindow

_SCORE = [column.name for column in COLUMNS].index("score")
_NETWORK = [column.name for column in COLUMNS].index("network")
_SETTINGS = [column.name for column in COLUMNS].index("settings")
_HELD_OUT = [column.name for column in COLUMNS].index("held out")


@pytest.fixture
def trained(desk):
    """A Train dock after a real training on cells of the blood smear."""
    train = desk.open_train_with_cells(60)
    train.form.epochs.setValue(2)
    desk.train(train)
    return train


def open_runs(desk, train) -> RunWindow:
    press(train.result_bar.runs_button)
    window = train.result_bar.run_window
    desk.qtbot.waitUntil(lambda: bool(window.rows), timeout=20_000)
    return window


def click_row(window: RunWindow, row: int) -> None:
    place = window.table.visualRect(window.table.model().index(row, 1)).center()
    QTest.mouseClick(window.table.viewport(), Qt.MouseButton.LeftButton, pos=place)


def click_header(window: RunWindow, column: int) -> None:
    header = window.table.horizontalHeader()
    place = QPoint(header.sectionViewportPosition(column) + 8, header.height() // 2)
    QTest.mouseClick(header.viewport(), Qt.MouseButton.LeftButton, pos=place)


def texts(window: RunWindow, column: int) -> list[str]:
    model = window.table.model()
    return [model.data(model.index(row, column)) for row in range(model.rowCount())]


def wait_for(desk, window: RunWindow, words: str) -> None:
    desk.qtbot.waitUntil(lambda: words in window.status.text(), timeout=60_000)


def test_a_run_is_shown_used_repeated_to_the_bit_exported_and_its_model_deleted(
    desk, trained, tmp_path, monkeypatch
):
    scores, weights = desk.session.model.card.scores, model_bytes(desk.session.model)
    window = open_runs(desk, trained)
    held_out = scores["validation"]
    assert f"accuracy {held_out['accuracy']:.3f}" in texts(window, _SCORE)[0]
    assert texts(window, _HELD_OUT) == ["A"]
    assert window.rows[0].held_out == scores["held_out_sha256"] != ""
    assert "epochs 2" in " ".join(texts(window, 5))
    assert not window.repeat_button.isEnabled()
    click_row(window, 0)

    press(window.repeat_button)
    wait_for(desk, window, "was repeated")
    n_weights = sum(t.numel() for t in desk.session.model.network.state_dict().values())
    assert "all losses of 2 epochs are the same to the bit" in window.status.text()
    assert f"all {n_weights:,} weights are the same to the bit" in window.status.text()
    assert len(desk.session.project.runs()) == 1

    desk.session.set_model(model_from_bytes(weights, "model"))
    click_row(window, 0)
    press(window.use_button)
    wait_for(desk, window, "is the current one")
    assert model_bytes(desk.session.model) == weights

    press(window.scores_button)
    scores_window = window.score_window
    desk.qtbot.waitUntil(lambda: scores_window.subject is not None, timeout=20_000)
    assert f"{held_out['accuracy']:.3f}" in scores_window.words.text()
    press(scores_window.close_button)

    path = tmp_path / "runs"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(path), ""))
    press(window.export_button)
    (line,) = csv.DictReader(path.with_suffix(".csv").read_text().splitlines())
    assert float(line["value"]) == held_out["accuracy"]
    assert [float(line["low"]), float(line["high"])] == held_out["accuracy_interval"]
    assert line["held_out_sha256"] == scores["held_out_sha256"]

    asked: list[str] = []
    monkeypatch.setattr(QMessageBox, "question", lambda *a: asked.append(a[2]) or answer)
    answer = QMessageBox.StandardButton.No
    click_row(window, 0)
    press(window.delete_button)
    assert desk.session.project.model_bytes(1) is not None
    answer = QMessageBox.StandardButton.Yes
    press(window.delete_button)
    assert "stay" in asked[0]
    assert desk.session.project.model_bytes(1) is None
    desk.qtbot.waitUntil(lambda: not window.rows[0].run.model_sha256, timeout=20_000)
    assert not window.use_button.isEnabled()
    assert desk.session.project.runs()[0].scores["validation"] == held_out


def test_after_other_annotations_a_run_cannot_be_repeated_and_that_is_said(desk, trained):
    window = open_runs(desk, trained)
    project = desk.session.project
    (first, *_) = project.object_annotations(project.images()[0].id)
    value = first.value % 4 + 1
    project.set_object_class(
        first.image_id, first.labels_name, first.label, first.plane, first.centre, value
    )
    click_row(window, 0)
    press(window.repeat_button)
    wait_for(desk, window, "cannot be repeated")
    assert "annotations or their split have changed" in window.status.text()


def run_of(number: int, held_out: str = "a" * 64, accuracy: float = 0.5) -> RunRecord:
    report = {"n": 20, "accuracy": accuracy, "accuracy_interval": [accuracy - 0.1, accuracy + 0.1]}
    scores = {
        "validation": report, "measured_on": "a region", "warning": "", "seconds": 3.5, "epochs_trained": 4,
        "best_epoch": 3, "held_out_sha256": held_out,
    }  # fmt: skip
    return RunRecord(
        number, "classify", "convnet", {"epochs": 0, "learning_rate": 0.01}, {"planes": 2, "counts": [3, 4]},
        f"2026-01-01T00:00:{number % 60:02}.000Z", "", "finished", scores, "", "", 0,
    )  # fmt: skip


def test_runs_with_the_same_held_out_samples_have_the_same_letter():
    runs = [run_of(1, "a" * 64), run_of(2, "b" * 64), run_of(3, "a" * 64), run_of(4, "")]
    letters = {row.run.id: row.cells[_HELD_OUT].text for row in run_rows(runs)}
    assert letters == {1: "A", 2: "B", 3: "A", 4: ""}


def test_settings_that_differ_and_data_are_told():
    (row,) = run_rows([run_of(1)])
    cells = {column.name: cell.text for column, cell in zip(COLUMNS, row.cells, strict=True)}
    assert cells["settings"] == "learning rate 0.01"
    assert cells["data"] == "7 cells, 2 images"
    assert cells["epochs"] == "4 (best 3)"


@pytest.mark.parametrize(
    "scores", [{}, {"validation": 3}, {"validation": {"accuracy": "x"}, "held_out_sha256": 4, "seconds": "?"}]
)  # fmt: skip
def test_runs_of_other_programs_have_a_row_all_the_same(scores):
    odd = replace(run_of(1), scores=scores, settings={}, data={"counts": ["x"]}, started_at="?")
    (row,) = run_rows([odd])
    assert len(row.cells) == len(COLUMNS)


@pytest.fixture
def many(desk, tmp_path):
    """A project with 200 runs, half of them measured on other samples."""
    project = Project.create(tmp_path / "many.convnet")
    for number in range(200):
        run = run_of(number, "ab"[number % 2] * 64, accuracy=(number * 37 % 200) / 200)
        run_id = project.start_run(run.task, run.network, run.settings, run.data)
        project.finish_run(run_id, "finished", run.scores)
    project.close()
    train = desk.open_dock("Train")
    desk.session.open_project(tmp_path / "many.convnet")
    return open_runs(desk, train)


def test_two_hundred_runs_are_sorted_by_a_click_and_compared(many):
    window = many
    assert [row.run.id for row in window.rows] == list(range(200, 0, -1))
    click_header(window, _SCORE)
    shown = [float(text.split()[1]) for text in texts(window, _SCORE)]
    assert shown == sorted(shown, reverse=True)
    click_header(window, _SCORE)
    assert texts(window, _SCORE)[0].startswith("accuracy 0.000")
    click_row(window, 1)
    chosen = window.chosen
    press(window.compare_button)
    assert window.chosen is chosen
    assert len(window.table.shown) == 100
    assert set(texts(window, _HELD_OUT)) == {chosen.cells[_HELD_OUT].text}
    press(window.compare_button)
    assert len(window.table.shown) == 200


def test_the_window_goes_with_its_project(desk, many, tmp_path):
    desk.session.new_project(tmp_path / "other.convnet")
    desk.qtbot.waitUntil(lambda: not isalive(many), timeout=5_000)


def test_a_designed_network_is_told_by_its_name_and_layers(desk):
    train = desk.open_train_with_cells(40)
    project, graph = desk.session.project, STARTER_GRAPH
    layers = graph_from_json(graph).layers
    project.save_network("with few layers", graph)
    train.windows.refresh()
    train.form.network.setCurrentText("with few layers")
    train.form.epochs.setValue(1)
    desk.train(train)
    project.remove_network("with few layers")  # what was trained is told all the same
    first, *_ = project.runs()
    assert first.settings["network_settings"]["graph"] == graph
    (row,) = run_rows([first])
    network = row.cells[_NETWORK]
    assert network.text == "with few layers"
    assert f"{len(layers)} layers: {layers[0].name} (conv2d)" in network.tip
    assert "graph" not in row.cells[_SETTINGS].text

    project.save_network("the same", graph)
    index = train.form.pretrained.findData("model")
    train.form.pretrained.setCurrentIndex(index)
    train.form.network.setCurrentText("convnet")  # the model decides
    train.form.pretrained.setCurrentIndex(train.form.pretrained.findData("model"))
    desk.train(train)
    assert run_rows(project.runs())[0].cells[_NETWORK].text == "the same"


def test_runs_of_older_programs_are_told_by_the_catalogue():
    old = run_of(1)
    (row,) = run_rows([old])
    assert row.cells[_NETWORK].text == "convnet"
    (row,) = run_rows(
        [replace(old, settings={"network_name": 3, "network_settings": {"graph": "x"}})]
    )
    assert row.cells[_NETWORK].text == row.cells[_NETWORK].tip == "convnet"
