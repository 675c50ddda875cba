"""The projects that were opened last: a short list, newest first."""

from __future__ import annotations

import os
from pathlib import Path

from napari_convnet.widgets.remembered import read_remembered, remember, remembered_file

#: How many are kept and offered.
KEPT = 10
_NAME = "recent_projects"


def list_file() -> Path:
    """Return the file that holds the list."""
    return remembered_file(_NAME)


def recent_projects() -> tuple[Path, ...]:
    """Return the projects opened last that are still there, newest first; a damaged list is empty."""
    return tuple(path for path in _read() if path.is_file())[:KEPT]


def remember_project(path: Path) -> None:
    """Put a project first in the list; a list that cannot be written stays as it is."""
    # One that is unplugged now may be back the next time.
    paths = [path, *(other for other in _read() if other != path)]
    remember(_NAME, [os.fspath(each) for each in paths[: 2 * KEPT]])


def _read() -> list[Path]:
    found = read_remembered(_NAME)
    if not isinstance(found, list):
        return []
    return [Path(text) for text in found if isinstance(text, str) and text and "\0" not in text]
