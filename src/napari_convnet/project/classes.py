"""Classes of a project: one table of names and colours for each task.

Names and colours change with `Classes.set_classes`. What moves annotations with it returns a
`ClassEdit`, with which it is undone exactly; what was annotated meanwhile stays:

>>> edit = project.delete_class("classify", 2)              # with its annotations
>>> project.undo(edit)
>>> edit = project.delete_class("classify", 2, give_to=1)   # class 1 gets them
>>> edit = project.merge_classes("classify", 3, 1)          # the same, said the other way
>>> edit = project.move_class("classify", 3, 1)             # the third class becomes the first
>>> edit.count, edit.after                                  # annotations concerned, classes now

Undo newest first; to do an edit again, call the method again.
"""

from __future__ import annotations

import functools
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from napari_convnet.classes import MAX_CLASSES, ClassInfo, palette_colour
from napari_convnet.errors import UserError
from napari_convnet.project.class_edits import (
    ClassEdit,
    backward_lookup,
    forward_lookup,
    move_annotations,
    restore_lost,
)
from napari_convnet.project.counts import NOT_IN_TEST, Counts, count_classes, has_test_images
from napari_convnet.project.faults import short_name
from napari_convnet.project.painting import Painting, decompress_tile
from napari_convnet.project.schema import TABLES
from napari_convnet.project.store import put
from napari_convnet.project.tasks import check_task, class_count


class Classes(Painting):
    """The part of `Project` that knows classes, and so what a deleted one means for annotations."""

    def __init__(self) -> None:
        super().__init__()
        # Which order of a task's classes is in force: what `ClassEdit.state_after` must still be.
        self._class_states: dict[str, object] = {}
        self._counts = Counts()

    @contextmanager
    def together(self) -> Iterator[None]:
        """Save all that this thread writes in the block as one step, whole or not at all.

        Other threads' reads and writes wait until the block ends, so keep it short. Blocks may
        stand in one another.

        Raises
        ------
        UserError
            CN-30x as for a single edit; nothing of the block is then saved.
        """
        # In the order in which painting takes them: the other way round, two threads could wait
        # for one another.
        with self._painting_guard:
            class_states = dict(self._class_states)
            try:
                with self._store.transaction():
                    yield
            except BaseException:
                self._tile_digests.clear()
                self._class_states = class_states
                self._counts.forget()
                raise

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
        _check_classes(classes)
        with self._painting_guard:
            with self._store.transaction() as connection:
                is_fewer = len(classes) < class_count(connection, task)
                if is_fewer:
                    self._refuse_annotated(connection, task, len(classes))
                _write_classes(connection, task, classes)
            if is_fewer:
                self._class_states[task] = object()

    def delete_class(self, task: str, value: int, give_to: int = 0) -> ClassEdit:
        """Delete a class; higher class values move one down.

        Parameters
        ----------
        value
            The class, 1-based.
        give_to
            Value (of now) of the class that gets its annotations; 0 deletes them.

        Returns
        -------
        ClassEdit
            For `undo`; its ``count`` says how many annotations were deleted or given away.

        Raises
        ------
        UserError
            CN-333 if there is no such class, CN-332 if it is to be given its own annotations.
        """
        classes = self._existing(task, value, *([give_to] if give_to else []))
        if value == give_to:
            raise UserError(
                "CN-332", f"Class {value} cannot be merged with itself; choose another."
            )
        after = [info for k, info in enumerate(classes, start=1) if k != value]
        new_values = [k - (k > value) for k in range(1, len(classes) + 1)]
        new_values[value - 1] = new_values[give_to - 1] if give_to else 0
        return self._edit(task, classes, after, new_values, lost_value=value)

    def merge_classes(self, task: str, from_value: int, into_value: int) -> ClassEdit:
        """Give the annotations of one class to another, and delete it; see `delete_class`."""
        self._existing(task, into_value)
        return self.delete_class(task, from_value, give_to=into_value)

    def move_class(self, task: str, value: int, new_value: int) -> ClassEdit:
        """Give a class another place in the order; the annotations follow.

        Raises
        ------
        UserError
            CN-333 if there is no class of one of the two values.
        """
        classes = self._existing(task, value, new_value)
        order = list(range(1, len(classes) + 1))
        order.insert(new_value - 1, order.pop(value - 1))
        new_values = [order.index(k) + 1 for k in range(1, len(classes) + 1)]
        return self._edit(task, classes, [classes[k - 1] for k in order], new_values)

    def undo(self, edit: ClassEdit) -> None:
        """Take back a deleted, merged or moved class, whole or not at all.

        Annotations are exactly what they were before it, save those that were added, changed or
        removed since. Names and colours changed since stay.

        Raises
        ------
        UserError
            CN-337 if the order of the classes has changed since by other means, CN-513 if there is
            another class of the lost one's name by now, CN-514 if there are too many by now.
        """
        now = self.classes(edit.task)
        if self._class_states.get(edit.task) is not edit.state_after:
            raise UserError(
                "CN-337",
                f"Not undone: the classes of '{short_name(self._store.path)}' have changed since. "
                "Nothing was changed.",
            )
        back = backward_lookup(edit)
        by_value = {int(back[value]): info for value, info in enumerate(now, start=1)}
        if edit.lost_value:
            by_value[edit.lost_value] = edit.before[edit.lost_value - 1]
        classes = [info for _, info in sorted(by_value.items())]
        _check_classes(classes)
        with self._painting_guard, self._store.transaction() as connection:
            self._tile_digests.clear()
            move_annotations(self._store, connection, edit.task, back)
            restore_lost(self._store, connection, edit)
            _write_classes(connection, edit.task, classes)
        self._class_states[edit.task] = edit.state_before

    def _existing(self, task: str, *values: int) -> tuple[ClassInfo, ...]:
        """Return the classes of a task, among which the values must be."""
        classes = self.classes(task)
        for value in values:
            if not 1 <= value <= len(classes):
                raise UserError(
                    "CN-333", f"Class {value} does not exist; '{task}' has {len(classes)} classes."
                )
        return classes

    def _edit(
        self,
        task: str,
        before: Sequence[ClassInfo],
        after: Sequence[ClassInfo],
        new_values: Sequence[int],
        lost_value: int = 0,
    ) -> ClassEdit:
        """Move annotations and write classes in one transaction."""
        lookup = forward_lookup(new_values)
        with self._painting_guard, self._store.transaction() as connection:
            self._tile_digests.clear()
            lost = move_annotations(self._store, connection, task, lookup, lost_value)
            _write_classes(connection, task, after)
        state_before, state_after = self._class_states.get(task), object()
        self._class_states[task] = state_after
        return ClassEdit(
            task,
            tuple(before),
            tuple(after),
            lost[1],
            lost_value,
            tuple(new_values),
            lost[0],
            state_before,
            state_after,
        )

    def class_counts(self, task: str, *, with_test: bool = True) -> dict[int, int]:
        """Return how many objects and patches, positions or painted pixels each class value has.

        Without ``with_test``, those on images of the test set do not count.
        """
        check_task(task)
        where = "" if with_test else NOT_IN_TEST
        if task == "segment":
            tiles = self._store.records("painted_tile", lambda *row: _tile_counts(row[4]), where)
            total = sum((np.array(counts) for counts in tiles), np.zeros(MAX_CLASSES + 1, int))
            return {int(value): int(total[value]) for value in np.flatnonzero(total) if value}
        with self._store.reading() as connection:
            if where and has_test_images(connection):
                return count_classes(connection, task, where)
            return self._counts.get(connection, task)

    def n_annotations(self) -> int:
        """Return how many rows of annotations there are; a painted tile counts as ten."""
        with self._store.reading() as connection:
            rows = {
                table.name: connection.execute(f"SELECT count(*) FROM {table.name}").fetchone()[0]
                for table in TABLES.values() if table.task
            }  # fmt: skip
        return sum(rows.values()) + 9 * rows["painted_tile"]

    def _refuse_annotated(self, connection: sqlite3.Connection, task: str, kept: int) -> None:
        if task == "segment":
            highest = self._highest_painted()
        else:
            highest = max(
                connection.execute(f"SELECT COALESCE(MAX(value), 0) FROM {table}").fetchone()[0]
                for table in _tables_of(task)
            )
        if highest > kept:
            raise UserError(
                "CN-335",
                f"Not saved: class {highest} of '{task}' has annotations. Nothing was changed. "
                "Delete the class itself if its annotations may go, too.",
            )


def _tables_of(task: str) -> list[str]:
    return [table.name for table in TABLES.values() if table.task == task]


def _check_classes(classes: Sequence[ClassInfo]) -> None:
    names = [info.name for info in classes]
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UserError("CN-513", f"Two classes are called '{twice}'. Give each its own name.")
    if len(names) > MAX_CLASSES:
        raise UserError("CN-514", f"{len(names)} classes: at most {MAX_CLASSES}.")


def _write_classes(connection: sqlite3.Connection, task: str, classes: Sequence[ClassInfo]) -> None:
    connection.execute("DELETE FROM class WHERE task = ?", (task,))
    for value, info in enumerate(classes, start=1):
        put(connection, "class", (task, value, info.name, info.colour))


@functools.lru_cache(maxsize=8192)
def _tile_counts(stream: bytes) -> tuple[int, ...]:
    """Count the pixels of each value in a tile; a tile that did not change is not counted again."""
    return tuple(np.bincount(decompress_tile(stream).ravel(), minlength=MAX_CLASSES + 1).tolist())
