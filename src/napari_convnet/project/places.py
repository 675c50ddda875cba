"""What can be known of a project file without SQLite: its header, its disk, who may write."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from napari_convnet.errors import UserError
from napari_convnet.project.faults import damaged_error, short_name
from napari_convnet.project.schema import APPLICATION_ID, FORMAT_VERSION

#: File systems that another computer may serve, where SQLite's shared memory (WAL) does not work.
NETWORK_FILE_SYSTEMS = re.compile(r"nfs\d?|cifs|smb\w*|afs|9p|ceph|glusterfs|lustre|davfs|fuse\..*")


def check_header(path: Path, newest_backup: Path | None = None) -> None:
    """Refuse a file that is no project, or one of a newer format, by its first 100 bytes.

    Must not run while this process has the file open through SQLite: closing any handle of a file
    drops the process's POSIX locks on it.

    Raises
    ------
    UserError
        CN-311 if there is no such file, CN-303 if it is no project, CN-304 if its format is newer.
    """
    try:
        if not path.is_file():
            raise UserError("CN-311", f"There is no project file '{path}'.")
        with path.open("rb") as file:
            header = file.read(100)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise UserError("CN-311", f"'{short_name(path)}' cannot be read: {reason}.") from error
    if len(header) < 100 or not header.startswith(b"SQLite format 3\x00"):
        raise damaged_error(path, "it is not a project file, or it is cut short", newest_backup)
    if int.from_bytes(header[68:72], "big") != APPLICATION_ID:
        raise damaged_error(path, "it was made by another program", newest_backup)
    version = int.from_bytes(header[60:64], "big")
    if version > FORMAT_VERSION:
        raise UserError(
            "CN-304",
            f"'{short_name(path)}' was made with a newer version (format {version}; this one reads "
            f"up to {FORMAT_VERSION}). It was not changed. Update napari-convnet and try again.",
        )
    if version < 1:
        raise damaged_error(path, "its format version is missing", newest_backup)
    if path.stat().st_size < _size_in_header(header) and not _has_journal(path):
        raise damaged_error(path, "it is cut short", newest_backup)


def _size_in_header(header: bytes) -> int:
    page_size = int.from_bytes(header[16:18], "big")
    # SQLite writes the largest page size, 65,536, as 1.
    return int.from_bytes(header[28:32], "big") * (65_536 if page_size == 1 else page_size)


def _has_journal(path: Path) -> bool:
    """Return whether a killed program left changes beside the file, for SQLite to recover."""
    return any(Path(f"{path}{ending}").exists() for ending in ("-wal", "-journal"))


def may_write(path: Path) -> bool:
    """Return whether this user may change the file and make files beside it."""
    return os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)


def is_network_share(path: Path) -> bool:
    """Return whether the file lies on a disk that another computer serves; unknown counts as no."""
    if sys.platform == "win32":
        import ctypes

        drive = path.drive
        remote = 4  # DRIVE_REMOTE
        return (
            drive.startswith("\\\\") or ctypes.windll.kernel32.GetDriveTypeW(drive + "\\") == remote
        )
    try:
        mounts = Path("/proc/mounts").read_text(errors="surrogateescape")
    except OSError:
        return False
    return bool(NETWORK_FILE_SYSTEMS.fullmatch(file_system_of(path, mounts)))


def file_system_of(path: Path, mounts: str) -> str:
    """Return the type of the file system that holds ``path``, from the text of ``/proc/mounts``."""
    found, longest = "", -1
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        # Spaces and tabs of a mount point are written as octal escapes.
        folder = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), fields[1])
        # A later mount hides an earlier one at the same place, hence >=.
        if path.is_relative_to(folder) and len(folder) >= longest:
            found, longest = fields[2], len(folder)
    return found
