"""Tasks that have classes, and the check that a class value means something."""

from __future__ import annotations

import sqlite3

from napari_convnet.errors import UserError

#: Tasks that have a table of classes.
TASKS = ("classify", "segment", "locate")


def check_task(task: str) -> None:
    """Refuse a task that has no class table.

    Raises
    ------
    UserError
        CN-334.
    """
    if task not in TASKS:
        raise UserError("CN-334", f"'{task}' is not a task; choose one of {', '.join(TASKS)}.")


def check_value(connection: sqlite3.Connection, task: str, value: int) -> None:
    """Refuse a class value for which there is no class; 0 stands for "not annotated".

    Raises
    ------
    UserError
        CN-333, with the value and the number of classes.
    """
    count = class_count(connection, task)
    if not 0 <= value <= count:
        raise UserError(
            "CN-333",
            f"Not saved: class {value} does not exist; '{task}' has {count} classes. "
            "Add the class first.",
        )


def class_count(connection: sqlite3.Connection, task: str) -> int:
    """Return the number of classes, damaged ones included: values run from 1 without a gap."""
    return connection.execute("SELECT COUNT(*) FROM class WHERE task = ?", (task,)).fetchone()[0]
