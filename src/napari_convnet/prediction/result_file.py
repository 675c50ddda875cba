"""A result too large for the memory: a zarr folder of classes and objects, written tile by tile at several sizes.

It is written beside its place and put there by a rename, so that a kill leaves the old result, the new one, or both.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from napari_convnet.errors import UserError
from napari_convnet.prediction.tiles import Window

#: The key of our mark in the folder's attributes: only folders that carry it are replaced or removed.
MARK = "napari_convnet"
#: Smaller copies are made until the longer side has at most this many pixels.
_SMALLEST_LEVEL = 1024
#: What a folder of zarr holds: descriptions, and blocks of pixels by their number.
_ZARR_NAME = re.compile(r"zarr\.json|\d+")
_TYPES = {"classes": "uint8", "objects": "int32"}


class ResultFile:
    """Classes ``(Y, X)`` uint8 and objects ``(Y, X)`` int32 of an image in a zarr folder.

    Each is an OME-Zarr 0.5 image of several levels, every one half as large as the one before.

    Parameters
    ----------
    path
        The folder. A result of this program there is replaced when the new one is finished.
    shape
        ``(Y, X)`` of the image.
    chunk
        Side of the blocks in pixels; those of the tiles are written fastest.
    facts
        What is noted in the folder: plain values.

    Raises
    ------
    UserError
        CN-312 if there is something else at the path, CN-301 if it cannot be written, CN-605 without zarr.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        shape: tuple[int, int],
        chunk: int,
        facts: Mapping[str, Any],
    ) -> None:
        self.path, self.shape = Path(os.path.abspath(path)), shape
        self._part = self.path.with_name(self.path.name + ".part")
        self._facts = dict(facts)
        for folder in (self.path, self._part):
            if os.path.lexists(folder) and not is_result(folder):
                raise _in_the_way(folder)
        try:
            _remove(self._part)
            self._group = _zarr().open_group(self._part, mode="w-", attributes={MARK: self._facts})
            self._levels = {kind: self._make_levels(kind, chunk) for kind in _TYPES}
        except (OSError, ValueError) as error:
            raise self._not_written(error) from error

    def levels(self, kind: str) -> tuple[Any, ...]:
        """Return the zarr arrays of ``"classes"`` or ``"objects"``, the full size first."""
        return self._levels[kind]

    def write(self, kind: str, window: Window, pixels: np.ndarray) -> None:
        """Write a part of the image, at all sizes.

        Raises
        ------
        UserError
            CN-301 when the disk refuses, for example because it is full.
        """
        try:
            for number, level in enumerate(self._levels[kind]):
                step = 2**number
                first = [-(-span.start // step) for span in window]
                part = pixels[
                    tuple(
                        slice(f * step - s.start, None, step)
                        for f, s in zip(first, window, strict=True)
                    )
                ]
                if part.size:
                    into = (slice(f, f + n) for f, n in zip(first, part.shape, strict=True))
                    level[tuple(into)] = part
        except OSError as error:
            raise self._not_written(error) from error

    def finish(self, facts: Mapping[str, Any]) -> None:
        """Note how it ended and put the result in its place, instead of an older one."""
        old = self.path.with_name(self.path.name + ".old")
        try:
            self._group.attrs[MARK] = {**self._facts, **facts}
            if is_result(self.path):
                _remove(old)
                os.rename(self.path, old)
            os.rename(self._part, self.path)
        except OSError as error:
            raise self._not_written(error) from error
        _remove(old)
        self._levels = {kind: open_levels(self.path, kind) for kind in _TYPES}

    def discard(self) -> None:
        """Remove what was written; an older result stays."""
        _remove(self._part)

    def _make_levels(self, kind: str, chunk: int) -> tuple[Any, ...]:
        n_levels = 1
        while max(self.shape) > _SMALLEST_LEVEL * 2 ** (n_levels - 1):
            n_levels += 1
        group = self._group.create_group(kind, attributes={"ome": _ome(kind, n_levels)})
        return tuple(
            group.create_array(
                str(number), shape=shape, chunks=tuple(min(chunk, side) for side in shape),
                dtype=_TYPES[kind], dimension_names=("y", "x"),
            )
            for number in range(n_levels)
            for shape in [tuple(-(-side // 2**number) for side in self.shape)]
        )  # fmt: skip

    def _not_written(self, error: Exception) -> UserError:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())[:80]
        return UserError(
            "CN-301",
            f"The result '{self.path.name[-60:]}' cannot be written ({reason}). An older one is as it was. Free space "
            "on that disk, or choose another folder, and predict again.",
            str(error),
        )


def is_result(folder: Path) -> bool:
    """Return whether a folder is a result of this program."""
    if folder.is_symlink() or not folder.is_dir():
        return False
    try:
        return MARK in _zarr().open_group(folder, mode="r").attrs
    except (OSError, ValueError, KeyError, TypeError):
        return False


def open_levels(path: Path, kind: str) -> tuple[Any, ...]:
    """Return the levels of a result's ``"classes"`` or ``"objects"``, for reading, the full size first."""
    group = _zarr().open_group(path, mode="r", path=kind)
    return tuple(group[str(number)] for number in range(len(list(group.array_keys()))))


def _remove(folder: Path) -> None:
    """Remove a result and nothing else: files of zarr in a folder with our mark; whatever else is there stays."""
    if not is_result(folder):
        return
    marked = folder / "zarr.json"
    for place, _, names in os.walk(folder, topdown=False):
        for name in names:
            file = Path(place, name)
            if _ZARR_NAME.fullmatch(name) and file != marked and not file.is_symlink():
                file.unlink()
        if Path(place) != folder:
            with suppress(OSError):
                os.rmdir(place)
    if os.listdir(folder) == [
        marked.name
    ]:  # the mark goes last: a kill before leaves it to the next removal
        marked.unlink()
        os.rmdir(folder)


def _ome(kind: str, n_levels: int) -> dict[str, Any]:
    axes = [{"name": name, "type": "space"} for name in "yx"]
    datasets = [
        {
            "path": str(n),
            "coordinateTransformations": [{"type": "scale", "scale": [2.0**n, 2.0**n]}],
        }
        for n in range(n_levels)
    ]
    return {
        "version": "0.5", "image-label": {},
        "multiscales": [{"name": kind, "axes": axes, "datasets": datasets}],
    }  # fmt: skip


def _in_the_way(folder: Path) -> UserError:
    return UserError(
        "CN-312",
        f"'{folder.name[-80:]}' is there already and is no result of this program, so it was not replaced. Nothing "
        "was changed. Move it, or choose another name.",
    )


def _zarr() -> Any:
    try:
        import zarr  # comes with napari[all]
    except ImportError as error:
        raise UserError(
            "CN-605",
            "The result does not fit into the memory, and to write it to a file takes the package zarr. Nothing was "
            "changed. Install it (pip install zarr), crop the image, or use a lower resolution of it.",
        ) from error
    return zarr
