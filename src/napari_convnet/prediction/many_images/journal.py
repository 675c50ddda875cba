"""What a folder of results holds already: one line of JSON for each image that is done, added when it is.

A line is written after the files of its image, so what a killed program leaves is whole images and at most the
beginning of a line, which is cut off when the folder is used again.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from napari_convnet.errors import UserError
from napari_convnet.exchange.tables import shown
from napari_convnet.folders.inputs import RESULTS_MARK
from napari_convnet.prediction.many_images.results import ImageResult

#: A killed program loses nothing that was written; a power cut, what is younger than this.
_SECONDS_BETWEEN_SYNCS = 1.0
_KEYS = {"image", "made_from", "files", "summary", "columns", "rows"}


@dataclass(frozen=True)
class DoneImage:
    """An image that is done: where it was, what it was made from, its files and its row of the summary."""

    path: Path
    made_from: str
    files: tuple[str, ...]
    summary: Mapping[str, Any]
    offset: int


class Journal:
    """The record of one folder of results; used as a ``with`` block. Nothing is written before the first image.

    Parameters
    ----------
    folder
        The folder of results.
    run
        Model and settings, as JSON holds them: what is in the folder must be of the same.
    start_over
        Whether whatever the folder holds is to be forgotten, of any model, at the first image that is done.

    Raises
    ------
    UserError
        CN-640 if the folder holds results of another model or of other settings, CN-648 while another program
        writes into it, CN-301 if it cannot be read or written.
    """

    def __init__(self, folder: Path, run: Mapping[str, Any], *, start_over: bool = False) -> None:
        self.folder, self._run = folder, json.loads(json.dumps(run))
        self._path = folder / RESULTS_MARK
        self.done: dict[Path, DoneImage] = {}
        self._owner: dict[str, Path] = {}
        self._file: BinaryIO | None = None
        self._synced = 0.0
        self._is_begun = False
        if self._path.exists():
            self._open()
            try:
                if not start_over:
                    self._read()
            except BaseException:
                self._file.close()
                raise

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._file is not None:
            with suppress(OSError):
                os.fsync(self._file.fileno())
            self._file.close()

    def is_done(self, path: Path, made_from: str) -> bool:
        """Return whether an image is done, unchanged since, and its files are still there."""
        entry = self.done.get(path.resolve())
        if entry is None or not made_from or entry.made_from != made_from:
            return False
        return all((self.folder / name).is_file() for name in entry.files)

    def owner_of(self, name: str) -> Path | None:
        """Return the image that a file of results belongs to."""
        return self._owner.get(name.casefold())

    def add(self, path: Path, made_from: str, result: ImageResult) -> None:
        """Note that an image is done; its files are there by now."""
        if self._file is None:
            self._open()
        try:
            if not self._is_begun:
                self._file.truncate(0)
                self._write(self._run)
                self._is_begun = True
            line = {
                "image": str(path.resolve()), "made_from": made_from, "files": list(result.files),
                "summary": dict(result.summary), "columns": list(result.columns), "rows": list(result.rows),
            }  # fmt: skip
            offset = self._write(line)
            if time.monotonic() - self._synced > _SECONDS_BETWEEN_SYNCS:
                os.fsync(self._file.fileno())
                self._synced = time.monotonic()
        except OSError as error:
            raise self._unusable(error) from error
        self._remember(line, offset)

    def lines_of(self, entry: DoneImage) -> tuple[list[str], list[list[Any]]]:
        """Return the columns and the lines of an image in the table of all images."""
        self._file.seek(entry.offset)
        line = json.loads(self._file.readline())
        return line["columns"], line["rows"]

    def _open(self) -> None:
        try:
            self._file = open(self._path, "r+b" if self._path.exists() else "x+b")  # noqa: SIM115
        except OSError as error:
            raise self._unusable(error) from error
        if not _is_locked_for_us(self._file):
            self._file.close()
            raise UserError(
                "CN-648",
                f"Another program writes results into '{shown(self.folder)}' now. Nothing was changed. Wait for it, "
                "or choose another folder.",
            )

    def _write(self, line: Mapping[str, Any]) -> int:
        offset = self._file.seek(0, os.SEEK_END)
        self._file.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
        self._file.flush()
        return offset

    def _read(self) -> None:
        offset = 0
        for raw in iter(self._file.readline, b""):
            line = _parse(raw)
            if not raw.endswith(b"\n"):
                self._file.truncate(offset)
                break
            if offset == 0:
                self._refuse_another(line or {})
            elif line is not None and line.keys() >= _KEYS:
                self._remember(line, offset)
            offset += len(raw)
        self._is_begun = offset > 0

    def _refuse_another(self, run: Mapping[str, Any]) -> None:
        if all(run.get(key) == self._run[key] for key in ("format", "model", "settings")):
            return
        before, now = run.get("settings", {}), self._run["settings"]
        what = f"of another model ('{shown(run.get('name', '?'), 40)}')"
        if run.get("model") == self._run["model"]:
            changed = [f"{k}: {before.get(k)}, now {now.get(k)}" for k in {**before, **now}
                       if before.get(k) != now.get(k)]  # fmt: skip
            what = f"made with other settings ({shown('; '.join(changed), 80)})"
        raise UserError(
            "CN-640",
            f"'{shown(self.folder.name, 40)}' holds results {what}. Nothing was changed. Choose another folder, or "
            "start over there.",
            str(self.folder),
        )

    def _remember(self, line: Mapping[str, Any], offset: int) -> None:
        entry = DoneImage(
            Path(line["image"]), line["made_from"], tuple(line["files"]), line["summary"], offset
        )
        for name in entry.files:  # of an image that is gone, or had this name before
            other = self._owner.get(name.casefold())
            if other is not None and other != entry.path:
                self.done.pop(other, None)
            self._owner[name.casefold()] = entry.path
        self.done[entry.path] = entry

    def _unusable(self, error: OSError) -> UserError:
        return UserError(
            "CN-301",
            f"The record of what is done in '{shown(self.folder)}' cannot be written "
            f"({shown(error.strerror or error, 60)}). What was done before is kept. Free space, or choose another "
            "folder.",
            str(error),
        )


def fingerprint(files: Sequence[Path]) -> str:
    """Return what changes when one of these files does (names, sizes and times); empty if one is missing."""
    try:
        states = [(file.name, (s := file.stat()).st_size, s.st_mtime_ns) for file in files]
    except OSError:
        return ""
    return hashlib.sha256(json.dumps(states).encode()).hexdigest()


def _parse(raw: bytes) -> dict[str, Any] | None:
    """Return a line, or None for one that a power cut spoilt: its image is done again."""
    try:
        line = json.loads(raw)
    except ValueError:
        return None
    return line if isinstance(line, dict) else None


def _is_locked_for_us(file: BinaryIO) -> bool:
    """Take the lock that a program loses when it ends, however it ends; where there are none, take it for granted."""
    try:
        import fcntl
    except ImportError:  # Windows
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a network drive without locks
        return True
    return True
