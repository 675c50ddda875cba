"""Runs a training for a dock and keeps its record in the project."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QWidget

from napari_convnet.progress import Progress, format_seconds, seconds_left
from napari_convnet.widgets.background import JobResult
from napari_convnet.widgets.folder_job import FolderRequest, folder_training_steps
from napari_convnet.widgets.job_slot import JobSlot
from napari_convnet.widgets.messages import guarded
from napari_convnet.widgets.session import Session
from napari_convnet.widgets.training_job import TrainingRequest, kept_model, training_steps
from napari_convnet.widgets.training_worker import TrainingControl


class TrainingRunner(QObject):
    """One training at a time; its settings, curves and model go to the project that it began in."""

    changed = Signal()

    def __init__(self, dock: QWidget, session: Session) -> None:
        super().__init__(dock)
        self._session = session
        self._slot = JobSlot(dock)
        self._slot.changed.connect(self.changed)
        self._project: Any = None
        self._run_id = 0
        self._started = self._first_step = 0.0
        self._best = (0, 0)

    @property
    def state(self) -> str:
        """``"idle"``, ``"running"`` or ``"stopping"``."""
        return self._slot.state

    def stop(self) -> None:
        """Stop after this step and keep the best model so far."""
        self._slot.request_stop()

    def start(
        self,
        request: TrainingRequest | FolderRequest,
        record: Mapping[str, Any],
        on_progress: Callable[[tuple[Progress, ...]], None],
        on_done: Callable[[JobResult], None],
    ) -> None:
        """Train; ``record`` is what the project keeps of the settings.

        Raises
        ------
        UserError
            CN-3xx when the project cannot be written.
        """
        if self._slot.state != "idle":
            return
        project = self._session.project
        self._project = None
        if project is not None and not project.read_only:
            self._run_id = project.start_run(
                request.task, request.network, settings=dict(record), data=self._data(request)
            )
            self._project = project
        self._started = self._first_step = time.monotonic()
        self._best = (0, 0)
        control = TrainingControl(threading.Event())
        self._slot.start(
            lambda stop: _steps(request, stop, control), description="Training",
            on_progress=lambda events: self._on_progress(events, on_progress),
            on_done=lambda result: self._on_done(result, on_done),
        )  # fmt: skip

    def _data(self, request: TrainingRequest | FolderRequest) -> dict[str, Any]:
        if isinstance(request, FolderRequest):
            folder = request.folder
            return {
                "folder": str(folder.root), "images": len(folder.files), "classes": list(folder.class_names),
                "keep together": request.together,
            }  # fmt: skip
        return {"planes": len(request.planes), "counts": self._session.class_counts()}

    def time_text(self, last: Progress) -> str:
        """Say what is going on, for how long it has, and how long it will."""
        now = time.monotonic()
        text = f"{last.text}, {format_seconds(now - self._started)}"
        left = seconds_left(now - self._first_step, last.done, last.total)
        return text if left is None else f"{text}, about {format_seconds(left)} left"

    def end_text(self, result: JobResult) -> str:
        """Say how the training ended, when, and which epoch was the best."""
        text = f"{result.outcome.capitalize()} after {format_seconds(time.monotonic() - self._started)}"
        best, last = self._best
        return f"{text}; best of {last} epochs: {best}" if best and result.value else text

    def _on_progress(self, events: tuple[Progress, ...], then: Callable) -> None:
        for event in events:
            if hasattr(event, "n_parameters"):
                self._first_step = time.monotonic()
            elif hasattr(event, "training_loss"):
                self._best = (event.epoch if event.is_best else self._best[0], event.epoch)
                guarded(lambda event=event: self._record(event))
        then(events)

    def _project_of_now(self) -> Any:
        """Return the project of this run, or None once another one was opened."""
        return self._project if self._project is self._session.project else None

    def _record(self, event: Any) -> None:
        project = self._project_of_now()
        if project is None:
            return
        names = ("training_loss", "training_accuracy", "validation_loss", "score", "learning_rate")
        curve = {name: getattr(event, name) for name in names}
        known = {name: value for name, value in curve.items() if value is not None}
        project.record_epoch(self._run_id, event.epoch, known)

    def _on_done(self, result: JobResult, then: Callable[[JobResult], None]) -> None:
        guarded(lambda: self._record_end(result))
        self._project = None
        then(result)

    def _record_end(self, result: JobResult) -> None:
        project, trained = self._project_of_now(), kept_model(result)
        if project is None:
            return
        project.finish_run(
            self._run_id, result.outcome, scores=dict(trained.model.card.scores) if trained else {},
            model_bytes=trained.data if trained else None, message=result.error_text,
        )  # fmt: skip


def _steps(request: TrainingRequest | FolderRequest, stop: Any, control: TrainingControl) -> Any:
    if isinstance(request, FolderRequest):
        return folder_training_steps(request, stop, control)
    return training_steps(request, stop, control)
