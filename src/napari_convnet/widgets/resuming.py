"""The offer to go on with the last training of a project, which came to no end: one line and two buttons."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFrame, QVBoxLayout

from napari_convnet.networks import network_entry
from napari_convnet.project import EpochRecord, RunRecord
from napari_convnet.settings import TrainingSettings
from napari_convnet.widgets.controls import push_button, row, text_line
from napari_convnet.widgets.folder_job import FolderRequest
from napari_convnet.widgets.session import Session
from napari_convnet.widgets.stack_training import collect_stacks
from napari_convnet.widgets.training_data import collect_planes
from napari_convnet.widgets.training_job import TrainingRequest

_OFFERED = ("interrupted", "stopped")


@dataclass(frozen=True)
class Unfinished:
    """A run that can go on, and the epochs that it has done."""

    run: RunRecord
    epochs: tuple[EpochRecord, ...]

    @property
    def text(self) -> str:
        """What is offered."""
        if not self.epochs:
            return (
                f"Resume the {self.run.outcome} training ({self.run.network}, in its first epoch)"
            )
        last = self.epochs[-1]
        step, total = last.curves.get("step"), last.curves.get("total_steps")
        of = f" of {round(last.epoch * total / step)}" if step and total else ""
        return (
            f"Resume the {self.run.outcome} training ({self.run.network}, epoch {last.epoch}{of})"
        )


def find_unfinished(session: Session) -> Unfinished | None:
    """Return the last run of the project if it can go on."""
    project = session.project
    if project is None or project.read_only:
        return None
    runs = project.runs()
    if not runs or runs[-1].outcome not in _OFFERED:
        return None
    if project.checkpoint_step(runs[-1].id) is None:
        return None
    return Unfinished(runs[-1], project.epochs(runs[-1].id))


def request_again(
    run: RunRecord, session: Session
) -> Callable[[], TrainingRequest | FolderRequest]:
    """Return what makes the request of a run once more, in the worker; annotations are copied now.

    Raises
    ------
    UserError
        CN-62x if the annotated images cannot be found.
    """
    kept = dict(run.settings)
    settings = TrainingSettings.from_record(
        {k: v for k, v in kept.items() if v or k not in ("epochs", "batch_size")}
    )
    common: dict[str, Any] = {
        "network": run.network, "settings": settings, "automatic": frozenset(),
        "pretrained": kept.get("pretrained", "none"), "name": run.data.get("name", "model"),
    }  # fmt: skip
    if "folder" in run.data:
        return lambda: _folder_request(run, common)
    session.set_task(run.task)
    planes = collect_planes(session)
    is_of_stacks = network_entry(run.network).dimensions == 3
    request = TrainingRequest(
        task=run.task, planes=planes, classes=session.classes,
        stacks=collect_stacks(session, planes) if is_of_stacks else (),
        patch_size=kept.get("patch_size", 0), mode=run.data.get("mode", ""), **common,
    )  # fmt: skip
    return lambda: request


def _folder_request(run: RunRecord, common: dict[str, Any]) -> FolderRequest:
    from napari_convnet.folders import read_class_folder

    return FolderRequest(
        folder=read_class_folder(Path(run.data["folder"])), together=run.data["keep together"],
        input_size=run.settings.get("patch_size", 0), skips_broken=run.data.get("skip broken", False), **common,
    )  # fmt: skip


class ResumeBar(QFrame):
    """Offers an unfinished training; hidden where there is none."""

    asked = Signal()

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._declined: set[tuple[Path, int]] = set()
        self.offered: Unfinished | None = None
        self.setAccessibleName("Training that came to no end")
        self.label = text_line("Training that came to no end")
        self.resume_button = push_button(
            "Resume", "Go on with this training where it was, in the same record.", self.asked.emit
        )
        self.later_button = push_button(
            "Not now", "Leave it; a new training takes its place.", self._decline
        )
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.label)
        layout.addLayout(row(self.resume_button, self.later_button))
        session.project_changed.connect(self.look)
        session.runs_changed.connect(self.look)
        self.look()

    def look(self, is_idle: bool = True) -> None:
        """Look anew whether there is something to offer; nothing is while a training runs."""
        found = find_unfinished(self._session) if is_idle else None
        if found and (self._session.project.path, found.run.id) in self._declined:
            found = None
        self.offered = found
        self.setVisible(found is not None)
        if found is not None:
            self.label.setText(found.text)

    def _decline(self) -> None:
        if self.offered is not None:
            self._declined.add((self._session.project.path, self.offered.run.id))
        self.look()
