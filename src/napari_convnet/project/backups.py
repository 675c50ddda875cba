"""Copies of a project as it was at its last five openings, and rows restored from them."""

from __future__ import annotations

import hashlib
import os
import re
import sqlite3
from collections.abc import Iterable
from contextlib import closing, suppress
from pathlib import Path

import platformdirs

from napari_convnet.errors import UserError
from napari_convnet.project.checking import DamagedRow, intact_values, is_intact
from napari_convnet.project.records import now
from napari_convnet.project.schema import format_version
from napari_convnet.project.store import Store, connect, put

#: How many openings are kept.
KEPT = 5

# Number of the opening (a clock may go back), time, fingerprint of the rows.
_NAME = re.compile(r"(\d{6})-(\d{8}T\d{6})Z-([0-9a-f]{16})\.convnet")
_UNFINISHED = "unfinished.part"


def backup_folder_of(path: Path, backup_folder: Path | None = None) -> Path:
    """Return the folder of one project's backups; the project's own place decides which it is."""
    root = backup_folder or Path(platformdirs.user_data_dir("napari-convnet")) / "backups"
    place = hashlib.sha256(os.fsencode(os.path.realpath(path))).hexdigest()[:12]
    stem = re.sub(r"[^0-9A-Za-z_-]+", "_", path.stem)[:40]
    return Path(root) / f"{stem}-{place}"


def backups_of(path: str | Path, backup_folder: str | Path | None = None) -> tuple[Path, ...]:
    """Return a project's backups, newest first; each is a project file of its own.

    Parameters
    ----------
    path
        The project file, which need not exist any more.
    backup_folder
        Where backups of all projects are; by default in the user's data folder.
    """
    folder = backup_folder_of(Path(path), Path(backup_folder) if backup_folder else None)
    try:
        files = [file for file in folder.iterdir() if _NAME.fullmatch(file.name)]
    except OSError:  # None was made yet, or the folder cannot be read.
        return ()
    return tuple(sorted(files, reverse=True))


def make_backup(store: Store, fingerprint: str, folder: Path) -> None:
    """Keep the project as it is now, unless the newest backup holds the same rows already.

    Raises
    ------
    UserError, OSError
        If the backup cannot be written; older backups are then untouched.
    """
    folder.mkdir(parents=True, exist_ok=True)
    kept = sorted(file for file in folder.iterdir() if _NAME.fullmatch(file.name))
    if kept and kept[-1].name.endswith(f"-{fingerprint[:16]}.convnet"):
        return
    number = int(kept[-1].name[:6]) + 1 if kept else 1
    time = re.sub(r"[-:]|\.\d+", "", now())
    unfinished = folder / _UNFINISHED
    unfinished.unlink(missing_ok=True)
    store.copy_to(unfinished)
    unfinished.replace(folder / f"{number:06d}-{time}-{fingerprint[:16]}.convnet")
    for old in kept[: max(0, len(kept) + 1 - KEPT)]:
        with suppress(OSError):  # Open in another program: it goes next time.
            old.unlink()


def restore(store: Store, damaged: Iterable[DamagedRow], backups: Iterable[Path]) -> dict[str, str]:
    """Put intact copies of damaged rows back into the project, newest backup first.

    Returns
    -------
    dict
        Name of the backup by text of the row, for the rows that were restored.
    """
    missing = list(damaged)
    restored: dict[str, str] = {}
    for backup in backups:
        if not missing:
            break
        # A backup may be damaged, too: then the next one is asked.
        with suppress(sqlite3.Error), closing(connect(backup, "ro")) as copy:
            for row in list(missing):
                if _restore_row(store, copy, row):
                    missing.remove(row)
                    restored[str(row)] = backup.name
    return restored


def _restore_row(store: Store, copy: sqlite3.Connection, row: DamagedRow) -> bool:
    if row.table.since > format_version(copy):
        return False
    values = intact_values(copy, row)
    if values is None:
        return False
    with store.transaction() as connection:
        if is_intact(connection, row):
            return True
        if row.table.task and not _same_classes(connection, copy, row.table.task):
            return False
        put(connection, row.table.name, values)
    return True


def _same_classes(live: sqlite3.Connection, copy: sqlite3.Connection, task: str) -> bool:
    """Return whether a class value of the copy still means the same class in the project."""
    select = "SELECT value, name FROM class WHERE task = ?"
    names = dict(live.execute(select, (task,)).fetchall())
    return all(names.get(value) == name for value, name in copy.execute(select, (task,)))


def backup_report(store: Store, fingerprint: str, folder: Path) -> tuple[str, ...]:
    """Make a backup and return what went wrong, if anything: opening goes on either way."""
    try:
        make_backup(store, fingerprint, folder)
    except (OSError, UserError) as error:
        return (f"No backup could be made in '{folder}': {error}",)
    return ()
