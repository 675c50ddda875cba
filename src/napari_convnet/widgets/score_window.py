"""A window with the scores of a model or a run: in words, as tables, as plots; exported as files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from napari.utils.theme import get_theme
from qtpy.QtCore import Qt
from qtpy.QtGui import QColor
from qtpy.QtWidgets import (
    QDialog,
    QFileDialog,
    QHBoxLayout,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from napari_convnet.scores import PARTS, Figure, ScoreReport
from napari_convnet.widgets.background import JobResult, MakeSteps
from napari_convnet.widgets.confusion_view import ConfusionView
from napari_convnet.widgets.controls import combo_box, push_button, row, text_line
from napari_convnet.widgets.job_slot import JobSlot
from napari_convnet.widgets.score_export import score_files, write_files
from napari_convnet.widgets.score_plots import (
    Plots,
    calibration_plot,
    learning_plot,
    report_unit,
    roc_plot,
)
from napari_convnet.widgets.score_subject import ScoreSubject
from napari_convnet.widgets.score_table import Cell, Column, SortedTable
from napari_convnet.widgets.session import Session

_SIZE = (900, 640)
_WARNING_STYLE = "font-weight: bold;"


class ScoreWindow(QDialog):
    """Shows what is recorded; it is read in the background, and nothing is measured again.

    Parameters
    ----------
    parent
        The dock or window that it belongs to.
    read
        Returns the `ScoreSubject`, in the worker.
    """

    def __init__(self, parent: QWidget, session: Session, read: MakeSteps) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle("Scores")
        self.resize(*_SIZE)
        self._session = session
        self._slot = JobSlot(self)
        self.subject: ScoreSubject | None = None
        self.report: ScoreReport | None = None
        self.plots: dict[str, Plots] = {}
        self._build()
        self._slot.start(
            read, description="Reading scores", on_progress=lambda _events: None,
            on_done=self._on_read,
        )  # fmt: skip

    def _build(self) -> None:
        self.words = text_line("What was measured, on what, and how sure that is")
        self.words.setText("Reading the scores…")
        self.warning = text_line("Why the scores may not mean much")
        self.warning.setStyleSheet(_WARNING_STYLE)
        self.warning.hide()
        self.part = combo_box("Measured on", "What the scores were measured on.", can_shrink=False)
        self.part.hide()
        self.part.currentIndexChanged.connect(self._show_report)
        self.tabs = QTabWidget()
        self.tabs.setAccessibleName("Scores")
        self.status = text_line("What was exported")
        self.export_button = push_button(
            "Export…",
            "Write everything as JSON, the tables as CSV and the plots as PNG and SVG to a new folder.",
            self.export,
        )
        self.export_button.setEnabled(False)
        self.close_button = push_button("Close", "Close this window.", self.close)
        self.close_button.setDefault(True)
        top = QHBoxLayout()
        top.addWidget(self.words, stretch=1)
        top.addWidget(self.part)
        bottom = row(self.export_button, self.close_button)
        bottom.insertWidget(0, self.status, stretch=1)
        layout = QVBoxLayout(self)
        layout.addLayout(top)
        layout.addWidget(self.warning)
        layout.addWidget(self.tabs, stretch=1)
        layout.addLayout(bottom)

    # What is shown ------------------------------------------------------------------------------

    def _on_read(self, result: JobResult) -> None:
        if result.value is None:
            self.words.setText(result.error_text or "Nothing was read.")
            return
        self.subject = result.value
        self.setWindowTitle(f"Scores of {self.subject.title}")
        for report in self.subject.reports:
            self.part.addItem(PARTS[report.part], report.part)
        self.part.setVisible(self.part.count() > 1)
        self.export_button.setEnabled(True)
        if not self.subject.reports:
            self._show_report(-1)

    def _show_report(self, index: int) -> None:
        subject, before = self.subject, self.tabs.tabText(self.tabs.currentIndex())
        if subject is None:
            return
        self.report = report = subject.reports[index] if index >= 0 else None
        for _ in range(self.tabs.count()):
            page = self.tabs.widget(0)
            self.tabs.removeTab(0)
            page.deleteLater()
        theme = self._session.viewer.theme
        self.plots = {}
        warning = str(subject.scores.get("warning", ""))
        if report is None:
            self.words.setText(
                "There are no scores: nothing was held out, or the training ended before it was measured."
            )
        else:
            warning = report.warning
            self.words.setText(report.words)
            self._add_report(report, theme)
        self.warning.setText(warning)
        self.warning.setVisible(bool(warning))
        self._add_plot(
            "Learning", learning_plot(subject.epochs, subject.scores, subject.task, theme)
        )
        names = [self.tabs.tabText(k) for k in range(self.tabs.count())]
        self.tabs.setCurrentIndex(names.index(before) if before in names else 0)

    def _add_report(self, report: ScoreReport, theme: str) -> None:
        if report.confusion is not None:
            background = QColor(get_theme(theme).background.as_hex())
            self.confusion = ConfusionView(
                report.confusion, report.names, report_unit(report), background
            )
            self.tabs.addTab(self.confusion, "Confusion")
        self.classes = _class_table(report)
        self.tabs.addTab(self.classes, "Classes" if report.confusion is not None else "Scores")
        self._add_plot("ROC", roc_plot(report, theme))
        self._add_plot("Calibration", calibration_plot(report, theme), _calibration_words(report))

    def _add_plot(self, name: str, plots: Plots | None, words: str = "") -> None:
        if plots is None:
            return
        self.plots[name.lower()] = plots
        page: QWidget = plots
        if words:
            page = QWidget()
            layout = QVBoxLayout(page)
            line = text_line("What the plot says")
            line.setText(words)
            layout.addWidget(line)
            layout.addWidget(plots, stretch=1)
        self.tabs.addTab(page, name)

    # Export -------------------------------------------------------------------------------------

    def export(self) -> None:
        """Ask for a folder and write a new one with everything into it."""
        if self.subject is None or self._slot.state != "idle":
            return
        text = QFileDialog.getExistingDirectory(
            self, "Folder to export scores to", str(Path.home())
        )
        if not text:
            return
        subject = self.subject
        files = score_files(
            subject.title, subject.task, _plain(subject.scores), subject.reports, subject.epochs
        )
        for name, plots in self.plots.items():
            files |= {f"{name}.png": plots.png(), f"{name}.svg": plots.svg()}
        folder = Path(text) / f"scores of {_file_name(subject.title)}"
        self.status.setText("Writing…")
        self._slot.start(
            lambda stop: write_files(folder, files, stop), description="Exporting scores",
            on_progress=lambda _events: None, on_done=self._on_exported,
        )  # fmt: skip

    def _on_exported(self, result: JobResult) -> None:
        self.status.setText(
            f"Exported to {result.value}" if result.value is not None else result.error_text
        )

    def done(self, result: int) -> None:
        """Stop reading when the window is closed, which is gone then."""
        self._slot.request_stop()
        super().done(result)


def _class_table(report: ScoreReport) -> SortedTable:
    columns = [Column("class", "Name of the class.", width=150)]
    columns.append(Column("n", f"Number of {report_unit(report)} that are of the class.", True, 70))
    for number, (name, tip) in enumerate(report.column_texts()):
        has_interval = any(row.figures[number].interval for row in report.rows)
        columns.append(Column(name, tip, True, 148 if has_interval else 98))
    table = SortedTable("Scores by class", columns)
    table.show_rows(
        [
            (
                Cell(row.name, row.name.casefold()),
                Cell("-" if row.n is None else f"{row.n:,}", row.n),
                *(Cell(figure.text, figure.value, _interval_tip(figure)) for figure in row.figures),
            )
            for row in report.rows
        ]
    )
    return table


def _interval_tip(figure: Figure) -> str:
    if figure.interval is None:
        return f"{figure.name} {figure.text}, no interval known"
    return f"{figure.name} {figure.value:.4f}, 95 %: {figure.interval[0]:.4f} to {figure.interval[1]:.4f}"


def _calibration_words(report: ScoreReport) -> str:
    found = report.calibration
    if found is None or found.error is None:
        return ""
    text = f"Expected calibration error {found.error:.3f}"
    if found.error_before is not None and found.temperature is not None:
        text += f", before temperature scaling {found.error_before:.3f} (temperature {found.temperature:g})"
    where = f", measured {found.measured_on}" if found.measured_on else ""
    return f"{text}{where}. On the dotted line, 80 % sure is right in 80 of 100."


def _plain(scores: Any) -> Any:
    return dict(scores)


def _file_name(title: str) -> str:
    """Return a title as a part of a file name on every system."""
    return re.sub(r'[<>:"/\\|?*\x00-\x1f]', "_", title).strip(" .")[:80] or "model"
