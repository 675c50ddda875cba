"""Long edits and writes of a project: carried out in the background, edits one at a time and then shown.

Where there are few annotations and pixels an edit is done and shown at once, as if there were no background. While
a longer one is under way nothing else changes annotations or classes (`History.busy_with`); who needs annotations
whole, such as saving, training and closing, waits for it with `finish_edit`, and who closes or copies the file waits
for what is still to be written with `finish_writes`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from napari.utils.notifications import show_warning

from napari_convnet.progress import Progress
from napari_convnet.widgets.background import Job, JobResult, start_job
from napari_convnet.widgets.messages import guarded

if TYPE_CHECKING:
    from napari_convnet.widgets.annotation_tools import AnnotationTool

logger = logging.getLogger(__name__)

#: Edits of projects with fewer annotations than this, shown in fewer pixels, take no longer than a frame.
_MANY_ANNOTATIONS, _MANY_PIXELS = 1000, 1_000_000

#: What a tool shows, read anew from the project.
_Readings = dict["AnnotationTool", Callable[[], Any]]


class BackgroundEdits:
    """The part of `Session` that carries out long edits."""

    def __init__(self) -> None:
        super().__init__()
        self._edit_job: Job | None = None
        self._write_jobs: list[Job] = []

    def carry_out(self, edit: Callable[[], Any], then: Callable[[Any], None], text: str) -> None:
        """Change the project in the background, and show all annotations anew.

        Parameters
        ----------
        edit
            Changes the project; called in the worker's thread.
        then
            Takes what ``edit`` returned, on the GUI thread, before annotations and classes are shown.
        text
            What it is, such as "deletion of 'debris'".

        Raises
        ------
        UserError
            CN-316 while another edit is under way; what ``edit`` raises where there are few annotations.
            What it raises in the background is shown, and the history is as before.
        """
        self.history.refuse_while_busy()
        self.save_tools()
        readings: _Readings = {
            tool: read
            for tool in self.tools.values()
            if tool.is_shown and (read := tool.reading()) is not None
        }
        if self.project is None or self._is_quick(readings):
            then(edit())
            self._show_found(_read_all(readings))
            return
        steps = self.history.steps()

        def done(result: JobResult) -> None:
            self._edit_job = None
            self._set_busy_with("")
            if result.value is not None:
                value, found = result.value
                then(value)
                self._show_found(found)
            else:
                self.history.restore(steps)
                self._show_found({})
                show_warning(f"Not done: {text}. {result.error_text}".strip())

        self._edit_job = start_job(
            lambda _stop: _steps(edit, readings, text), description=text[:1].upper() + text[1:],
            on_progress=lambda _events: None, on_done=done, give_way=False,
        )  # fmt: skip
        self._set_busy_with(text)

    def finish_edit(self) -> None:
        """Wait for the edit that is under way, if there is one."""
        if self._edit_job is not None:
            self._edit_job.wait()

    def finish_writes(self) -> None:
        """Wait for what is being written beside the viewer, if there is anything."""
        for job in self._write_jobs.copy():
            job.wait()

    def write(self, write: Callable[[], object], then: Callable[[], object], text: str) -> None:
        """Write to the project in the background something that no tool shows, such as a model.

        Whatever closes the project waits for it; napari's own end of all jobs does not keep it from being written.

        Parameters
        ----------
        write
            Called in the worker's thread; what it raises is shown.
        then
            Called on the GUI thread once it is written, or was not.
        text
            What it is, such as "keeping the model".
        """

        def done(result: JobResult) -> None:
            self._write_jobs.remove(job)
            if result.outcome == "stopped" and result.value is None:  # before it had begun
                guarded(write)
            elif result.error_text:
                show_warning(result.error_text)
            then()

        job = start_job(
            lambda _stop: _write_steps(write, text), description=text[:1].upper() + text[1:],
            on_progress=lambda _events: None, on_done=done, give_way=False,
        )  # fmt: skip
        self._write_jobs.append(job)

    def _is_quick(self, readings: _Readings) -> bool:
        n_pixels = sum(np.size(tool.layer.data) for tool in readings)
        return n_pixels < _MANY_PIXELS and self.project.n_annotations() < _MANY_ANNOTATIONS

    def _set_busy_with(self, text: str) -> None:
        if text != self.history.busy_with:
            self.history.busy_with = text
            for tool in self.tools.values():
                tool.pause(bool(text))
            self.busy_changed.emit()

    def _show_found(self, found: dict[AnnotationTool, Any]) -> None:
        """Show what was read anew, and read what was not."""
        for tool in self.tools.values():
            if not tool.is_shown:
                continue
            if tool not in found or not tool.show_found(found[tool]):
                tool.discard_layer()
            elif tool is not self.active_tool:
                tool.show_classes()
        if self.active_tool is not None and not self.active_tool.is_shown:
            self.active_tool.start()
        self.classes_changed.emit()
        self.annotations_changed.emit()


def _write_steps(
    write: Callable[[], object], text: str
) -> Generator[Progress, None, Literal["written"]]:
    """Write; runs in the worker."""
    yield Progress(done=0, total=0, text=text)
    write()
    return "written"


def _steps(
    edit: Callable[[], Any], readings: _Readings, text: str
) -> Generator[Progress, None, tuple[Any, dict[AnnotationTool, Any]]]:
    """Carry out an edit, then read what the tools show; runs in the worker."""
    yield Progress(done=0, total=0, text=text)
    value = edit()
    return value, _read_all(readings)


def _read_all(readings: _Readings) -> dict[AnnotationTool, Any]:
    """Read what the tools show."""
    found = {}
    for tool, read in readings.items():
        try:
            found[tool] = read()
        except Exception:  # the edit is done; the tool reads for itself, or says why it cannot
            logger.exception("not read anew")
    return found
