"""A folder that appears under its name only when everything in it is complete."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from napari_convnet.errors import UserError
from napari_convnet.exchange.tables import shown

#: Characters that some file system refuses in a name.
_REFUSED = set('<>:"/\\|?*')
_RESERVED = {"CON", "PRN", "AUX", "NUL", *(f"{d}{n}" for d in ("COM", "LPT") for n in range(1, 10))}


class OutputFolder:
    """Used as a ``with`` block: files go into a hidden folder that is renamed at the end.

    Parameters
    ----------
    path
        The folder to make; it must not exist yet.

    Raises
    ------
    UserError
        CN-659 if there is something of this name, CN-301 if the disk refuses. Nothing is left then.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(os.path.abspath(path))
        self._folder = self.path.parent / f".{self.path.name[:80]}-{secrets.token_hex(6)}.tmp"
        self._made: list[Path] = []

    def __enter__(self) -> OutputFolder:
        if os.path.lexists(self.path):
            raise UserError(
                "CN-659",
                f"'{shown(self.path.name)}' exists already and was not touched. Use another name.",
                str(self.path),
            )
        try:
            self._folder.mkdir()
        except OSError as error:
            raise self._failed(error) from error
        return self

    def write(self, name: str, data: bytes) -> None:
        """Write a file; ``name`` is relative, with ``/`` between folders."""
        file = self._folder / name
        try:
            for folder in reversed(file.relative_to(self._folder).parents[:-1]):
                if not (self._folder / folder).exists():
                    (self._folder / folder).mkdir()
                    self._made.append(self._folder / folder)
            self._made.append(file)
            with file.open("xb") as stream:
                stream.write(data)
                if not hasattr(os, "sync"):  # Windows
                    stream.flush()
                    os.fsync(stream.fileno())
        except OSError as error:
            raise self._failed(error) from error

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None:
            try:
                if os.path.lexists(self.path):  # a rename would replace an empty folder
                    raise FileExistsError(17, "something of this name has appeared")
                if hasattr(
                    os, "sync"
                ):  # once, because thousands of patches cost seconds each by each
                    os.sync()
                self._folder.rename(self.path)
            except OSError as problem:
                self.remove()
                raise self._failed(problem) from problem
            return
        self.remove()

    def remove(self) -> None:
        """Remove what was written here, and nothing else; also after the rename."""
        folder = self._folder if self._folder.exists() else self.path
        for made in reversed(self._made):
            place = folder / made.relative_to(self._folder)
            with suppress(OSError):
                place.rmdir() if place.is_dir() else place.unlink()
        with suppress(OSError):
            folder.rmdir()

    def _failed(self, error: OSError) -> UserError:
        return UserError(
            "CN-301",
            f"Not saved: '{shown(self.path.name)}' could not be written "
            f"({shown(error.strerror or error, 80)}). Nothing of it is left. "
            "Free space or choose another folder.",
            str(error),
        )


def free_folder(path: Path) -> Path:
    """Return the path, with a number where there is something of this name."""
    folder, number = path, 2
    while os.path.lexists(folder):
        folder, number = path.with_name(f"{path.name}_{number}"), number + 1
    return folder


class FileNames:
    """Makes names that every file system takes, each once; upper and lower case count as one."""

    def __init__(self) -> None:
        self._given: set[str] = set()

    def make(self, wanted: str, suffix: str = "") -> str:
        """Return a name like the one wanted, with the suffix and a number where it is taken."""
        stem = "".join("_" if c in _REFUSED or not c.isprintable() else c for c in wanted)
        stem = stem.strip(" .")[:80] or "unnamed"
        if stem.split(".")[0].upper() in _RESERVED:
            stem = f"_{stem}"
        name, number = f"{stem}{suffix}", 2
        while name.casefold() in self._given:
            name, number = f"{stem}_{number}{suffix}", number + 1
        self._given.add(name.casefold())
        return name
