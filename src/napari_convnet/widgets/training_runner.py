"""Runs a training for a dock, pauses it, and keeps its record and its state in the project."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Mapping
from dataclasses import replace
from typing import Any

from napari.utils.notifications import show_warning
from qtpy.compat import isalive
from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QWidget

from napari_convnet.errors import UserError
from napari_convnet.networks import network_entry
from napari_convnet.progress import Progress, format_seconds
from napari_convnet.widgets.background import JobResult
from napari_convnet.widgets.folder_job import FolderRequest, folder_training_steps
from napari_convnet.widgets.job_slot import JobSlot
from napari_convnet.widgets.messages import guarded
from napari_convnet.widgets.project_test import Testing, with_test_scores, without_learned
from napari_convnet.widgets.session import Session
from napari_convnet.widgets.stack_training import collect_stacks
from napari_convnet.widgets.training_data import collect_test_planes
from napari_convnet.widgets.training_job import TrainingRequest, kept_model, training_steps
from napari_convnet.widgets.training_record import data_of
from napari_convnet.widgets.training_time import TrainingTime
from napari_convnet.widgets.training_worker import EitherStop, TrainingControl

Request = TrainingRequest | FolderRequest

#: What the project keeps of an epoch, by the names of `EpochFinished`.
_CURVES = (
    "training_loss", "training_accuracy", "validation_loss", "score", "learning_rate", "seconds", "is_best",
)  # fmt: skip


class TrainingRunner(QObject):
    """One training at a time; its settings, curves, state and model go to the project that it began in."""

    changed = Signal()

    def __init__(self, dock: QWidget, session: Session) -> None:
        super().__init__(dock)
        self._session = session
        self._slot = JobSlot(dock)
        self._slot.changed.connect(self.changed)
        self._project: Any = None
        self._run_id = 0
        self._pause, self._person_stop = threading.Event(), threading.Event()
        self._has_begun = self._is_testing = self._is_saving = False
        self._time = TrainingTime()
        self._best = (0, 0)

    @property
    def state(self) -> str:
        """``"idle"``, ``"running"``, ``"paused"`` (or about to), ``"testing"``, ``"stopping"`` or ``"saving"``."""
        if self._is_saving:
            return "saving"
        state = self._slot.state
        if state == "running" and self._is_testing:
            return "testing"
        if state == "running" and self._person_stop.is_set():
            return "stopping"
        return "paused" if state == "running" and self._pause.is_set() else state

    def stop(self) -> None:
        """Stop after this step and keep the best model so far; a test is left out."""
        if self._is_testing:
            self._slot.request_stop()
        elif self._slot.state == "running":
            self._person_stop.set()
            self.changed.emit()

    def pause(self) -> None:
        """Wait after this step, until `go_on` or `stop`."""
        self._pause.set()
        self.changed.emit()

    def go_on(self) -> None:
        """Go on after `pause`."""
        self._pause.clear()
        self._time.go_on()
        self.changed.emit()

    def start(
        self,
        request: Request,
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
        if self.state != "idle":
            return
        project, run_id = self._writable_project(), 0
        if project is not None:
            if isinstance(request, TrainingRequest):
                request = with_test(request, self._test_images(bool(request.stacks)))
            data = data_of(request, self._session)
            run_id = project.start_run(request.task, request.network, dict(record), data)
        self._has_begun = True  # a failure before the first step belongs to the run, too
        self._run(project, run_id, lambda: request, None, on_progress, on_done)

    def resume(
        self,
        run_id: int,
        make_request: Callable[[], Request],
        on_progress: Callable[[tuple[Progress, ...]], None],
        on_done: Callable[[JobResult], None],
    ) -> None:
        """Go on with a run of the project from its last state; ``make_request`` is called in the worker."""
        project = self._writable_project()
        if self.state != "idle" or project is None:
            return
        self._has_begun = False
        kept = lambda: project.checkpoint(run_id)  # noqa: E731 - read in the worker
        run = next(run for run in project.runs() if run.id == run_id)
        is_of_stacks = network_entry(run.network).dimensions == 3
        test = {} if "folder" in run.data else self._test_images(is_of_stacks)
        make = lambda: with_test(make_request(), test)  # noqa: E731 - called in the worker
        self._run(project, run_id, make, kept, on_progress, on_done)

    def _run(
        self,
        project: Any,
        run_id: int,
        make_request: Callable[[], Request],
        kept: Callable[[], bytes | None] | None,
        on_progress: Callable[[tuple[Progress, ...]], None],
        on_done: Callable[[JobResult], None],
    ) -> None:
        self._project, self._run_id = project, run_id
        self._is_testing = False
        self._pause, self._person_stop = threading.Event(), threading.Event()
        self._time, self._best = TrainingTime(), (0, 0)
        keep = self._keep_in(project, run_id) if project is not None else None
        control = TrainingControl(self._pause, keep, kept, project)
        self._slot.start(
            lambda stop: self._steps(make_request, stop, control), description="Training",
            on_progress=lambda events: self._on_progress(events, on_progress),
            on_done=lambda result: self._on_done(result, on_done),
        )  # fmt: skip

    def _test_images(self, is_of_stacks: bool) -> dict[str, tuple]:
        """Return what to test on; images that cannot be used do not keep a training from beginning."""
        try:
            planes = collect_test_planes(self._session)
            stacks = collect_stacks(self._session, planes) if is_of_stacks else ()
        except UserError as error:
            show_warning(f"Test images will not be scored. {error.message}")
            return {}
        return {"test_planes": planes, "test_stacks": stacks}

    def _writable_project(self) -> Any:
        project = self._session.project
        return None if project is None or project.read_only else project

    # In the worker ----------------------------------------------------------------------------

    def _steps(
        self, make_request: Callable[[], Request], stop: threading.Event, control: TrainingControl
    ) -> Generator[Progress, None, Any]:
        yield Progress(done=0, total=0, text="preparing the training set")
        request = make_request()
        steps = folder_training_steps if isinstance(request, FolderRequest) else training_steps
        trained = yield from steps(request, EitherStop(self._person_stop, stop), control)
        # The job itself is stopped when its dock or napari closes; after the training, to leave out the test.
        if trained is None or stop.is_set() or not getattr(request, "test_planes", ()):
            return trained
        request, remark = without_learned(request, control.project)
        trained = replace(trained, remark=remark)
        if not request.test_planes:
            return trained
        return (yield from with_test_scores(trained, request, stop))

    def _keep_in(self, project: Any, run_id: int) -> Callable[[int, bytes], None]:
        def keep(step: int, content: bytes) -> None:
            if project is not self._session.project:
                return
            project.save_checkpoint(run_id, step, content)
            for run in project.runs():  # only the last run can go on
                if run.id != run_id and project.checkpoint_step(run.id) is not None:
                    project.delete_checkpoint(run.id)

        return keep

    # On the GUI thread ------------------------------------------------------------------------

    def time_text(self, last: Progress) -> str:
        """Say what is going on, for how long it has, how long it will, where, and in how much memory."""
        return last.text if self._is_testing else self._time.text(last)

    def end_text(self, result: JobResult) -> str:
        """Say how the training ended, when, and which epoch was the best."""
        text = f"{result.outcome.capitalize()} after {format_seconds(self._time.seconds)}"
        best, last = self._best
        return f"{text}; best of {last} epochs: {best}" if best and result.value else text

    def _on_progress(self, events: tuple[Progress, ...], then: Callable) -> None:
        for event in events:
            if hasattr(event, "n_parameters"):
                self._time.begin(event.device, event.done)
                self._begin_again()
            elif hasattr(event, "training_loss"):
                self._best = (event.epoch if event.is_best else self._best[0], event.epoch)
                guarded(lambda event=event: self._record(event))
        if isinstance(events[-1], Testing) and not self._is_testing:
            self._is_testing = True
            self.changed.emit()
        if type(events[-1]).__name__ == "Paused":
            self._time.pause()
        then(events)

    def _begin_again(self) -> None:
        """Take up the record of a run that goes on, now that it really does."""
        project = self._project_of_now()
        if not self._has_begun and project is not None:
            guarded(lambda: project.continue_run(self._run_id))
            best = [e.epoch for e in project.epochs(self._run_id) if e.curves.get("is_best")]
            self._best = (best[-1] if best else 0, 0)
        self._has_begun = True

    def _project_of_now(self) -> Any:
        """Return the project of this run, or None once another one was opened."""
        return self._project if self._project is self._session.project else None

    def _record(self, event: Any) -> None:
        project = self._project_of_now()
        if project is None:
            return
        curve = {name: getattr(event, name) for name in _CURVES}
        known = {name: float(value) for name, value in curve.items() if value is not None}
        known |= {"step": event.done, "total_steps": event.total}
        project.record_epoch(self._run_id, event.epoch, known)

    def _on_done(self, result: JobResult, then: Callable[[JobResult], None]) -> None:
        # Closed with its dock or with napari, it can go on another day.
        is_closed = result.outcome == "stopped" and not self._is_testing
        is_over = self._person_stop.is_set() or not is_closed
        if result.outcome != "failed":  # how the training ended, not its test
            is_stopped = self._person_stop.is_set() or is_closed
            result = replace(result, outcome="stopped" if is_stopped else "finished")
        project, self._project = self._project_of_now(), None
        if project is None or not self._has_begun:
            then(result)
            return
        trained, run_id = kept_model(result), self._run_id

        def write() -> None:
            project.finish_run(
                run_id, result.outcome, scores=dict(trained.model.card.scores) if trained else {},
                model_bytes=trained.data if trained else None, message=result.error_text,
            )  # fmt: skip
            if is_over:  # not before the model is in the file
                project.delete_checkpoint(run_id)

        def written() -> None:
            self._session.runs_changed.emit()
            if isalive(self):  # else its dock was closed meanwhile
                self._is_saving = False
                self.changed.emit()
                then(result)

        self._is_saving = True
        self._session.write(write, written, "keeping the model in the project")
        self.changed.emit()


def with_test(request: Request, test: Mapping[str, tuple]) -> Request:
    """Return a request with what to test on; whole images of a folder are of another kind than these."""
    return replace(request, **test) if isinstance(request, TrainingRequest) else request
