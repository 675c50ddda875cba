"""Compare models, folded in the Predict dock: model B, the job, its layers, and the result in words."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from napari.layers import Image, Layer
from napari.utils.notifications import show_warning
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog, QProgressBar, QVBoxLayout, QWidget

from napari_convnet.errors import UserError
from napari_convnet.progress import Progress
from napari_convnet.widgets.axes import known_axes
from napari_convnet.widgets.background import JobResult
from napari_convnet.widgets.comparison_job import (
    Compared,
    ComparisonRequest,
    comparison_steps,
)
from napari_convnet.widgets.comparison_layers import (
    comparison_layers,
    hide_results,
    show_comparison,
)
from napari_convnet.widgets.comparison_text import comparison_html
from napari_convnet.widgets.controls import combo_box, push_button, row, text_line
from napari_convnet.widgets.image_notes import new_notes
from napari_convnet.widgets.job_slot import JobSlot
from napari_convnet.widgets.layers import layer_id
from napari_convnet.widgets.messages import guarded
from napari_convnet.widgets.model_bar import MODEL_FILTER, start_folder
from napari_convnet.widgets.planes import planes_of
from napari_convnet.widgets.preferences import read_preferences
from napari_convnet.widgets.session import Session
from napari_convnet.widgets.source import Source, copy_plane, source_layers
from napari_convnet.widgets.time_left import TimeLeft
from napari_convnet.widgets.training_data import collect_test_planes
from napari_convnet.widgets.training_options import Fold

if TYPE_CHECKING:
    from napari_convnet.model_file import Model

#: Runs that are offered, the last ones first.
_RUNS_OFFERED = 20
_IDLE_TEXT = "The current model is A. Both are applied to the chosen image."


class ComparisonPanel(Fold):
    """The folded part.

    Parameters
    ----------
    dock
        Whose job this is: it stops when the dock is closed.
    session
        Its model is A, and its chosen image is what both are applied to.
    takes_all_planes
        Tells whether all planes of a stack are compared, and not the one shown only.
    """

    def __init__(
        self, dock: QWidget, session: Session, takes_all_planes: Callable[[], bool]
    ) -> None:
        super().__init__("Compare models")
        self._session, self._takes_all_planes = session, takes_all_planes
        self.slot = JobSlot(dock)
        self._path: Path | None = None
        self._hidden: list[Layer] = []
        self._time_left = TimeLeft()
        self._build()
        self.choice.activated.connect(self._choose)
        self.button.toggled.connect(self._refresh)
        self.slot.changed.connect(self._show_state)
        session.model_changed.connect(self._refresh)
        session.project_changed.connect(self._refresh)
        self._refresh()

    def _build(self) -> None:
        self.choice = combo_box(
            "Model B",
            "The model that the current one is compared with: of a file, or of a run of this project.",
        )
        self.compare_button = push_button(
            "Compare",
            "Apply both models to the chosen image and show where they differ.",
            self.compare,
        )
        self.stop_button = push_button(
            "Stop", "Stop and compare what both have seen.", self.slot.request_stop
        )
        self.remove_button = push_button(
            "Remove layers",
            "Remove the layers of the comparison; nothing else changes.",
            self.remove,
        )
        self.bar = QProgressBar()
        self.bar.setAccessibleName("Progress of the comparison")
        self.bar.setTextVisible(False)
        self.status = text_line("What the comparison does")
        self.result = text_line("Result of the comparison")
        self.result.setTextFormat(Qt.TextFormat.RichText)
        content = QWidget()
        column = QVBoxLayout(content)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.choice)
        column.addLayout(row(self.compare_button, self.stop_button))
        for widget in (self.bar, self.status, self.result, self.remove_button):
            column.addWidget(widget)
        self.add(content)
        self.say(_IDLE_TEXT)

    # Model B ----------------------------------------------------------------------------------

    def _refresh(self, *_: object) -> None:
        """Offer the runs of the project that have a model for the same task."""
        if self.button.isChecked():
            before = self.choice.currentData()
            self.choice.clear()
            self.choice.addItem("Model B…", None)
            self.choice.addItem(
                "model file…" if self._path is None else f"{self._path.name}…", "file"
            )
            for run in self._runs():
                self.choice.addItem(f"run {run.id}: {run.data.get('name') or run.network}", run.id)
            self.choice.setCurrentIndex(max(0, self.choice.findData(before)))
        self._show_state()

    def _runs(self) -> list:
        model, project = self._session.model, self._session.project
        if model is None or project is None:
            return []
        fitting = [r for r in project.runs() if r.model_sha256 and r.task == model.card.task]
        return fitting[::-1][:_RUNS_OFFERED]

    def _choose(self, _index: int) -> None:
        if self.choice.currentData() == "file":
            text, _ = QFileDialog.getOpenFileName(
                self, "Model B", str(start_folder()), MODEL_FILTER
            )
            if text:
                self._path = Path(text)
                self.choice.setItemText(self.choice.currentIndex(), f"{self._path.name}…")
            elif self._path is None:
                self.choice.setCurrentIndex(0)
        self._show_state()

    def _loader(self) -> Callable[[], Model]:
        """Return what reads model B in the worker."""
        chosen, path, project = self.choice.currentData(), self._path, self._session.project

        def load() -> Model:
            from napari_convnet.model_file import load_model, model_from_bytes

            if chosen == "file":
                return load_model(path)
            return model_from_bytes(project.model_bytes(chosen), f"model of run {chosen}")

        return load

    # The job ----------------------------------------------------------------------------------

    def compare(self) -> None:
        """Compare the current model with the chosen one on the chosen image."""
        guarded(self._start)

    def _start(self) -> None:
        model, session = self._session.model, self._session
        if model is None or self.choice.currentData() is None:
            raise UserError(
                "CN-405", "Choose the other model (Model B) first; the current one is A."
            )
        source = session.source
        if model.card.task != "classify":
            source = Source(source.image_ids)
        arrays = copy_plane(session.viewer, source, keeps_lazy=True)
        if model.card.task == "classify" and arrays.labels is None:
            raise UserError(
                "CN-674",
                "Two models that classify are compared on the cells of a label layer, and none is chosen. Nothing was "
                "changed. Choose one under Cells.",
            )
        images, cells = source_layers(session.viewer, source)
        takes_all = model.card.task == "segment" and self._takes_all_planes()
        planes = planes_of(session.viewer, source) if takes_all and images[0].ndim > 2 else None
        is_mean = session.averages_orientations and model.card.task == "classify"
        request = ComparisonRequest(
            model, self._loader(), arrays, planes, _depth_axis(images[0]), read_preferences().device,
            8 if is_mean else 1, self._test_planes(model.card.task), session.classes_of(model.card.task),
            () if session.project is None else session.project.runs(),
        )  # fmt: skip
        below = cells if model.card.task == "classify" else images[0]
        self._time_left = TimeLeft()
        self.slot.start(
            lambda stop: comparison_steps(request, stop), description="Comparing models",
            on_progress=self._on_progress,
            on_done=partial(self._on_done, below, () if planes is not None else arrays.plane),
        )  # fmt: skip

    def _test_planes(self, task: str) -> tuple:
        """Return the annotated planes that the project keeps for a test of this task."""
        session = self._session
        if session.project is None or session.task != task:
            return ()
        session.save_tools()
        return collect_test_planes(session)

    def _on_progress(self, events: tuple[Progress, ...]) -> None:
        event = events[-1]
        self.bar.setRange(0, event.total)
        self.bar.setValue(event.done)
        self.say(self._time_left.describe(event))

    def _on_done(self, below: Image, plane: tuple[int, ...], result: JobResult) -> None:
        self.bar.setRange(0, 1)
        self.bar.setValue(result.outcome == "finished")
        found: Compared | None = result.value
        if result.outcome == "failed":
            self.say(result.error_text)
            show_warning(result.error_text)
        elif found is None:
            self.say("Stopped; nothing was changed.")
        elif guarded(lambda: self._show_found(below, plane, found)):
            is_part = result.outcome == "stopped" or found.problem
            lines = ["Stopped: compared is what both have seen." if is_part else ""]
            lines += new_notes(self._session, found.notes)
            self.say("\n".join(filter(None, lines)))
            self.result.setText(comparison_html(found))
        else:
            self.say("The result is not shown.")
        self._show_state()

    def _show_found(self, below: Image, plane: tuple[int, ...], found: Compared) -> bool:
        viewer = self._session.viewer
        if below not in viewer.layers:
            raise UserError(
                "CN-401",
                "The layer that was compared is gone, so the result is not shown. Nothing was changed.",
            )
        active = viewer.layers.selection.active
        show_comparison(viewer, below, plane, found)
        self._hidden += hide_results(viewer, layer_id(below))
        tool = self._session.active_tool
        if tool is not None:
            tool.raise_layer()
        if active in viewer.layers:
            viewer.layers.selection.active = active
        return True

    def remove(self) -> None:
        """Remove the layers of the comparison, and show again what they had hidden."""
        layers = self._session.viewer.layers
        for layer in comparison_layers(self._session.viewer):
            layers.remove(layer)
        for layer in self._hidden:
            if layer in layers:
                layer.visible = True
        self._hidden = []
        self.result.clear()
        self.say(_IDLE_TEXT)
        self._show_state()

    # What is shown ----------------------------------------------------------------------------

    def say(self, text: str) -> None:
        """Show one line, or none."""
        self.status.setText(text)
        self.status.setVisible(bool(text))

    def _show_state(self) -> None:
        state = self.slot.state
        is_ready = self._session.model is not None and self.choice.currentData() is not None
        self.compare_button.setEnabled(state == "idle" and is_ready)
        self.choice.setEnabled(state == "idle")
        self.stop_button.setEnabled(state == "running")
        self.bar.setVisible(state != "idle")
        self.result.setVisible(bool(self.result.text()))
        self.remove_button.setVisible(bool(self.result.text()))
        self.set_note("" if state == "idle" else "running")


def _depth_axis(image: Image) -> int | None:
    """Return which axis of an image is known to be depth."""
    letters = list(known_axes(image)[: image.ndim - 2])
    return letters.index("z") if "z" in letters else None
