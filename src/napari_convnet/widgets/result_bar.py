"""Two buttons for what trainings have given: the scores of the model, and all runs of the project."""

from __future__ import annotations

from napari.utils.notifications import show_warning
from qtpy.QtWidgets import QWidget

from napari_convnet.widgets.controls import push_button, row
from napari_convnet.widgets.dock import Dock
from napari_convnet.widgets.run_table import RunWindow
from napari_convnet.widgets.score_subject import subject_of_model
from napari_convnet.widgets.score_window import ScoreWindow


class ResultBar(QWidget):
    """Opens the windows of scores and runs, and offers both as commands.

    Parameters
    ----------
    dock
        Where it is; the windows go with it.
    """

    def __init__(self, dock: Dock) -> None:
        super().__init__()
        self._dock, self._session = dock, dock.session
        self.scores_button = push_button(
            "Scores…",
            "What the current model is worth, on what that was measured, and how sure it is.",
            self.show_scores,
        )
        self.runs_button = push_button(
            "Runs…", "All trainings of the project: compare, use, repeat.", self.show_runs
        )
        layout = row(self.scores_button, self.runs_button)
        self.setLayout(layout)
        self.score_window: ScoreWindow | None = None
        self.run_window: RunWindow | None = None
        self._session.model_changed.connect(self._show)
        self._session.project_changed.connect(self._show)
        self._session.annotations_settled.connect(self._show)
        dock.offer(show_scores=self.show_scores, show_runs=self.show_runs)
        self._show()

    def _show(self) -> None:
        self.scores_button.setEnabled(self._session.model is not None)
        self.runs_button.setEnabled(self._session.project is not None)

    def show_scores(self) -> None:
        """Show the scores of the current model."""
        model, project = self._session.model, self._session.project
        if model is None:  # asked by the palette
            show_warning("There is no model whose scores could be shown. Train one, or load one.")
            return
        card = model.card
        self.score_window = ScoreWindow(
            self._dock, self._session, lambda stop: subject_of_model(card, project, stop)
        )
        self.score_window.show()

    def show_runs(self) -> None:
        """Show the runs of the project."""
        if self._session.project is None:
            show_warning("There is no project whose runs could be shown. Annotate, or open one.")
            return
        self.run_window = RunWindow(self._dock, self._session)
        self.run_window.show()
