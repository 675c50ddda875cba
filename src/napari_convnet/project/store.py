"""The connection to a project file: reading, transactions, and closing so that one file is left."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from napari_convnet.errors import UserError
from napari_convnet.project.faults import explained, short_name
from napari_convnet.project.holder import Holder, is_stale, read_holder, this_program, write_holder
from napari_convnet.project.nested import nested_transaction
from napari_convnet.project.places import is_network_share
from napari_convnet.project.schema import TABLES, lend_tables, row_sha256

Record = TypeVar("Record")

#: A power cut loses at most the edits of this many seconds; a killed program loses none.
SECONDS_UNSYNCED = 2.0

#: Projects that this process has open: SQLite's locks belong to the process, not to the connection.
_OPEN_HERE: weakref.WeakSet[Store] = weakref.WeakSet()


def connect(path: Path, mode: str) -> sqlite3.Connection:
    """Return a connection in mode ``"ro"`` or ``"rw"``; a file is never made here."""
    address = path.as_posix()
    # Path.as_uri would name a share's server as the address' host, which SQLite refuses.
    address = quote(os.fsencode(address if address.startswith("/") else f"/{address}"))
    connection = sqlite3.connect(
        f"file://{address}?mode={mode}",
        uri=True,
        timeout=5.0,
        isolation_level=None,
        check_same_thread=False,
    )
    # Text with flipped bits must reach the hash check instead of failing the whole query.
    connection.text_factory = lambda raw: raw.decode("utf-8", "backslashreplace")
    # The file may come from a stranger: no code in its schema, and every page's cells looked at.
    for pragma in ("foreign_keys = ON", "trusted_schema = OFF", "cell_size_check = ON"):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def is_open_here(path: Path) -> bool:
    """Return whether this process has the file open."""
    return any(store.identity == file_identity(path) for store in list(_OPEN_HERE))


def tokens_here() -> set[str]:
    """Return the tokens of the projects that this process has open for writing."""
    return {store.token for store in list(_OPEN_HERE)}


def file_identity(path: Path) -> tuple[int, int] | None:
    """Return what tells this file from any other, None if there is no file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


class Store:
    """One connection, guarded by a lock, so that any thread may use it.

    Parameters
    ----------
    path
        An existing project file that has been checked.
    read_only_reason
        Why nothing may be written; empty if writing is allowed.
    mode
        ``"ro"`` to leave the file untouched, ``"rw"`` otherwise.
    """

    def __init__(self, path: Path, mode: str, read_only_reason: str = "") -> None:
        self.path = path
        self.read_only_reason = read_only_reason
        self.identity = file_identity(path)
        self.token = ""
        self._guard = threading.RLock()
        self._synced_at = -SECONDS_UNSYNCED
        self._writes_ahead = False
        self._in_transaction = False
        with explained(path):
            self._connection = connect(path, mode)
            if mode == "ro":
                lend_tables(self._connection)
        _OPEN_HERE.add(self)

    def hold(self, take_over: bool = False) -> Holder | None:
        """Become the one program that writes, or return the one that already is.

        A holder that is known to be gone is replaced; ``take_over`` replaces any.
        """
        holder = this_program()
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            other = read_holder(self._connection)
            if other and not take_over and not is_stale(other, tokens_here()):
                return other
            write_holder(self._connection, holder)
            self._connection.execute("COMMIT")
            self.token = holder.token
        finally:
            self._roll_back()
        return None

    def is_written_elsewhere(self) -> bool:
        """Return whether another program that may still run has the project open for writing."""
        with self.reading() as connection:
            holder = read_holder(connection)
        if holder is None or holder.token == self.token:
            return False
        return not is_stale(holder, tokens_here())

    def look_on(self, reason: str) -> None:
        """Only read from now on; unlike mode "ro" this can tidy up as the last one to close."""
        lend_tables(self._connection)
        self._connection.execute("PRAGMA query_only = ON")
        self.read_only_reason = reason

    def choose_journal(self) -> None:
        """Write ahead where the disk is local; elsewhere use the journal that works anywhere."""
        wanted = "DELETE" if is_network_share(self.path) else "WAL"
        with self.reading() as connection:
            # While somebody is reading, the journal cannot be changed: the present one works, too.
            with suppress(sqlite3.OperationalError):
                connection.execute(f"PRAGMA journal_mode = {wanted}")
            mode = connection.execute("PRAGMA journal_mode").fetchone()[0]
            self._writes_ahead = mode.lower() == "wal"
            # Opens the journal now: SQLite would not find the place any more after a move.
            read_holder(connection)

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Give the connection for one short read."""
        with self._guard, explained(self.path):
            yield self._connection

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Give the connection for one edit, which is saved whole or not at all; one in another is part of it.

        Raises
        ------
        UserError
            CN-305 if the project is read-only, CN-301 if the disk is full, CN-307 if another
            program has taken the project over, CN-308 if the file has been moved.
        """
        if self.read_only_reason:
            raise UserError(
                "CN-305",
                f"Not saved: '{short_name(self.path)}' is open for reading only "
                f"({self.read_only_reason[:150]}).",
            )
        with self._guard, explained(self.path):
            if self._in_transaction:
                with nested_transaction(self._connection):
                    yield self._connection
                return
            self._check_file_in_place()
            self._choose_synchronous()
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                self._check_still_holding()
                self._in_transaction = True
                yield self._connection
                self._connection.execute("COMMIT")
            finally:
                self._in_transaction = False
                self._roll_back()

    def records(
        self,
        table: str,
        decode: Callable[..., Record],
        condition: str = "",
        parameters: Sequence[Any] = (),
    ) -> tuple[Record, ...]:
        """Return the decoded rows of a table, without those that are damaged or make no sense."""
        with self.reading() as connection:
            rows = connection.execute(f"{TABLES[table].select} {condition}", parameters).fetchall()
        records = []
        for *values, written in rows:
            if written == row_sha256(table, values):
                # Only a file made by hand can have a fitting hash and still make no sense.
                with suppress(ValueError, TypeError, KeyError, RecursionError):
                    records.append(decode(*values))
        return tuple(records)

    def copy_to(self, path: Path) -> None:
        """Write a copy of the project, which nobody has open, to a file that does not exist yet."""
        with self._guard, explained(path), connect_new(path) as copy:
            self._connection.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")
            copy.execute("DELETE FROM opened_by")

    def close(self) -> None:
        """Merge the journal into the file and let go of it; closing twice does nothing."""
        with self._guard:
            if self not in _OPEN_HERE:
                return
            # On a full or vanished disk the journal stays beside the file: nothing is lost by that.
            with suppress(sqlite3.Error):
                self._tidy_up()
            with suppress(sqlite3.Error):
                self._connection.close()
            _OPEN_HERE.discard(self)
            if self.token and not self.path.exists():
                _remove_empty_journal(self.path)

    def _tidy_up(self) -> None:
        """Merge the journal into the file, wherever that is now, and say that nobody writes."""
        if not self.token:
            return
        # Do not wait for somebody who is looking on: then the journal stays for now.
        self._connection.execute("PRAGMA busy_timeout = 200")
        self._connection.execute("PRAGMA synchronous = FULL")
        if file_identity(self.path) == self.identity:
            self._connection.execute("DELETE FROM opened_by WHERE token = ?", (self.token,))
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._connection.execute("PRAGMA journal_mode = DELETE")

    def _choose_synchronous(self) -> None:
        """Wait for the disk at most every other second: a click must not cost a disk's latency."""
        is_due = time.monotonic() - self._synced_at >= SECONDS_UNSYNCED
        if is_due or not self._writes_ahead:
            self._connection.execute("PRAGMA synchronous = FULL")
            self._synced_at = time.monotonic()
        else:
            self._connection.execute("PRAGMA synchronous = NORMAL")

    def _check_file_in_place(self) -> None:
        if file_identity(self.path) != self.identity:
            raise UserError(
                "CN-308",
                f"Not saved: '{short_name(self.path)}' was moved or unplugged while open. "
                "Everything saved before is still here. Put it back, or save a copy elsewhere.",
            )

    def _check_still_holding(self) -> None:
        holder = read_holder(self._connection)
        if holder is None or holder.token != self.token:
            raise UserError(
                "CN-307",
                f"Not saved: another program has taken over '{short_name(self.path)}' "
                f"({holder or 'unknown'}). Close it there and open the project again.",
            )

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            with suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")


@contextmanager
def connect_new(path: Path) -> Iterator[sqlite3.Connection]:
    """Make a file that does not exist yet, give a connection to it, and remove it on failure."""
    with path.open("xb"):
        pass
    try:
        connection = connect(path, "rw")
        try:
            yield connection
        finally:
            connection.close()
    except BaseException:
        for part in (path, Path(f"{path}-journal"), Path(f"{path}-wal"), Path(f"{path}-shm")):
            part.unlink(missing_ok=True)
        raise


def _remove_empty_journal(path: Path) -> None:
    """Remove what SQLite leaves at the place that a file has been moved away from."""
    journal = Path(f"{path}-wal")
    with suppress(OSError):
        if journal.stat().st_size == 0:
            journal.unlink()
            Path(f"{path}-shm").unlink(missing_ok=True)


def put(connection: sqlite3.Connection, table: str, values: Sequence[Any]) -> None:
    """Insert a row with its hash, or replace the row with the same key."""
    connection.execute(TABLES[table].upsert, (*values, row_sha256(table, values)))


def next_id(connection: sqlite3.Connection, table: str) -> int:
    """Return an id that no row of the table has ever had."""
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (table,)).fetchone()
    return (row[0] if row else 0) + 1
