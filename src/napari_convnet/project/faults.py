"""From SQLite's errors to words that a person can act on."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from napari_convnet.errors import UserError

_SAFE = "Everything saved before is intact."

_FULL = ("CN-301", f"Not saved: the disk of '{{name}}' is full. {_SAFE} Free space or save a copy.")
_DISK = (
    "CN-301",
    f"Not saved: the disk of '{{name}}' is full or cannot be written. {_SAFE} Save a copy.",
)
_MEMORY = ("CN-301", f"Not saved: no memory is left to write '{{name}}'. {_SAFE} Close programs.")
_DAMAGED = ("CN-303", "'{name}' is damaged. Nothing was changed. Open one of its backups.")
_FORBIDDEN = (
    "CN-305",
    f"Not saved: '{{name}}' or its folder cannot be written. {_SAFE} Save a copy elsewhere.",
)
_BUSY = (
    "CN-313",
    f"Not saved: another program is using '{{name}}'. {_SAFE} Close it there and try again.",
)
_UNKNOWN_ID = (
    "CN-331",
    "Not saved: this refers to an image or a run that is not in '{name}'. Nothing was changed.",
)
_OTHER = ("CN-309", f"'{{name}}' could not be used. {_SAFE} Close it and open it again.")

#: Code and text by SQLite's primary result code.
_MEANINGS = {
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_IOERR: _DISK,
    sqlite3.SQLITE_NOMEM: _MEMORY,
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_NOTADB: _DAMAGED,
    sqlite3.SQLITE_READONLY: _FORBIDDEN,
    sqlite3.SQLITE_PERM: _FORBIDDEN,
    sqlite3.SQLITE_CANTOPEN: _FORBIDDEN,
    sqlite3.SQLITE_BUSY: _BUSY,
    sqlite3.SQLITE_LOCKED: _BUSY,
    sqlite3.SQLITE_CONSTRAINT: _UNKNOWN_ID,
}


def primary_code(error: sqlite3.Error) -> int:
    """Return SQLite's primary result code, 0 if the error does not come from SQLite itself."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def short_name(path: Path) -> str:
    """Return a file's name, cut to what a message has room for."""
    return path.name if len(path.name) <= 80 else path.name[:77] + "..."


def user_error(error: sqlite3.Error, path: Path) -> UserError:
    """Return the `UserError` that says what a failed statement means to the person."""
    code, text = _MEANINGS.get(primary_code(error), _OTHER)
    return UserError(code, text.format(name=short_name(path)), details=repr(error))


def damaged_error(path: Path, why: str, newest_backup: Path | None = None) -> UserError:
    """Return CN-303 for a file that is no readable project."""
    message = f"'{short_name(path)}' was not opened: {why}. The file was not changed."
    if newest_backup is None:
        return UserError("CN-303", f"{message} Use another copy.")
    whole = f"{message} The newest backup is '{newest_backup}'."
    if len(whole) <= 300:
        return UserError("CN-303", whole)
    return UserError("CN-303", f"{message} Its newest backup: see Details.", str(newest_backup))


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn every SQLite error of the block into a `UserError` about ``path``."""
    try:
        yield
    except UnicodeDecodeError as error:
        # SQLite's complaint quotes damaged bytes of the file.
        raise UserError(_DAMAGED[0], _DAMAGED[1].format(name=short_name(path))) from error
    except sqlite3.Error as error:
        raise user_error(error, path) from error
