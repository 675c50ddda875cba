"""Bytes that are kept in parts, so that a click never waits until a whole model is written."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from napari_convnet.errors import UserError
from napari_convnet.project.store import Store

#: Models and checkpoints are written in parts of this many bytes.
PART = 4 * 2**20


def write_parts(store: Store, table: str, key: Mapping[str, int], content: bytes) -> None:
    """Write bytes in place of those with the same key, each part as an edit of its own.

    Parameters
    ----------
    table
        A table with the columns of ``key``, ``part`` and ``bytes``.
    key
        Columns that tell these bytes from others, and their values.
    """
    with store.transaction() as connection:  # also what a killed program left
        connection.execute(f"DELETE FROM {table} WHERE {_condition(key)}", tuple(key.values()))
    columns = ", ".join([*key, "part", "bytes"])
    marks = ", ".join("?" * (len(key) + 2))
    for part, start in enumerate(range(0, len(content), PART)):
        with store.transaction() as connection:
            connection.execute(
                f"INSERT INTO {table} ({columns}) VALUES ({marks})",
                (*key.values(), part, content[start : start + PART]),
            )


def read_parts(
    store: Store, table: str, key: Mapping[str, int], *, size: int, sha256: str, refusal: str
) -> bytes:
    """Return the bytes that were written under a key.

    Raises
    ------
    UserError
        CN-303 with the words of ``refusal`` if size or hash are not those of what was written.
    """
    with store.reading() as connection:
        parts = connection.execute(
            f"SELECT bytes FROM {table} WHERE {_condition(key)} ORDER BY part",
            tuple(key.values()),
        ).fetchall()
    content = b"".join(part for (part,) in parts)
    if len(content) != size or hashlib.sha256(content).hexdigest() != sha256:
        raise UserError("CN-303", refusal)
    return content


def _condition(key: Mapping[str, int]) -> str:
    return " AND ".join(f"{column} = ?" for column in key)
