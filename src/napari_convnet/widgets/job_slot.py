"""Room for one background job in a dock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from qtpy.compat import isalive
from qtpy.QtCore import QEvent, QObject, Signal
from qtpy.QtWidgets import QWidget

from napari_convnet.progress import Progress
from napari_convnet.widgets.background import Job, JobResult, MakeSteps, start_job


class JobSlot(QObject):
    """Room for one job at a time in a dock; the dock computes its buttons from `state`.

    The job is asked to stop when its dock is closed, and a dock that is gone hears no more of it.

    Parameters
    ----------
    owner
        The dock's widget.
    """

    changed = Signal()

    def __init__(self, owner: QWidget) -> None:
        super().__init__(owner)
        self._job: Job | None = None
        self._on_progress: Callable[[tuple[Progress, ...]], None] | None = None
        self._on_done: Callable[[JobResult], None] | None = None
        #: Whether the last job was asked to make way, and the one it made way for has not begun.
        self.is_outdated = False
        owner.installEventFilter(self)

    @property
    def state(self) -> Literal["idle", "running", "stopping"]:
        """What the dock may offer now."""
        if self._job is None:
            return "idle"
        return "stopping" if self._job.stop_event.is_set() else "running"

    def start(
        self,
        make_steps: MakeSteps,
        *,
        description: str,
        on_progress: Callable[[tuple[Progress, ...]], None],
        on_done: Callable[[JobResult], None],
        give_way: bool = True,
    ) -> bool:
        """Start a job as `start_job` does; return False and do nothing while another one runs."""
        if self._job is not None:
            return False
        self._on_progress, self._on_done = on_progress, on_done
        self.is_outdated = False
        self._job = start_job(
            make_steps,
            description=description,
            on_progress=self._tell_progress,
            on_done=self._tell_done,
            give_way=give_way,
        )
        self.changed.emit()
        return True

    def request_stop(self) -> None:
        """Ask the running job, if any, to end with the best it has; none is to follow it."""
        self._stop(is_outdated=False)

    def make_way(self) -> bool:
        """Return whether a job may start now; one that runs is asked to stop.

        Its `on_done` finds `is_outdated` set then, and starts again.
        """
        self._stop(is_outdated=self._job is not None)
        return self._job is None

    def _stop(self, *, is_outdated: bool) -> None:
        has_news = self._job is not None or self.is_outdated
        self.is_outdated = is_outdated
        if self._job is not None:
            self._job.request_stop()
        if has_news:
            self.changed.emit()

    def eventFilter(self, owner: Any, event: Any) -> bool:
        """Stop the job when the dock is closed: napari then takes its widget out of the window."""
        if event.type() == QEvent.Type.ParentChange and owner.parent() is None:
            self.request_stop()
        return False

    def _tell_progress(self, events: tuple[Progress, ...]) -> None:
        if isalive(self) and self._on_progress:
            self._on_progress(events)

    def _tell_done(self, result: JobResult) -> None:
        on_done = self._on_done
        self._job = self._on_progress = self._on_done = None  # the next job may start in on_done
        if isalive(self) and on_done:
            self.changed.emit()
            on_done(result)
