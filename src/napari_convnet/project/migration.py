"""Bringing a file of an older format up to date, once its original is kept."""

from __future__ import annotations

from pathlib import Path

from napari_convnet.errors import UserError
from napari_convnet.project.faults import short_name
from napari_convnet.project.schema import ADDED, FORMAT_VERSION, format_version
from napari_convnet.project.store import Store


def up_to_date(store: Store, fingerprint: str, folder: Path) -> tuple[Store, tuple[str, ...]]:
    """Bring a project's file to the present format, in one transaction; a reader's stays as it is.

    Parameters
    ----------
    fingerprint
        Of all rows; names the original.
    folder
        Where the project's backups are; the original is kept there, or beside the file.

    Returns
    -------
    store, notes
        The same store and what to tell; where the original cannot be kept or the disk is full,
        one that only reads, and the file is as it was.
    """
    with store.reading() as connection:
        version = format_version(connection)
    if store.read_only_reason or version == FORMAT_VERSION:
        return store, ()
    try:
        original = _keep_original(store, folder, f"format-{version}-{fingerprint[:16]}.original")
        with store.transaction() as connection:
            for newer in range(version + 1, FORMAT_VERSION + 1):
                for statement in ADDED[newer]:
                    connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {FORMAT_VERSION}")
    except (OSError, UserError) as error:
        store.close()
        return Store(store.path, "ro", f"its format could not be brought up to date: {error}"), ()
    note = (
        f"'{short_name(store.path)}' is now in format {FORMAT_VERSION}, which older versions cannot "
        f"read. The original is kept as '{original}'."
    )
    return store, (note,)


def _keep_original(store: Store, folder: Path, name: str) -> Path:
    """Copy the file as it is into the folder or, where that cannot be written, beside itself."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return _copy(store, folder / name)
    except (OSError, UserError):
        return _copy(store, store.path.with_name(f"{store.path.name}.{name}"))


def _copy(store: Store, path: Path) -> Path:
    """Copy the file; a name stands for its content, so that a copy that is there is the same."""
    if not path.exists():
        unfinished = path.with_name(f"{path.name}.part")
        unfinished.unlink(missing_ok=True)
        store.copy_to(unfinished)
        unfinished.replace(path)
    return path
