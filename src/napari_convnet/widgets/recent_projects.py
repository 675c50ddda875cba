"""The projects that were opened last: a short list in the user's data folder that may always be lost."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path

import platformdirs

from napari_convnet.atomic import write_atomically
from napari_convnet.errors import UserError

#: How many are kept and offered.
KEPT = 10


def list_file() -> Path:
    """Return the file that holds the list."""
    folder = Path(platformdirs.user_data_dir("napari-convnet", appauthor=False))
    return folder / "recent_projects.json"


def recent_projects() -> tuple[Path, ...]:
    """Return the projects opened last that are still there, newest first; a damaged list is empty."""
    return tuple(path for path in _read() if path.is_file())[:KEPT]


def remember_project(path: Path) -> None:
    """Put a project first in the list; a list that cannot be written stays as it is."""
    # One that is unplugged now may be back the next time.
    paths = [path, *(other for other in _read() if other != path)]
    texts = [os.fspath(each) for each in paths[: 2 * KEPT]]
    file = list_file()
    with suppress(UserError, OSError, UnicodeEncodeError):
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, json.dumps(texts, indent=1).encode())


def _read() -> list[Path]:
    try:
        found = json.loads(list_file().read_bytes())
    except (OSError, ValueError, RecursionError):
        return []
    if not isinstance(found, list):
        return []
    return [Path(text) for text in found if isinstance(text, str) and text and "\0" not in text]
