"""Projects that were open when their program ended: which ones, since when, and how much they hold."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from napari_convnet.project.holder import is_stale, read_holder
from napari_convnet.project.schema import APPLICATION_ID, FORMAT_VERSION, TABLES, format_version
from napari_convnet.project.store import connect, tokens_here


@dataclass(frozen=True)
class UnclosedProject:
    """A project that no running program has open, and that none has closed.

    ``since`` is when it was opened (ISO 8601, UTC), ``count`` how many objects, patches and
    positions are annotated, ``is_painted`` whether there are strokes.
    """

    path: Path
    since: str
    count: int
    is_painted: bool


def unclosed_projects(paths: Iterable[Path]) -> Iterator[UnclosedProject]:
    """Yield those of the project files that were not closed and hold annotations.

    Nothing is written. A file that cannot be read, that another program may have open, or that is
    no project is left out.
    """
    for path in paths:
        project = _look_at(path)
        if project is not None:
            yield project


def _look_at(path: Path) -> UnclosedProject | None:
    if not path.is_file():
        return None
    try:
        with closing(connect(path, "ro")) as connection:
            connection.execute("PRAGMA busy_timeout = 0")
            if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
                return None
            holder = read_holder(connection)
            version = format_version(connection)
            if holder is None or version > FORMAT_VERSION or not is_stale(holder, tokens_here()):
                return None
            tables = [t for t in TABLES.values() if t.task and t.since <= version]
            counts = {
                t.name: connection.execute(f"SELECT count(*) FROM {t.name}").fetchone()[0]
                for t in tables
            }
    except (sqlite3.Error, UnicodeDecodeError):
        return None
    tiles = counts.pop("painted_tile")
    count = sum(counts.values())
    return UnclosedProject(path, holder.since, count, tiles > 0) if count or tiles else None
