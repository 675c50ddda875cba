"""How many annotations each class has: counted once, and then kept up with every click."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable

from napari_convnet.project.schema import TABLES

#: Which rows of annotations are not on images of the test set.
NOT_IN_TEST = "WHERE image_id NOT IN (SELECT image_id FROM image_split WHERE split = 'test')"
#: What tells one content of the file from another for one connection.
State = tuple[int, int]


def state_of(connection: sqlite3.Connection) -> State:
    """Return a value that differs after every write, by this connection or by another program."""
    [version] = connection.execute("PRAGMA data_version").fetchone()
    return connection.total_changes, version


def has_test_images(connection: sqlite3.Connection) -> bool:
    """Return whether any image was put into the test set."""
    query = "SELECT EXISTS (SELECT 1 FROM image_split WHERE split = 'test')"
    return bool(connection.execute(query).fetchone()[0])


def count_classes(connection: sqlite3.Connection, task: str, where: str = "") -> dict[int, int]:
    """Return how many rows of a task's tables, of those that are wanted, each class value has."""
    counts: Counter[int] = Counter()
    for table in (table for table in TABLES.values() if table.task == task):
        query = f"SELECT value, count(*) FROM {table.name} {where} GROUP BY value"
        counts.update(dict(connection.execute(query)))
    return {value: count for value, count in sorted(counts.items()) if value > 0}


class Counts:
    """Counts of the annotations of each class value, by task; to be used under the store's lock.

    A count is right for one `State` of the file. Writers that know what they changed say so with
    `moved`; after any other write it is counted again.
    """

    def __init__(self) -> None:
        self._known: dict[str, tuple[State, Counter[int]]] = {}

    def forget(self) -> None:
        """Count again next time, as after edits that were rolled back."""
        self._known.clear()

    def get(self, connection: sqlite3.Connection, task: str) -> dict[int, int]:
        """Return how many rows of a task's tables each class value has."""
        counts = self.known(connection, task)
        if counts is None:
            state, counts = state_of(connection), Counter(count_classes(connection, task))
            self._known[task] = state, counts
        return {value: count for value, count in sorted(counts.items()) if value and count}

    def known(self, connection: sqlite3.Connection, task: str) -> Counter[int] | None:
        """Return what was counted of the file as it is, None if that must be counted anew."""
        state, counts = self._known.get(task, (None, None))
        return counts if state is not None and state == state_of(connection) else None

    def moved(
        self,
        task: str,
        counts: Counter[int],
        state: State,
        gone: Iterable[int],
        come: Iterable[int],
    ) -> None:
        """Take over the `known` counts of before a write that took and gave these class values.

        ``state`` is that of the end of the write. Called once the write has been committed.
        """
        counts = Counter(counts)
        counts.subtract(gone)
        counts.update(come)
        self._known[task] = state, counts
