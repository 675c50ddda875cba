"""The network table: every layer of the chosen network, what training it takes, and how long an epoch is."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from napari.components import ViewerModel
from napari.utils.notifications import show_info
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication, QDialog, QFileDialog, QHBoxLayout, QVBoxLayout, QWidget

from napari_convnet.atomic import write_atomically
from napari_convnet.networks.catalogue import network_entry
from napari_convnet.progress import Progress
from napari_convnet.widgets.background import JobResult
from napari_convnet.widgets.controls import push_button, row, text_line
from napari_convnet.widgets.job_slot import JobSlot
from napari_convnet.widgets.messages import guarded
from napari_convnet.widgets.network_diagram import Box, NetworkDiagram
from napari_convnet.widgets.network_input import InputBar
from napari_convnet.widgets.network_view_job import (
    HEADER,
    RIGHT,
    TIPS,
    NetworkQuestion,
    TableReady,
    as_csv,
    table_rows,
    time_text,
    totals_text,
    view_steps,
)
from napari_convnet.widgets.row_table import RowTable

_SIZE = (1180, 680)
#: After the last change of a number.
_WAIT_MILLISECONDS = 400


class NetworkView(QDialog):
    """Shows a network before it is trained; work goes on while it is open.

    Parameters
    ----------
    dock
        Whose window and job this is.
    viewer
        Whose theme is followed.
    """

    def __init__(self, dock: QWidget, viewer: ViewerModel) -> None:
        super().__init__(dock)
        self.slot = JobSlot(dock)
        self._question: NetworkQuestion | None = None
        self._name = ""
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_WAIT_MILLISECONDS)
        self._timer.timeout.connect(self._ask)
        self.setWindowTitle("ConvNet: network")
        self._build(viewer)
        self.input.changed.connect(self._timer.start)
        self.finished.connect(self._close_down)
        self.resize(*_SIZE)

    def _build(self, viewer: ViewerModel) -> None:
        self.heading = text_line("What the network is for")
        self.input = InputBar()
        self.table = RowTable("Layers of the network", HEADER, TIPS, RIGHT, stretched=0)
        self.diagram = NetworkDiagram(viewer)
        self.totals = text_line("All layers together")
        self.time = text_line("Time of an epoch")
        self.copy_button = push_button(
            "Copy as CSV", "Copy the table, to be pasted into a spreadsheet.", self.copy
        )
        self.save_button = push_button("Save CSV…", "Write the table to a file.", self.ask_file)
        self.close_button = push_button("Close", "Close this window (Esc).", self.close)
        for button in (self.copy_button, self.save_button, self.close_button):
            button.setAutoDefault(False)
        middle = QHBoxLayout()
        middle.addWidget(self.table, stretch=1)
        middle.addWidget(self.diagram)
        buttons = row(self.copy_button, self.save_button)
        buttons.addStretch()
        buttons.addWidget(self.close_button)
        layout = QVBoxLayout(self)
        layout.addWidget(self.heading)
        layout.addWidget(self.input)
        layout.addLayout(middle, stretch=1)
        layout.addWidget(self.totals)
        layout.addWidget(self.time)
        layout.addLayout(buttons)
        self.table.selectionModel().currentRowChanged.connect(
            lambda new, _old: self.diagram.choose(new.row() + 1) if new.isValid() else None
        )
        self.diagram.clicked.connect(lambda place: self.table.choose(max(0, place - 1)))

    def show_network(self, question: NetworkQuestion, name: str) -> None:
        """Lay a network out and show it under a name; the time comes later."""
        self._question, self._name = question, name
        entry = network_entry(question.network)
        source = "" if question.network == "custom" else f"\nSource: {entry.source}"
        title = name if question.network == "custom" else f"{entry.title} ({name})"
        self.heading.setText(f"{title}. {entry.purpose}{source}")
        self.input.set_value(question.input)
        self.show()
        self.raise_()
        self._ask()

    def _ask(self) -> None:
        if self._question is None or not self.isVisible():
            return
        self._question = NetworkQuestion(**{**vars(self._question), "input": self.input.value()})
        if not self.slot.make_way():
            return
        question = self._question
        self._show_table((), "Laying the network out…")
        self.time.setText("")
        self.slot.start(
            lambda stop: view_steps(question, stop), description="Looking at a network",
            on_progress=partial(self._on_progress, question), on_done=partial(self._on_done, question),
        )  # fmt: skip

    def _show_table(self, rows, totals: str) -> None:
        self.table.show_rows(rows)
        self.totals.setText(totals)
        for button in (self.copy_button, self.save_button):
            button.setEnabled(bool(rows))
        if not rows:
            self.diagram.show_boxes(())

    def _on_progress(self, question: NetworkQuestion, events: tuple[Progress, ...]) -> None:
        for event in events:
            if isinstance(event, TableReady) and not self.slot.is_outdated:
                table = event.table
                self._show_table(table_rows(table), totals_text(table, question.batch_size))
                self.time.setText("Measuring how long an epoch takes on this device…")
                drawn = table.diagram()
                takes: dict[int, list[int]] = {}
                for source, target in drawn["edges"]:
                    takes.setdefault(target, []).append(source)
                self.diagram.show_boxes(
                    [
                        Box(
                            node["name"],
                            " x ".join(map(str, node["shape"])),
                            tuple(takes.get(n, ())),
                        )
                        for n, node in enumerate(drawn["nodes"])
                    ]
                )

    def _on_done(self, question: NetworkQuestion, result: JobResult) -> None:
        if self.slot.is_outdated:
            self._ask()
        elif result.outcome == "failed":
            self.time.setText("")
            if self.table.rows:
                self.time.setText(f"The time could not be measured: {result.error_text}")
            else:
                self.totals.setText(result.error_text)
        else:
            self.time.setText(time_text(question, *result.value) if result.value else "")

    def _close_down(self) -> None:
        self._timer.stop()
        self.slot.request_stop()

    def csv(self) -> str:
        """Return the table as comma-separated values."""
        return as_csv(HEADER, self.table.rows)

    def copy(self) -> None:
        """Copy the table to the clipboard."""
        QApplication.clipboard().setText(self.csv())
        show_info(f"Copied {len(self.table.rows)} layers.")

    def ask_file(self) -> None:
        """Ask for a file and write the table to it."""
        start = str(Path.home() / f"{self._name}.csv")
        path, _ = QFileDialog.getSaveFileName(self, "Save the network table", start, "CSV (*.csv)")
        if path:
            file = Path(path) if Path(path).suffix else Path(f"{path}.csv")
            guarded(lambda: write_atomically(file, self.csv().encode()))
