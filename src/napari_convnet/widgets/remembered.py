"""Small things that are remembered between sessions: JSON files in the user's data folder that may always be lost."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from platformdirs import user_data_path

from napari_convnet.atomic import write_atomically
from napari_convnet.errors import UserError


def remembered_file(name: str) -> Path:
    """Return where something is remembered."""
    return user_data_path("napari-convnet", appauthor=False) / f"{name}.json"


def read_remembered(name: str) -> Any:
    """Return what JSON makes of the file, which anyone may have edited; None if it is missing or damaged."""
    try:
        return json.loads(remembered_file(name).read_bytes())
    except (OSError, ValueError, RecursionError):
        return None


def remember(name: str, value: Any) -> None:
    """Write a value that JSON can hold; where that fails, what was remembered before stays."""
    file = remembered_file(name)
    with suppress(UserError, OSError, UnicodeEncodeError):
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, json.dumps(value, indent=1).encode())
