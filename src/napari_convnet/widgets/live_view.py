"""What a training is doing now: curves or the same as a table, and over-fitting in words."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from napari.components import ViewerModel
from qtpy.QtCore import QTimer
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import (
    QApplication,
    QButtonGroup,
    QFileDialog,
    QShortcut,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from napari_convnet.atomic import write_atomically
from napari_convnet.progress import Progress
from napari_convnet.project import EpochRecord
from napari_convnet.widgets.controls import push_button, row, text_line
from napari_convnet.widgets.curves import RATE_HEIGHT, Curves
from napari_convnet.widgets.messages import guarded
from napari_convnet.widgets.row_table import RowTable

_HEIGHT = 240  # all of the dock fits on a screen of 800 rows
_REDRAW_MILLISECONDS = 200
_COLUMNS = {
    "epoch": ("epoch", "Passes over the training samples; ★ is the best one."),
    "training_loss": ("loss", "Mean loss of the epoch's training samples."),
    "validation_loss": ("val. loss", "Loss of the held-out samples."),
    "score": ("score", "What the best epoch is chosen by, on the held-out samples."),
    "learning_rate": ("rate", "Learning rate at the end of the epoch."),
    "seconds": ("s", "Seconds since the training started, without pauses."),
}
_FORMATS = {"epoch": ".0f", "learning_rate": ".2g", "seconds": ".0f"}
_ALL = (*_COLUMNS, "training_accuracy", "is_best")


class LiveView(QWidget):
    """Curves and table of one training; events go in with `take`.

    Parameters
    ----------
    viewer
        Whose theme is followed.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__()
        self.rows: list[dict[str, float | None]] = []
        self._steps_per_epoch = self._total = 0
        self._is_error = self._has_training_score = False
        self.curves = Curves(viewer)
        heads, tips = zip(*_COLUMNS.values(), strict=True)
        self.table = RowTable("Epochs of the training", heads, tips, range(len(heads)), stretched=0)
        self.advice = text_line("Over-fitting")
        self._redraw = QTimer(self)
        self._redraw.setSingleShot(True)
        self._redraw.setInterval(_REDRAW_MILLISECONDS)
        self._redraw.timeout.connect(self._fill_table)
        self._build()

    def _build(self) -> None:
        self.plot_button = push_button("Curves", "Show loss and score as curves.", checkable=True)
        self.table_button = push_button("Table", "Show the same as numbers.", checkable=True)
        self.rate_button = push_button(
            "Rate", "Show the learning rate below the curves.", checkable=True
        )
        self.copy_button = push_button("Copy", "Copy the table (Ctrl+C).", self.copy)
        self.save_button = push_button("Save CSV…", "Write the table to a file.", self.ask_file)
        self._choice = QButtonGroup(self)
        for button in (self.plot_button, self.table_button):
            self._choice.addButton(button)
        self.plot_button.setChecked(True)
        self._choice.buttonToggled.connect(self._show_choice)
        self.rate_button.toggled.connect(self._show_rate)
        shortcut = QShortcut(QKeySequence(QKeySequence.StandardKey.Copy), self.table)
        shortcut.activated.connect(self.copy)
        self._pages = QStackedWidget()
        self._pages.setFixedHeight(_HEIGHT)
        for page in (self.curves, self.table):
            self._pages.addWidget(page)
        buttons = row(
            self.plot_button,
            self.table_button,
            self.rate_button,
            self.copy_button,
            self.save_button,
        )
        buttons.addStretch()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(3)
        layout.addLayout(buttons)
        layout.addWidget(self._pages)
        layout.addWidget(self.advice)
        self._show_choice()

    def release(self) -> None:
        """Let go of the viewer, which outlives the view."""
        self.curves.release()

    def begin(self, score_name: str, is_error: bool = False, training_score: str = "") -> None:
        """Begin anew; see `Curves.clear` for the names."""
        self.rows = []
        self._steps_per_epoch = self._total = 0
        self._has_training_score = bool(training_score)
        self._is_error = is_error
        self.curves.clear(score_name, is_error, training_score)
        self.advice.hide()
        self._fill_table()

    def take(self, events: Sequence[Progress]) -> None:
        """Show what a training tells."""
        for event in events:
            kind = type(event).__name__
            if kind == "TrainingStarted":
                self._steps_per_epoch, self._total = event.batches_per_epoch, event.total
            elif kind == "BatchFinished":
                self.curves.add_batch(event.done, event.loss, event.learning_rate)
            elif kind == "Validated":
                measured = (event.validation_loss, event.score, event.is_best)
                self.curves.add_validation(event.done, *measured)
            elif kind == "StrokesJoined" and event.n_scored:
                self.curves.add_score(event.done, event.n_right / event.n_scored)
            elif kind in ("BatchSizeReduced", "PatchSizeReduced"):
                self._stretch(event.total)
            elif kind == "EpochFinished":
                self._add_epoch({name: getattr(event, name) for name in _ALL}, event.done)
                self._show_overfitting(event.overfits_since)

    def show_record(self, epochs: Sequence[EpochRecord], steps_done: int) -> None:
        """Show what a training had done that goes on now, after `take` was told that it has started."""
        last = steps_done // max(1, self._steps_per_epoch)
        for record in epochs:
            if record.epoch <= last:
                values = {name: record.curves.get(name) for name in _ALL} | {"epoch": record.epoch}
                self._add_epoch(values, record.epoch * self._steps_per_epoch)

    def csv(self) -> str:
        """Return the table as comma-separated values, to all digits."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(_ALL)
        for values in self.rows:
            cells = [values[name] for name in _ALL]
            writer.writerow(
                ["" if c is None else int(c) if c is True or c is False else c for c in cells]
            )
        return text.getvalue()

    def copy(self) -> None:
        """Copy the table, to be pasted into a spreadsheet."""
        QApplication.clipboard().setText(self.csv().replace(",", "\t"))

    def ask_file(self) -> None:
        """Ask where to write the table."""
        name = str(Path.home() / "training.csv")
        text, _ = QFileDialog.getSaveFileName(self, "Save the table", name, "Table (*.csv)")
        if text:
            path = Path(text)
            path = path if path.suffix else path.with_suffix(".csv")
            guarded(lambda: write_atomically(path, self.csv().encode()))

    def _add_epoch(self, values: Mapping[str, Any], step: int) -> None:
        if values["is_best"]:
            for earlier in self.rows:
                earlier["is_best"] = False
        self.rows.append(dict(values))
        self.curves.add_epoch(
            step, values["training_loss"], values["validation_loss"], values["score"], bool(values["is_best"]),
            values["training_accuracy"] if self._has_training_score else None,
        )  # fmt: skip
        if not self._redraw.isActive():
            self._redraw.start()

    def _stretch(self, total: int) -> None:
        """Count steps as they are now, after the batches were halved."""
        if self._total and total != self._total:
            factor = total / self._total
            self.curves.stretch(factor)
            self._steps_per_epoch = round(self._steps_per_epoch * factor)
            self._total = total

    def _show_overfitting(self, epoch: int | None) -> None:
        self.advice.setVisible(epoch is not None)
        self.curves.mark_overfitting(None if epoch is None else epoch * self._steps_per_epoch)
        if epoch is not None:
            from napari_convnet.training.overfitting import advice  # the worker has imported torch

            self.advice.setText(advice(epoch))

    def _show_rate(self, is_shown: bool) -> None:
        self.curves.show_rate(is_shown)
        self._pages.setFixedHeight(_HEIGHT + RATE_HEIGHT * is_shown)

    def _show_choice(self, *_: object) -> None:
        is_table = self.table_button.isChecked()
        self._pages.setCurrentWidget(self.table if is_table else self.curves)
        self.rate_button.setVisible(not is_table)
        for button in (self.copy_button, self.save_button):
            button.setVisible(is_table)
        self._fill_table()

    def _fill_table(self) -> None:
        if self._pages.currentWidget() is not self.table:
            return
        self.table.show_rows([self._cells(values) for values in self.rows])
        self.table.scrollToBottom()

    def _cells(self, values: Mapping[str, Any]) -> tuple[str, ...]:
        score = values["score"]
        shown = {**values, "score": -score if self._is_error and score is not None else score}
        star = "★ " if values["is_best"] else ""
        texts = [
            "-" if shown[name] is None else format(shown[name], _FORMATS.get(name, ".3g"))
            for name in _COLUMNS
        ]
        return (star + texts[0], *texts[1:])
