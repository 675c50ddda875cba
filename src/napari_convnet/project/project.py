"""`Project`: the one mutable thing of the program, a file in which every edit is saved at once."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from types import TracebackType

from napari_convnet.errors import UserError
from napari_convnet.project.annotations import Annotations
from napari_convnet.project.backups import (
    backup_folder_of,
    backup_report,
    backups_of,
    restore,
)
from napari_convnet.project.checking import Findings, check_rows
from napari_convnet.project.classes import Classes
from napari_convnet.project.faults import damaged_error, primary_code, short_name, user_error
from napari_convnet.project.images import Images
from napari_convnet.project.migration import up_to_date
from napari_convnet.project.networks import Networks
from napari_convnet.project.places import check_header, may_write
from napari_convnet.project.positions import Positions
from napari_convnet.project.runs import Runs
from napari_convnet.project.schema import ADDED, APPLICATION_ID, FORMAT_VERSION, SCHEMA_1
from napari_convnet.project.store import Store, connect, is_open_here


class Project(Images, Classes, Annotations, Positions, Networks, Runs):
    """A project file: make one with `create` or `open`, end with `close` or a ``with`` block.

    Any thread may use it. What a method has written when it returns survives the end of the
    program.

    Attributes
    ----------
    damage
        Rows that are not what was written, and what became of them; empty for a sound file. They
        are left out of what is read and stay in the file.
    notes
        Other things worth telling, such as a backup that could not be made.
    """

    def __init__(self, store: Store, damage: tuple[str, ...], notes: tuple[str, ...]) -> None:
        Classes.__init__(self)
        Runs.__init__(self)
        self._store = store
        self.damage = damage
        self.notes = notes

    @classmethod
    def create(cls, path: str | Path, backup_folder: str | Path | None = None) -> Project:
        """Make a new project file, which must not exist yet, and open it.

        Raises
        ------
        UserError
            CN-310 if there is something of this name already, CN-301 or CN-305 if it cannot be
            written.
        """
        path = Path(os.path.abspath(path))
        try:
            _write_new(path, _empty_project())
        except FileExistsError as error:
            raise UserError(
                "CN-310",
                f"'{short_name(path)}' exists already and was not touched. Use another name.",
            ) from error
        except (OSError, ValueError) as error:
            code = "CN-305" if isinstance(error, PermissionError) else "CN-301"
            reason = getattr(error, "strerror", None) or str(error)
            raise UserError(
                code, f"'{short_name(path)}' could not be made: {reason}. Choose another folder."
            ) from error
        try:
            project = cls.open(path, backup_folder=backup_folder)
            if project.read_only:
                project.close()
                raise UserError("CN-305", project.read_only_reason)
        except UserError as error:
            path.unlink()  # SQLite needs room for longer names, and the file is still empty
            raise UserError(
                "CN-305",
                f"'{short_name(path)}' was not made: nothing can be saved there. "
                "Choose a shorter name or another folder.",
                error.message,
            ) from error
        return project

    @classmethod
    def open(
        cls,
        path: str | Path,
        read_only: bool = False,
        take_over: bool = False,
        backup_folder: str | Path | None = None,
    ) -> Project:
        """Open a project file, for reading only if it is open elsewhere or cannot be written.

        Parameters
        ----------
        read_only
            Leave the file as it is.
        take_over
            Write even if another program says that it has the project open; for one that is known
            to be gone. If it is not, it can no longer write.
        backup_folder
            Where backups go; by default into the user's data folder.

        Raises
        ------
        UserError
            CN-311 if there is no such file, CN-303 if it is no project or too damaged to be read,
            CN-304 if its format is newer than this program. The file is then untouched.
        """
        path = Path(os.path.realpath(path))
        root = Path(backup_folder) if backup_folder else None
        backups = backups_of(path, root)
        newest = backups[0] if backups else None
        if not is_open_here(path):
            check_header(path, newest)
        findings = _inspect(path, newest, may_recover=not read_only and may_write(path))
        store = _open_store(path, _reason_not_to_write(path, read_only, findings), take_over)
        restored: dict[str, str] = {}
        notes: tuple[str, ...] = ()
        try:
            if not store.read_only_reason:
                folder = backup_folder_of(path, root)
                notes = backup_report(store, findings.fingerprint, folder)
                store, said = up_to_date(store, findings.fingerprint, folder)
                notes += said
            if not store.read_only_reason:
                restored = restore(store, findings.damaged, backups)
                store.choose_journal()
        except BaseException:
            store.close()
            raise
        return cls(store, _damage_report(findings, restored, newest), notes)

    @property
    def path(self) -> Path:
        """The project file."""
        return self._store.path

    @property
    def read_only(self) -> bool:
        """Whether nothing may be written."""
        return bool(self._store.read_only_reason)

    @property
    def read_only_reason(self) -> str:
        """Why nothing may be written; empty if writing is allowed."""
        return self._store.read_only_reason

    def save_copy(self, path: str | Path) -> None:
        """Write a copy of the project to a file that does not exist yet, as on another disk.

        Raises
        ------
        UserError
            CN-310 if the file exists, CN-301 or CN-305 if it cannot be written.
        """
        path = Path(os.path.abspath(path))
        try:
            self._store.copy_to(path)
        except FileExistsError as error:
            raise UserError(
                "CN-310",
                f"'{short_name(path)}' exists already and was not touched. Use another name.",
            ) from error
        except OSError as error:
            raise UserError(
                "CN-301", f"'{short_name(path)}' was not made: {error.strerror}."
            ) from error

    def close(self) -> None:
        """Let go of the file; one file is left. Closing twice does nothing."""
        self._store.close()

    def __enter__(self) -> Project:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


#: What an unreadable file is not: in use, or in need of a journal that only writing can play back.
_OUT_OF_REACH = (
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_NOMEM,
)


def _empty_project() -> bytes:
    """Return the bytes of a project file without content."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.executescript(SCHEMA_1)
        for statements in ADDED.values():
            connection.executescript(";".join(statements))
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {FORMAT_VERSION}")
        return connection.serialize()


def _write_new(path: Path, content: bytes) -> None:
    """Write a file that does not exist yet, or leave nothing."""
    with path.open("xb") as file:
        try:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        except OSError:
            path.unlink(missing_ok=True)
            raise


def _inspect(path: Path, newest_backup: Path | None, may_recover: bool) -> Findings:
    """Check all rows without writing; a file left by a killed program is first recovered by SQLite.

    Raises
    ------
    UserError
        CN-303 if the file cannot be read to its end.
    """
    modes = ("ro", "rw") if may_recover else ("ro",)
    for mode in modes:
        try:
            with closing(connect(path, mode)) as connection:
                return check_rows(connection)
        except UnicodeDecodeError as error:
            # SQLite's complaint quotes the damaged bytes.
            raise damaged_error(path, "it is damaged", newest_backup) from error
        except sqlite3.Error as error:
            # Reading needs a journal to be played back, which only writing can do.
            unread = primary_code(error)
            if unread in _OUT_OF_REACH and mode != modes[-1]:
                continue
            if unread in _OUT_OF_REACH:
                raise UserError(
                    "CN-305",
                    f"'{short_name(path)}' was not opened: it is in use or its folder cannot be "
                    "written. Nothing was changed. Copy it to another folder and open the copy.",
                    repr(error),
                ) from error
            raise damaged_error(path, "it is damaged", newest_backup) from error
    raise AssertionError("one of the modes returns or raises")


def _reason_not_to_write(path: Path, read_only: bool, findings: Findings) -> str:
    if read_only:
        return "as asked"
    if not may_write(path):
        return "the file or its folder cannot be written"
    if findings.structure:
        return "the file is damaged, and writing could make it worse"
    return ""


def _open_store(path: Path, reason: str, take_over: bool) -> Store:
    """Return the file opened for writing if there is no reason against it, else for reading."""
    if reason:
        return Store(path, "ro", reason)
    store = Store(path, "rw")
    try:
        other = store.hold(take_over)
        if other:
            store.look_on(f"it is open in {other}")
        return store
    except sqlite3.Error as error:
        store.close()
        return Store(path, "ro", user_error(error, path).message)


def _damage_report(
    findings: Findings, restored: dict[str, str], newest_backup: Path | None
) -> tuple[str, ...]:
    report = [
        f"{row}: restored as it was in the backup {restored[str(row)]}"
        if str(row) in restored
        else f"{row}: damaged, left out"
        for row in findings.damaged
    ]
    if findings.structure:
        report.insert(0, f"The file itself is damaged: {findings.structure}")
    if findings.structure or len(restored) < len(findings.damaged):
        report.append(f"Newest backup: {newest_backup or 'none'}")
    return tuple(report)
