"""Is every row what was written? SQLite overlooks most flipped bits, so every row has a hash."""

from __future__ import annotations

import hashlib
import sqlite3
from dataclasses import dataclass
from typing import Any

from napari_convnet.project.schema import TABLES, Table, format_version, row_sha256


@dataclass(frozen=True)
class DamagedRow:
    """A row whose hash does not fit its content."""

    table: Table
    key: tuple[Any, ...]

    def __str__(self) -> str:
        pairs = zip(self.table.keys, self.key, strict=True)
        where = ", ".join(f"{name} {str(value)[:40]}" for name, value in pairs)
        return f"{self.table.name.replace('_', ' ')} ({where})"


@dataclass(frozen=True)
class Findings:
    """What a check of all rows found.

    ``structure`` is SQLite's own complaint about the file, empty if there is none; ``fingerprint``
    is the same for two files exactly if they hold the same rows.
    """

    damaged: tuple[DamagedRow, ...]
    structure: str
    fingerprint: str


def check_rows(connection: sqlite3.Connection) -> Findings:
    """Read every row that carries a hash and compare; model bytes are checked when they are read.

    Raises
    ------
    sqlite3.Error
        If the file is too damaged to be read to its end.
    """
    damaged = []
    fingerprint = hashlib.sha256()
    version = format_version(connection)
    for table in TABLES.values():
        if table.since > version:
            continue
        for *values, written in connection.execute(
            f"{table.select} ORDER BY {', '.join(table.keys)}"
        ):
            found = row_sha256(table.name, values)
            fingerprint.update(found.encode())
            if found != written:
                damaged.append(DamagedRow(table, tuple(values[: len(table.keys)])))
    # These two carry no hashes, but must be there.
    connection.execute("SELECT run_id, part, bytes FROM model_part LIMIT 0")
    connection.execute("SELECT id, token, pid, process_start, host, since FROM opened_by LIMIT 1")
    return Findings(tuple(damaged), structure_fault(connection), fingerprint.hexdigest())


def structure_fault(connection: sqlite3.Connection) -> str:
    """Return the first thing that SQLite finds wrong with the file's pages, or nothing."""
    foreign = connection.execute(
        "SELECT name FROM sqlite_master WHERE type IN ('trigger', 'view')"
    ).fetchone()
    if foreign:
        return f"it contains the trigger or view '{foreign[0][:40]}'"
    complaint = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if complaint != "ok":
        return complaint.splitlines()[0][:100]
    if connection.execute("PRAGMA foreign_key_check").fetchone():
        return "a row refers to an image or a run that is missing"
    return ""


def is_intact(connection: sqlite3.Connection, row: DamagedRow) -> bool:
    """Return whether the row is there and its hash fits."""
    return intact_values(connection, row) is not None


def intact_values(connection: sqlite3.Connection, row: DamagedRow) -> tuple[Any, ...] | None:
    """Return the values of the row with the same key in another file, if they are intact there."""
    condition = " AND ".join(f"{name} IS ?" for name in row.table.keys)
    found = connection.execute(f"{row.table.select} WHERE {condition}", row.key).fetchone()
    if found is None or found[-1] != row_sha256(row.table.name, found[:-1]):
        return None
    return found[:-1]
