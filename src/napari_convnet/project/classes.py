"""Classes of a project: one table of names and colours for each task."""

from __future__ import annotations

import functools
import sqlite3
from collections.abc import Sequence
from typing import Any

import numpy as np

from napari_convnet.classes import MAX_CLASSES, ClassInfo, palette_colour
from napari_convnet.errors import UserError
from napari_convnet.project.painting import Painting, decompress_tile
from napari_convnet.project.schema import TABLES
from napari_convnet.project.store import put
from napari_convnet.project.tasks import check_task, class_count

#: Tables of the task "classify" whose rows have one class value each.
_ROWS_WITH_VALUE = ("object_class", "patch")


class Classes(Painting):
    """The part of `Project` that knows classes, and so what a deleted one means for annotations."""

    def classes(self, task: str) -> tuple[ClassInfo, ...]:
        """Return the classes of a task; the k-th one has the label value k (1-based).

        A class whose row is damaged stands as "class k (damaged)", so that no value changes its
        meaning.
        """
        check_task(task)
        with self._store.reading() as connection:
            count = class_count(connection, task)
        intact = self._store.records(
            "class",
            lambda _, value, name, colour: (value, ClassInfo(name, colour)),
            "WHERE task = ?",
            (task,),
        )
        found = dict(intact)
        return tuple(
            found.get(value) or ClassInfo(f"class {value} (damaged)", palette_colour(value - 1))
            for value in range(1, count + 1)
        )

    def set_classes(self, task: str, classes: Sequence[ClassInfo]) -> None:
        """Write the classes of a task: new ones at the end, new names and colours for old values.

        Raises
        ------
        UserError
            CN-513, CN-514 for a name given twice or too many classes; CN-335 if a class that would
            go has annotations (see `delete_class`).
        """
        check_task(task)
        names = [plain.name for plain in classes]
        if len(set(names)) != len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise UserError("CN-513", f"Two classes are called '{twice}'. Give each its own name.")
        if len(names) > MAX_CLASSES:
            raise UserError("CN-514", f"{len(names)} classes: at most {MAX_CLASSES}.")
        with self._store.transaction() as connection:
            if len(names) < class_count(connection, task):
                self._refuse_annotated(connection, task, len(names))
            _write_classes(connection, task, classes)

    def delete_class(self, task: str, value: int) -> int:
        """Delete a class with its annotations; higher class values move one down.

        Returns
        -------
        int
            The number of annotations deleted: objects and patches, or painted pixels.

        Raises
        ------
        UserError
            CN-333 if there is no such class.
        """
        classes = list(self.classes(task))
        if not 1 <= value <= len(classes):
            raise UserError(
                "CN-333", f"Class {value} does not exist; '{task}' has {len(classes)} classes."
            )
        del classes[value - 1]
        with self._painting_guard, self._store.transaction() as connection:
            if task == "segment":
                deleted = self._renumber_tiles(connection, value)
            else:
                deleted = sum(
                    self._renumber_rows(connection, name, value) for name in _ROWS_WITH_VALUE
                )
            _write_classes(connection, task, classes)
        return deleted

    def class_counts(self, task: str) -> dict[int, int]:
        """Return how many objects and patches, or painted pixels, each class value has in all images."""
        check_task(task)
        if task == "segment":
            tiles = self._store.records("painted_tile", lambda *row: _tile_counts(row[4]), "", ())
            total = sum((np.array(counts) for counts in tiles), np.zeros(MAX_CLASSES + 1, int))
            return {int(value): int(total[value]) for value in np.flatnonzero(total) if value}
        counts: dict[int, int] = {}
        with self._store.reading() as connection:
            for table in _ROWS_WITH_VALUE:
                query = f"SELECT value, count(*) FROM {table} GROUP BY value"
                for value, count in connection.execute(query):
                    counts[value] = counts.get(value, 0) + count
        return counts

    def _renumber_rows(self, connection: sqlite3.Connection, name: str, deleted: int) -> int:
        """Delete the rows of a class and move higher values down; damaged rows stay as they are."""
        table = TABLES[name]
        at, key_length = table.columns.index("value"), len(table.keys)
        same_key = " AND ".join(f"{key} = ?" for key in table.keys)
        gone = 0
        for values in self._store.records(name, _as_list, "WHERE value >= ?", (deleted,)):
            if values[at] == deleted:
                connection.execute(f"DELETE FROM {name} WHERE {same_key}", values[:key_length])
                gone += 1
            else:
                values[at] -= 1
                put(connection, name, values)
        return gone

    def _refuse_annotated(self, connection: sqlite3.Connection, task: str, kept: int) -> None:
        if task == "segment":
            highest = self._highest_painted()
        else:
            highest = max(
                connection.execute(f"SELECT COALESCE(MAX(value), 0) FROM {table}").fetchone()[0]
                for table in _ROWS_WITH_VALUE
            )
        if highest > kept:
            raise UserError(
                "CN-335",
                f"Not saved: class {highest} of '{task}' has annotations. Nothing was changed. "
                "Delete the class itself if its annotations may go, too.",
            )


def _write_classes(connection: sqlite3.Connection, task: str, classes: Sequence[ClassInfo]) -> None:
    connection.execute("DELETE FROM class WHERE task = ?", (task,))
    for value, info in enumerate(classes, start=1):
        put(connection, "class", (task, value, info.name, info.colour))


@functools.lru_cache(maxsize=8192)
def _tile_counts(stream: bytes) -> tuple[int, ...]:
    """Count the pixels of each value in a tile; a tile that did not change is not counted again."""
    return tuple(np.bincount(decompress_tile(stream).ravel(), minlength=MAX_CLASSES + 1).tolist())


def _as_list(*values: Any) -> list[Any]:
    return list(values)
