"""The offer to go on with a nameless project that a crash left open: one line and two buttons."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from qtpy.QtWidgets import QFrame, QVBoxLayout

from napari_convnet.project import UnclosedProject, unclosed_projects
from napari_convnet.widgets.controls import push_button, row, text_line
from napari_convnet.widgets.preferences import read_preferences
from napari_convnet.widgets.session import Session

#: How `Session.ensure_project` names a project.
_NAMELESS = re.compile(r"\d{4}-\d\d-\d\d \d\d\.\d\d\.\d\d\.\d{6}\.convnet")
#: So many of the newest are looked at: older ones were there at an earlier start.
_LOOKED_AT = 20
#: Projects of which the person has said "Not now" since this program was started.
_DECLINED: set[Path] = set()


def find_unclosed() -> UnclosedProject | None:
    """Return the newest nameless project that was not closed and holds annotations."""
    try:
        files = list(read_preferences().project_folder.iterdir())
    except OSError:
        return None
    nameless = sorted((file for file in files if _NAMELESS.fullmatch(file.name)), reverse=True)
    asked = [file for file in nameless[:_LOOKED_AT] if file not in _DECLINED]
    return next(unclosed_projects(asked), None)


def offer_text(project: UnclosedProject) -> str:
    """Return what is said of it: when it was begun, in local time, and how much it holds."""
    since = datetime.fromisoformat(project.since).astimezone()
    day = "" if since.date() == datetime.now().astimezone().date() else f"{since:%d %B} "
    parts = [f"{project.count:,} annotation{'s' * (project.count != 1)}"] if project.count else []
    parts += ["strokes"] if project.is_painted else []
    return f"Your project of {day}{since:%H:%M} was not closed: {' and '.join(parts)}."


class RecoveryBar(QFrame):
    """Offers a project that was left open; hidden where there is none or another one is open.

    Parameters
    ----------
    open_project
        Called with the path when the person says yes.
    """

    def __init__(self, session: Session, open_project: Callable[[Path], None]) -> None:
        super().__init__()
        self._open_project = open_project
        self.offered = None if session.project else find_unclosed()
        self.setAccessibleName("Project that was not closed")
        self.label = text_line("Project that was not closed")
        self.open_button = push_button(
            "Open", "Go on with this project; nothing of it was lost.", self._open
        )
        self.later_button = push_button(
            "Not now",
            "Leave it in the folder of projects; it is offered again at the next start.",
            self._decline,
        )
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.label)
        layout.addLayout(row(self.open_button, self.later_button))
        session.project_changed.connect(self.hide)
        if self.offered is None:
            self.hide()
            return
        self.label.setText(offer_text(self.offered))
        self.label.setToolTip(str(self.offered.path))

    def _open(self) -> None:
        if self.offered is not None:
            self._open_project(self.offered.path)

    def _decline(self) -> None:
        if self.offered is not None:
            _DECLINED.add(self.offered.path)
        self.hide()
