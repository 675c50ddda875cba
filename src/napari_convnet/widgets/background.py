"""The one module through which background work passes.

A job drains a generator of `Progress` events in a thread of napari's pool. The worker is a *plain
function*: superqt loses every ``RuntimeError`` of a generator worker (a full graphics card is one)
and never closes its generator. Here whatever is raised travels to the GUI thread as data.
"""

from __future__ import annotations

import gc
import logging
import sys
import threading
import warnings
from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Literal

from napari.qt.threading import FunctionWorker, create_worker
from qtpy.QtCore import QObject, Qt, QThreadPool, QTimer, Signal, Slot

from napari_convnet.progress import Progress
from napari_convnet.widgets.failure import Failure, explain, forget_frames, is_out_of_memory
from napari_convnet.widgets.giving_way import InputWatch
from napari_convnet.widgets.job_bar import JobBar
from napari_convnet.widgets.triton_guard import keep_triton_out

logger = logging.getLogger(__name__)

#: Events reach the GUI in batches, at most one batch in this time.
BATCH_MILLISECONDS = 50
#: Events that a job may still send after it was told to stop, before it is closed.
EVENTS_AFTER_STOP = 8

#: Called in the worker's thread with the event that asks for a stop; its generator returns a value.
MakeSteps = Callable[[threading.Event], Generator[Progress, None, Any]]

# A job stays here until its thread has left it, whether or not its dock still lives.
_running: set[Job] = set()


@dataclass(frozen=True)
class JobResult:
    """How a job ended.

    Parameters
    ----------
    outcome
        ``"finished"``, ``"stopped"`` (on request) or ``"failed"``.
    value
        What the generator returned; None after a failure, or when a stopped job had nothing yet.
    error
        The exception of a failed job, without its traceback, so that it keeps no network alive.
    failure
        The words for that exception.
    """

    outcome: Literal["finished", "stopped", "failed"]
    value: Any = None
    error: BaseException | None = None
    failure: Failure | None = None

    @property
    def error_text(self) -> str:
        """What to tell the person; empty unless the job failed."""
        return self.failure.text if self.failure else ""


class Job(QObject):
    """Work in a background thread; made with `start_job` on the GUI thread.

    Both signals are emitted on the GUI thread: `progressed` with a tuple of all events since the
    last time, in order, and `done` exactly once, last, with a `JobResult`.
    """

    progressed = Signal(object)
    done = Signal(object)
    _woken = Signal()
    _ended = Signal()

    def __init__(self, description: str, give_way: bool) -> None:
        super().__init__()
        self.description = description
        self.stop_event = threading.Event()
        self._pool: Any = QThreadPool.globalInstance()
        self._events: deque[Progress] = deque()
        self._is_wake_sent = False
        self._watch = InputWatch() if give_way else None
        self._over = threading.Event()
        self._result: JobResult | None = None
        self._is_told = False
        self._bar = JobBar(description)
        self._delivery = QTimer(self)
        self._delivery.setSingleShot(True)
        self._delivery.setInterval(BATCH_MILLISECONDS)
        self._delivery.timeout.connect(self._deliver)
        self._woken.connect(self._schedule_delivery, Qt.ConnectionType.QueuedConnection)
        self._ended.connect(self._end, Qt.ConnectionType.QueuedConnection)

    def request_stop(self) -> None:
        """Ask the job to end at its next step, with the best result it has so far."""
        self.stop_event.set()

    def wait(self) -> None:
        """Wait for the end and tell it at once; on the GUI thread, which does nothing else."""
        self._over.wait()
        self._end()

    def _start(self, make_steps: MakeSteps) -> None:
        keep_triton_out()
        _running.add(self)
        if self._watch:
            self._watch.start()
        # One more thread while this job runs: on a small machine it would fill napari's whole pool.
        self._pool.releaseThread()
        worker = create_worker(_Loop(self, make_steps), _worker_class=_StoppableWorker)
        worker.finished.connect(self._forget)
        worker.start()

    @Slot()
    def _schedule_delivery(self) -> None:
        if not self._delivery.isActive():
            self._delivery.start()

    @Slot()
    def _deliver(self) -> None:
        # Cleared before the events are taken: one that comes later wakes us again.
        self._is_wake_sent = False
        events = []
        while self._events:
            events.append(self._events.popleft())
        if events:
            self._bar.show(events[-1])
            self.progressed.emit(tuple(events))

    @Slot()
    def _end(self) -> None:
        if self._is_told:  # by `wait`
            return
        self._is_told = True
        self._pool.reserveThread()
        self._delivery.stop()
        if self._watch:
            self._watch.stop()
        try:
            self._deliver()
            self._bar.close()
        finally:  # whatever happens to the bar, the end is told
            result, self._result = self._result, None
            self.done.emit(result)

    @Slot()
    def _forget(self) -> None:
        # Now the worker holds the job no more, which must not be deleted in its thread; nor inside
        # one of its own slots.
        QTimer.singleShot(0, lambda: _running.discard(self))

    def _post(self, event: Progress) -> None:
        """Take an event in the worker's thread; it reaches the GUI with the next delivery."""
        self._events.append(event)
        if not self._is_wake_sent:
            self._is_wake_sent = True
            self._woken.emit()

    def _wait_for_person(self) -> None:
        if self._watch:
            self._watch.wait_for_person(self.stop_event)


class _StoppableWorker(FunctionWorker):
    """napari's worker, whose abort (the viewer closes) is the same as a request to stop."""

    def __init__(self, loop: _Loop) -> None:
        super().__init__(loop)
        self._stop_event = loop.stop_event

    def start(self) -> None:
        # superqt leaves the start to the event loop's next turn, which never comes for one who waits in this turn.
        self._worker_set.add(self)
        self._finished.connect(self._set_discard)
        QThreadPool.globalInstance().start(self)

    def quit(self) -> None:
        self._stop_event.set()
        super().quit()


class _Loop:
    """The plain function that napari's worker calls: drain the generator, tell the end.

    napari keeps it for as long as the window lives, so it lets go of the job when it runs.
    """

    def __init__(self, job: Job, make_steps: MakeSteps) -> None:
        self.stop_event = job.stop_event
        self._description = job.description
        self._task = [(job, make_steps)]

    def __str__(self) -> str:
        # napari shows this when it asks whether to close while work is going on.
        return self._description

    def __call__(self) -> None:
        with warnings.catch_warnings():
            # A warning from inside a library is for the log; superqt would pop up each one.
            warnings.simplefilter("default")
            warnings.showwarning = _log_warning  # type: ignore[assignment]
            job, result = self._run()
        job._result = result
        job._over.set()
        job._ended.emit()

    def _run(self) -> tuple[Job, JobResult]:
        [(job, make_steps)] = self._task
        self._task.clear()
        try:
            value = None if job.stop_event.is_set() else _drain(job, make_steps)
        except BaseException as error:  # noqa: BLE001 - even SystemExit is handed over as data
            return job, _failed(error, job.description)
        return job, JobResult("stopped" if job.stop_event.is_set() else "finished", value)


def start_job(
    make_steps: MakeSteps,
    *,
    description: str,
    on_progress: Callable[[tuple[Progress, ...]], None],
    on_done: Callable[[JobResult], None],
    give_way: bool = True,
) -> Job:
    """Start background work; call it on the GUI thread.

    Parameters
    ----------
    make_steps
        Called in the worker's thread with a `threading.Event`; returns the generator to drain,
        which looks at the event after every step and then returns the best result so far.
    description
        The job's name for a person, such as ``"Training"``.
    on_progress
        Called on the GUI thread with all events since the last call, at most 20 times a second.
    on_done
        Called on the GUI thread exactly once, after the last event.
    give_way
        Whether the job waits between steps (at most 1.5 s each) while the person drags or types.
    """
    job = Job(description, give_way)
    job.progressed.connect(on_progress)
    job.done.connect(on_done)
    job._start(make_steps)
    return job


def _drain(job: Job, make_steps: MakeSteps) -> Any:
    """Run the generator to its end and return its result, or None when it ignores a stop."""
    steps = make_steps(job.stop_event)
    events_after_stop = 0
    try:
        while events_after_stop <= EVENTS_AFTER_STOP:
            try:
                event = next(steps)
            except StopIteration as end:
                return end.value
            job._post(event)
            events_after_stop += job.stop_event.is_set()
            job._wait_for_person()
        return None
    finally:
        steps.close()


def _failed(error: BaseException, description: str) -> JobResult:
    failure = explain(error, description)
    if failure.code == "CN-200":  # a bug: its traceback must not be lost
        logger.error("%s failed\n%s", description, failure.details)
    forget_frames(error)
    if is_out_of_memory(error):
        _release_memory()
    return JobResult("failed", error=error, failure=failure)


def _release_memory() -> None:
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def _log_warning(message: Warning | str, category: type[Warning], *_where: Any) -> None:
    logger.warning("%s: %s", category.__name__, message)
