"""The name of a project that nobody named: its first image and the time."""

from __future__ import annotations

import re
import zlib
from datetime import datetime
from itertools import count
from pathlib import Path

#: What some file system does not take, and dots, with which a name may begin to be hidden.
_UNSAFE = re.compile(r"[^\w +=,;@()-]+")
_LONGEST = 40


def result_path(
    project: Path | None, folder: Path, image_name: str, image_id: str, plane: tuple[int, ...]
) -> Path:
    """Return where a mask goes that does not fit into the memory: beside the project, without one into a folder.

    ``image_id`` tells images of one name apart, so that none takes the place of another's mask.
    """
    image = _UNSAFE.sub("_", image_name).strip("_ ")[:_LONGEST].strip() or "image"
    image = f"{image} {zlib.crc32(image_id.encode()):08x}"
    where = "".join(f" {index}" for index in plane)
    if project is None:
        return folder / f"{image}{where} mask.zarr"
    return project.with_name(f"{project.stem} {image}{where} mask.zarr")


def unnamed_path(folder: Path, image_name: str, now: datetime) -> Path:
    """Return the path of a project file that is not there yet, such as ``smear 3 2026-11-21 15.04.convnet``."""
    image = _UNSAFE.sub("_", image_name).strip("_ ")[:_LONGEST].strip()
    stem = f"{image} {now:%Y-%m-%d %H.%M}".strip()
    names = (f"{stem}{f' ({number})' if number > 1 else ''}.convnet" for number in count(1))
    return next(folder / name for name in names if not (folder / name).exists())
