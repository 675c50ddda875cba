"""What a deleted, merged or moved class does to annotations, and how exactly that is taken back."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_convnet.classes import ClassInfo
from napari_convnet.project.painting import compress_tile, decompress_tile
from napari_convnet.project.schema import TABLES, Table
from napari_convnet.project.store import Store, put

#: Class values are bytes: a lookup has one entry for each.
_VALUES = 256


@dataclass(frozen=True)
class ClassEdit:
    """One change of the order or number of a task's classes, with all that `Project.undo` needs.

    Attributes
    ----------
    task, before, after
        The task, and its classes before and after.
    count
        How many annotations were deleted or given to another class: objects, patches, positions,
        or painted pixels.
    lost_value
        Value of the class that went, in ``before``; 0 if none did.
    new_values
        For each class of ``before`` its value in ``after``, 0 if its annotations were deleted.
    lost_rows
        Table and row of every annotation of the class that went, as it was.
    state_before, state_after
        Which order of the classes the edit began and ended with; only the newest can be undone.
    """

    task: str
    before: tuple[ClassInfo, ...]
    after: tuple[ClassInfo, ...]
    count: int
    lost_value: int
    new_values: tuple[int, ...]
    lost_rows: tuple[tuple[str, tuple[Any, ...]], ...]
    state_before: object
    state_after: object

    @property
    def given_to(self) -> int:
        """Value, in ``before``, of the class that took the annotations over; 0 if none did."""
        taken = self.new_values[self.lost_value - 1] if self.lost_value else 0
        others = (v for v, new in enumerate(self.new_values, 1) if new == taken)
        return next((v for v in others if v != self.lost_value), 0) if taken else 0


def forward_lookup(new_values: Sequence[int]) -> np.ndarray:
    """Return the new value by old value, uint8 of shape (256,); unknown values stay."""
    lookup = np.arange(_VALUES, dtype=np.uint8)
    lookup[1 : len(new_values) + 1] = new_values
    return lookup


def backward_lookup(edit: ClassEdit) -> np.ndarray:
    """Return the old value by new value; classes added since keep their place after the others."""
    lookup = np.arange(_VALUES)
    lookup[len(edit.after) + 1 :] += len(edit.before) - len(edit.after)
    for old, new in enumerate(edit.new_values, start=1):
        if old != edit.lost_value:
            lookup[new] = old
    return np.clip(lookup, 0, _VALUES - 1).astype(np.uint8)


def move_annotations(
    store: Store, connection: sqlite3.Connection, task: str, lookup: np.ndarray, lost_value: int = 0
) -> tuple[tuple[tuple[str, tuple[Any, ...]], ...], int]:
    """Give every annotation of a task its new value; damaged rows stay as they are.

    Returns
    -------
    lost_rows, count
        The rows that had ``lost_value``, as they were, and how many annotations that were.
    """
    lost_rows: list[tuple[str, tuple[Any, ...]]] = []
    count = 0
    for table in _tables_of(task):
        if "pixels" in table.columns:
            count += _move_tiles(store, connection, lookup, lost_value, lost_rows)
        else:
            _move_rows(store, connection, table, lookup, lost_value, lost_rows)
            count = len(lost_rows)
    return tuple(lost_rows), count


def restore_lost(store: Store, connection: sqlite3.Connection, edit: ClassEdit) -> None:
    """Put back what the lost class had, except where something newer stands by now.

    The annotations must have their old values again (`backward_lookup`).
    """
    for name, row in edit.lost_rows:
        table = TABLES[name]
        current = _row_at(store, table, row[: len(table.keys)])
        if "pixels" in table.columns:
            _restore_tile(connection, edit, row, current)
            continue
        left = None
        if edit.given_to:
            at = table.columns.index("value")
            left = (*row[:at], edit.given_to, *row[at + 1 :])
        if current == left:
            put(connection, name, row)


def _tables_of(task: str) -> list[Table]:
    return [table for table in TABLES.values() if table.task == task]


def _row_at(store: Store, table: Table, key: Sequence[Any]) -> tuple[Any, ...] | None:
    found = store.records(table.name, lambda *values: values, f"WHERE {table.same_key}", key)
    return found[0] if found else None


def _move_rows(
    store: Store,
    connection: sqlite3.Connection,
    table: Table,
    lookup: np.ndarray,
    lost_value: int,
    lost_rows: list[tuple[str, tuple[Any, ...]]],
) -> None:
    at, key_length = table.columns.index("value"), len(table.keys)
    moved = ", ".join(str(v) for v in range(1, _VALUES) if lookup[v] != v or v == lost_value)
    for row in store.records(table.name, lambda *values: values, f"WHERE value IN ({moved})"):
        if row[at] == lost_value:
            lost_rows.append((table.name, row))
        new = int(lookup[row[at]])
        if new:
            put(connection, table.name, (*row[:at], new, *row[at + 1 :]))
        else:
            _remove(connection, table, row[:key_length])


def _move_tiles(
    store: Store,
    connection: sqlite3.Connection,
    lookup: np.ndarray,
    lost_value: int,
    lost_rows: list[tuple[str, tuple[Any, ...]]],
) -> int:
    table, lost = TABLES["painted_tile"], 0
    for key in connection.execute(f"SELECT {', '.join(table.keys)} FROM painted_tile").fetchall():
        row = _row_at(store, table, key)
        tile = None if row is None else _pixels_of(row)
        if tile is None:
            continue
        pixels = int(np.count_nonzero(tile == lost_value)) if lost_value else 0
        if pixels:
            lost += pixels
            lost_rows.append((table.name, row))
        if (lookup[tile] != tile).any():
            _put_tile(connection, key, lookup[tile], row[5])
    return lost


def _restore_tile(
    connection: sqlite3.Connection,
    edit: ClassEdit,
    row: tuple[Any, ...],
    current: tuple[Any, ...] | None,
) -> None:
    old = _pixels_of(row)
    tile = None if current is None else _pixels_of(current)
    if old is None:
        return
    tile = np.zeros_like(old) if tile is None else tile.copy()
    tile[(old == edit.lost_value) & (tile == edit.given_to)] = edit.lost_value
    if np.array_equal(tile, old):
        put(connection, "painted_tile", row)
    else:
        _put_tile(connection, row[:4], tile, (current or row)[5])


def _pixels_of(row: tuple[Any, ...]) -> np.ndarray | None:
    try:
        return decompress_tile(row[4])
    except ValueError:  # made by hand: stays as it is
        return None


def _put_tile(
    connection: sqlite3.Connection, key: Sequence[Any], tile: np.ndarray, painted_at: str
) -> None:
    if tile.any():
        put(connection, "painted_tile", (*key, compress_tile(tile), painted_at))
    else:
        _remove(connection, TABLES["painted_tile"], key)


def _remove(connection: sqlite3.Connection, table: Table, key: Sequence[Any]) -> None:
    connection.execute(f"DELETE FROM {table.name} WHERE {table.same_key}", key)
