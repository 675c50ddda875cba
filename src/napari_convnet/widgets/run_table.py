"""A window with all runs of the project: sort, compare, use, repeat."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QDialog,
    QFileDialog,
    QHBoxLayout,
    QMessageBox,
    QProgressBar,
    QVBoxLayout,
    QWidget,
)

from napari_convnet.atomic import write_atomically
from napari_convnet.progress import Progress
from napari_convnet.project import RunRecord
from napari_convnet.widgets.background import JobResult
from napari_convnet.widgets.controls import push_button, row, text_line
from napari_convnet.widgets.job_slot import JobSlot
from napari_convnet.widgets.messages import guarded
from napari_convnet.widgets.resuming import request_again
from napari_convnet.widgets.run_repeat import repeat_steps
from napari_convnet.widgets.run_rows import COLUMNS, RunRow, read_runs, runs_csv
from napari_convnet.widgets.score_subject import subject_of_run
from napari_convnet.widgets.score_table import SortedTable
from napari_convnet.widgets.score_window import ScoreWindow
from napari_convnet.widgets.session import Session

_SIZE = (1270, 460)
_SETTINGS_COLUMN = 5


class RunWindow(QDialog):
    """The runs of the session's project, read in the background.

    Parameters
    ----------
    parent
        The dock that it belongs to.
    """

    def __init__(self, parent: QWidget, session: Session) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle("Runs of the project")
        self.resize(*_SIZE)
        self._session, self._project = session, session.project
        self._slot, self._reader = JobSlot(self), JobSlot(self)
        self.rows: tuple[RunRow, ...] = ()
        self.score_window: ScoreWindow | None = None
        self._build()
        self._connect()
        self.read()

    def _build(self) -> None:
        self.table = SortedTable("Runs", COLUMNS, stretched=_SETTINGS_COLUMN)
        self.status = text_line("What was done")
        self.bar = QProgressBar()
        self.bar.setAccessibleName("Progress of the repetition")
        self.bar.setToolTip("Progress of the repetition")
        self.bar.setTextVisible(False)
        self.bar.hide()
        self.use_button = push_button(
            "Use this model", "Make the model of this run the current one.", self.use
        )
        self.scores_button = push_button(
            "Show scores…", "What this run was measured on, and how good it is.", self.show_scores
        )
        self.compare_button = push_button(
            "Only comparable",
            "Show only runs that were measured on the same held-out samples as the chosen one.",
            self.compare, checkable=True,
        )  # fmt: skip
        self.repeat_button = push_button(
            "Repeat",
            "Train once more with the same seed, settings and number of steps, and say whether losses and "
            "weights are the same to the bit. The project stays as it is.",
            self.repeat,
        )
        self.stop_button = push_button("Stop", "End the repetition.", self._slot.request_stop)
        self.delete_button = push_button(
            "Delete model…", "Make the project smaller; the record of the run stays.", self.delete
        )
        self.export_button = push_button(
            "Export…", "Write the table of all runs as CSV.", self.export
        )
        self.close_button = push_button("Close", "Close this window.", self.close)
        layout = QVBoxLayout(self)
        layout.addWidget(self.table, stretch=1)
        layout.addWidget(self.status)
        layout.addWidget(self.bar)
        buttons: QHBoxLayout = row(
            self.compare_button, self.scores_button, self.use_button, self.repeat_button,
            self.stop_button, self.delete_button, self.export_button, self.close_button,
        )  # fmt: skip
        buttons.insertStretch(6)  # left: for the chosen run; right: for all
        layout.addLayout(buttons)

    def _connect(self) -> None:
        self.table.selectionModel().selectionChanged.connect(lambda *_: self._show_state())
        self.table.model().modelReset.connect(self._show_state)
        self.table.doubleClicked.connect(lambda _index: self.show_scores())
        self._slot.changed.connect(self._show_state)
        self._session.project_changed.connect(self.close)
        self._session.model_changed.connect(self.read)  # a training has ended

    @property
    def chosen(self) -> RunRow | None:
        """The chosen run."""
        number = self.table.chosen
        return None if number is None else self.rows[number]

    def _show_state(self) -> None:
        chosen, is_idle = self.chosen, self._slot.state == "idle"
        has_model = chosen is not None and bool(chosen.run.model_sha256)
        is_over = chosen is not None and chosen.run.outcome != "running"
        can_write = not self._project.read_only
        self.use_button.setEnabled(has_model)
        self.scores_button.setEnabled(chosen is not None)
        self.compare_button.setEnabled(
            self.compare_button.isChecked() or bool(chosen and chosen.held_out)
        )
        self.repeat_button.setEnabled(is_idle and is_over and _can_repeat(chosen.run))
        self.delete_button.setEnabled(is_idle and has_model and is_over and can_write)
        self.stop_button.setEnabled(not is_idle)
        self.export_button.setEnabled(bool(self.rows))

    def read(self) -> None:
        """Read the runs anew."""
        project = self._project
        self._reader.start(
            lambda stop: read_runs(project, stop), description="Reading runs",
            on_progress=lambda _events: None, on_done=self._on_read,
        )  # fmt: skip

    def _on_read(self, result: JobResult) -> None:
        if result.value is None:
            self.status.setText(result.error_text)
            return
        chosen = self.chosen.run.id if self.chosen else None
        self.compare_button.setChecked(False)
        self.table.keep(None)
        self.rows = result.value
        self.table.show_rows([row.cells for row in self.rows])
        self.table.choose(
            next((k for k, row in enumerate(self.rows) if row.run.id == chosen), None)
        )
        if not self.rows:
            self.status.setText("No trainings yet.")
        self._show_state()

    def done(self, result: int) -> None:
        """End a repetition with the window."""
        self._slot.request_stop()
        super().done(result)

    # Verbs ------------------------------------------------------------------------------------

    def compare(self) -> None:
        """Show only what may be compared with the chosen run, or all."""
        chosen = self.chosen
        if self.compare_button.isChecked() and chosen is not None and chosen.held_out:
            wanted = chosen.held_out
            self.table.keep(lambda number: self.rows[number].held_out == wanted)
            self.status.setText(
                f"{len(self.table.shown)} of {len(self.rows)} runs were measured on the same held-out samples. "
                "The best of many is better by chance, too: confirm it on images of its own."
            )
        else:
            self.compare_button.setChecked(False)
            self.table.keep(None)
            self.status.setText("")

    def show_scores(self) -> None:
        """Show the scores of the chosen run."""
        chosen = self.chosen
        if chosen is not None:
            run, project = chosen.run, self._project
            self.score_window = ScoreWindow(
                self, self._session, lambda stop: subject_of_run(run, project, stop)
            )
            self.score_window.show()

    def use(self) -> None:
        """Make the model of the chosen run the current one."""
        chosen, project = self.chosen, self._project
        if chosen is None or not chosen.run.model_sha256:
            return
        run_id = chosen.run.id

        def load(_stop):
            from napari_convnet.model_file import model_from_bytes

            yield Progress(done=0, total=0, text="loading the model")
            return model_from_bytes(project.model_bytes(run_id), f"model of run {run_id}")

        self._slot.start(
            load, description="Loading the model", on_progress=lambda _events: None,
            on_done=lambda result: self._on_loaded(result, run_id),
        )  # fmt: skip

    def _on_loaded(self, result: JobResult, run_id: int) -> None:
        if result.value is None:
            self.status.setText(result.error_text)
            return
        self.status.setText(f"The model of run {run_id} is the current one.")
        self._session.set_model(result.value)

    def repeat(self) -> None:
        """Train once more as the chosen run did."""
        chosen = self.chosen
        make = None if chosen is None else guarded(lambda: request_again(chosen.run, self._session))
        if make is None or self._slot.state != "idle":
            return
        run, project, model = chosen.run, self._project, self._session.model
        self.status.setText(f"Repeating run {run.id}…")
        self.bar.setRange(0, 0)
        self.bar.show()
        self._slot.start(
            lambda stop: repeat_steps(run, project, make, model, stop), description="Repeating a training",
            on_progress=lambda events: self._on_progress(run, events), on_done=self._on_repeated,
        )  # fmt: skip

    def _on_progress(self, run: RunRecord, events: tuple[Progress, ...]) -> None:
        self.bar.setRange(0, events[-1].total)
        self.bar.setValue(events[-1].done)
        self.status.setText(f"Repeating run {run.id}: {events[-1].text}")

    def _on_repeated(self, result: JobResult) -> None:
        self.bar.hide()
        stopped = "The repetition was stopped; nothing was changed."
        self.status.setText(result.value.text if result.value else result.error_text or stopped)

    def delete(self) -> None:
        """Ask, then forget the model of the chosen run."""
        chosen = self.chosen
        if chosen is None or self._slot.state != "idle" or not _is_sure(self, chosen.run):
            return
        run_id = chosen.run.id

        def forget() -> None:
            self._project.delete_model(run_id)
            self.status.setText(f"The model of run {run_id} was deleted.")

        guarded(forget)
        self.read()

    def export(self) -> None:
        """Ask for a file and write all runs, in the order of the table."""
        name = str(Path.home() / f"{self._project.path.stem} runs.csv")
        text, _ = QFileDialog.getSaveFileName(self, "Export runs", name, "Table (*.csv)")
        if text:
            path = Path(text)
            path = path if path.suffix else path.with_suffix(".csv")
            rows = [self.rows[number] for number in self.table.shown]
            guarded(lambda: self._export(path, rows))

    def _export(self, path: Path, rows: list[RunRow]) -> None:
        write_atomically(path, runs_csv(rows))
        self.status.setText(f"{len(rows)} runs exported to {path}")


def _can_repeat(run: RunRecord) -> bool:
    """Return whether a run says how it was made."""
    return isinstance(run.scores.get("repeat"), Mapping)


def _is_sure(parent: QWidget, run: RunRecord) -> bool:
    answer = QMessageBox.question(
        parent, "Delete model",
        f"Delete the model of run {run.id} ({run.network}, {run.model_size / 1e6:.1f} MB) from the project?\n\n"
        "Its weights are gone then and cannot be brought back by undo. Settings, curves and scores of the run "
        "stay, a model file that you saved stays, and so does the current model.",
    )  # fmt: skip
    return answer == QMessageBox.StandardButton.Yes
