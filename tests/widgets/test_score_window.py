"""The window of scores: what it says is what the card says, and what it exports is both."""

from __future__ import annotations

import csv
import io
import json
import threading

import numpy as np
import pytest
from dock_helpers import press
from qtpy.compat import isalive
from qtpy.QtGui import QColor, QImage
from qtpy.QtWidgets import QFileDialog

from napari_convnet import run
from napari_convnet.scores import measure_classifier, read_report
from napari_convnet.widgets.confusion_view import ConfusionView, readable_on
from napari_convnet.widgets.score_export import cell_text, class_table
from napari_convnet.widgets.score_subject import ScoreSubject, subject_of_model
from napari_convnet.widgets.score_window import ScoreWindow


@pytest.fixture
def trained(desk):
    """A Train dock after a real training on cells of the blood smear."""
    train = desk.open_train_with_cells(60)
    assert not train.result_bar.scores_button.isEnabled()
    train.form.epochs.setValue(2)
    desk.train(train)
    return train


def open_scores(desk, train) -> ScoreWindow:
    press(train.result_bar.scores_button)
    window = train.result_bar.score_window
    desk.qtbot.waitUntil(lambda: window.subject is not None, timeout=20_000)
    return window


def tab_names(window: ScoreWindow) -> list[str]:
    return [window.tabs.tabText(k) for k in range(window.tabs.count())]


def show(desk, scores: dict, task: str) -> ScoreWindow:
    """Open the window on scores that were not trained for here."""

    def read(_stop: threading.Event):
        reports = [read_report(scores, task, part, (0.5, "µm")) for part in ("validation", "test")]
        yield from ()
        return ScoreSubject("Some: model", task, scores, (), tuple(r for r in reports if r))

    window = ScoreWindow(desk.open_dock("Train"), desk.session, read)
    window.show()
    desk.qtbot.waitUntil(lambda: window.subject is not None, timeout=20_000)
    return window


def test_the_window_shows_the_numbers_of_the_card_and_exports_them(
    desk, trained, tmp_path, monkeypatch
):
    window = open_scores(desk, trained)
    scores = desk.session.model.card.scores
    held_out = scores["validation"]
    assert f"Accuracy {held_out['accuracy']:.3f}" in window.words.text()
    assert f"on {held_out['n']} samples of 1 image (blood smear 1)" in window.words.text()
    assert scores["measured_on"] in window.words.text()
    assert window.warning.isVisible() == bool(scores["warning"])
    assert window.confusion.texts == [[str(n) for n in row] for row in held_out["confusion"]]
    assert window.confusion.order == list(held_out["classes"])
    model = window.classes.model()
    for row, (name, entry) in enumerate(held_out["classes"].items()):
        texts = [model.data(model.index(row, k)) for k in range(model.columnCount())]
        assert texts[:2] == [name, str(entry["n"])]
        if entry["recall"] is not None:
            low, high = entry["recall_interval"]
            assert f"{entry['recall']:.3f} ({low:.3f} to {high:.3f})" in texts
    assert {"Confusion", "Classes", "ROC", "Calibration", "Learning"} <= set(tab_names(window))
    assert len(window.subject.epochs) == 2  # the project's run of this model was found

    out = tmp_path / "out"
    out.mkdir()
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(out))
    press(window.export_button)
    desk.qtbot.waitUntil(lambda: "Exported" in window.status.text(), timeout=20_000)
    (folder,) = out.iterdir()
    assert json.loads((folder / "scores.json").read_text())["scores"] == scores
    table = list(csv.DictReader((folder / "classes_validation.csv").read_text().splitlines()))
    assert [row["class"] for row in table] == list(held_out["classes"])
    for row, entry in zip(table, held_out["classes"].values(), strict=True):
        assert row["f1"] == ("" if entry["f1"] is None else repr(float(entry["f1"])))
    counts = list(csv.reader((folder / "confusion_validation.csv").read_text().splitlines()))[1:]
    assert [[int(n) for n in row[1:]] for row in counts] == held_out["confusion"]
    assert len(list(csv.DictReader((folder / "epochs.csv").read_text().splitlines()))) == 2
    for name in ("roc", "calibration", "learning"):
        assert QImage(str(folder / f"{name}.png")).width() >= 1200
        assert b"<svg" in (folder / f"{name}.svg").read_bytes()[:500]

    press(window.close_button)
    desk.qtbot.waitUntil(lambda: not isalive(window), timeout=5_000)


def classifier_scores(names=("a", "b", "c"), n: int = 90, test: bool = False) -> dict:
    random = np.random.default_rng(0)
    truth = np.arange(n) % len(names)
    logits = random.normal(size=(n, len(names)))
    logits[np.arange(n), truth] += 1.0
    logits[truth == 2, 1] += 2.0  # many of the third class are called the second
    chances = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    report = measure_classifier(truth, chances, names).as_dict()
    found = {"validation": report, "measured_on": "a part", "warning": "Few."}
    if test:
        found["test"] = {**report, "measured_on": "4 test images"}
    return json.loads(json.dumps(found))


def test_the_confusion_matrix_is_normalised_and_sorted(qtbot):
    counts = np.array([[8, 2, 0], [0, 10, 0], [5, 0, 15]])
    view = ConfusionView(counts, ("a", "b", "c"), "samples", QColor("black"))
    qtbot.addWidget(view)
    view.show_choice.setCurrentText("% of row")
    assert view.texts[2] == ["25.0", "0.0", "75.0"]
    view.show_choice.setCurrentText("% of column")
    assert [row[0] for row in view.texts] == ["61.5", "0.0", "38.5"]
    view.order_choice.setCurrentText("most confused first")
    assert view.order == ["a", "c", "b"]
    assert "'c' were called 'a': 25.0% of the row" in view._matrix._words(2, 0)


def test_numbers_can_be_read_on_every_colour_of_both_themes(qtbot):
    for background in ("#262930", "#efebe9"):
        n = 30
        counts = np.arange(n * n).reshape(n, n)
        view = ConfusionView(counts, tuple(map(str, range(n))), "samples", QColor(background))
        qtbot.addWidget(view)
        for t in range(n):
            for p in range(n):
                colour = view._matrix._colour(t, p)
                assert _contrast(colour, readable_on(colour)) >= 4.5


def _contrast(first: QColor, second: QColor) -> float:
    parts = [np.array(c.getRgbF()[:3]) for c in (first, second)]
    linear = [np.where(p <= 0.04045, p / 12.92, ((p + 0.055) / 1.055) ** 2.4) for p in parts]
    low, high = sorted(float(p @ (0.2126, 0.7152, 0.0722)) for p in linear)
    return (high + 0.05) / (low + 0.05)


def test_test_images_are_told_apart_from_held_out_samples(desk):
    window = show(desk, classifier_scores(test=True), "classify")
    assert window.part.isVisible()
    assert window.warning.text() == "Few."
    window.part.setCurrentIndex(1)
    assert "4 test images" in window.words.text()
    assert not window.warning.isVisible()


def test_positions_are_told_in_pixels_and_micrometres(desk):
    held = {
        "n": 20, "found": 21, "matched": 18, "tolerance_pixels": 3.0, "precision": 18 / 21,
        "precision_interval": [0.65, 0.95], "recall": 0.9, "recall_interval": [0.7, 0.97], "f1": 36 / 41,
        "root_mean_square_error_pixels": 0.8, "median_error_pixels": 0.5, "threshold": 0.4,
    }  # fmt: skip
    window = show(desk, {"validation": held, "measured_on": "x", "warning": ""}, "locate")
    assert "0.800 = 0.4 µm, within 3 px on 20 positions" in window.words.text()
    assert tab_names(window) == ["Scores"]
    names = [column.name for column in window.classes.columns]
    assert "RMS error (µm)" in names
    model = window.classes.model()
    assert model.data(model.index(0, names.index("RMS error (µm)"))) == "0.400"


@pytest.mark.parametrize(
    "held",
    [None, 3, {"classes": 3}, {"classes": {"a": {"n": "x"}}}, {"confusion": [[1, 2]]},
     {"classes": {"a": {}}, "calibration": {"bins": [{}]}}, {"roc": {"a": {}}}],
)  # fmt: skip
def test_scores_of_a_stranger_that_make_no_sense_are_said_to_be_none(desk, held):
    window = show(desk, {"validation": held, "warning": "W."}, "classify")
    assert "no scores" in window.words.text()
    assert window.tabs.count() == 0


def test_a_name_is_no_formula_in_a_spreadsheet():
    report = read_report(classifier_scores(("=1+1", "b", "c")), "classify")
    rows = list(csv.reader(io.StringIO(class_table(report).decode())))
    assert rows[1][0] == "'=1+1" == cell_text("=1+1")


def test_a_model_without_a_project_has_no_curves(trained, desk):
    card = desk.session.model.card
    assert run(subject_of_model(card, None, threading.Event())).epochs == ()
