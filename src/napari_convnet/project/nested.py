"""A transaction within a transaction: its own edits are saved whole or not at all, too."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def nested_transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Take back what the block wrote if it fails; the transaction around it goes on."""
    # SQLite ends a transaction by itself on a full disk: then nothing more may be written.
    if not connection.in_transaction:
        raise sqlite3.OperationalError("an earlier write of the same step has failed")
    connection.execute("SAVEPOINT nested")
    try:
        yield
    except BaseException:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK TO nested")
        raise
    finally:
        if connection.in_transaction:
            connection.execute("RELEASE nested")
