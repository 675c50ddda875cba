"""Files of results: reports, tables, pictures; whole or not at all.

Where they will go is checked before the work, so that an hour of training does not end at a typing error.
"""

from __future__ import annotations

import csv
import io
import json
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from napari_convnet.atomic import write_atomically
from napari_convnet.errors import UserError


def write_report(path: Path, report: Mapping[str, Any]) -> None:
    """Write a JSON report."""
    write_atomically(path, (json.dumps(report, indent=2, allow_nan=False) + "\n").encode())


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a CSV table with a header."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    write_atomically(path, text.getvalue().encode())


def tiff_bytes(image: np.ndarray) -> bytes:
    """Return a label image ``(Y, X)`` or ``(Z, Y, X)`` as a compressed TIFF of its own type."""
    import tifffile

    data = io.BytesIO()
    tifffile.imwrite(data, image, compression="zlib", metadata={"axes": "ZYX"[-image.ndim :]})
    return data.getvalue()


def write_tiff(path: Path, image: np.ndarray) -> None:
    """Write a label image ``(Y, X)`` as a compressed TIFF."""
    write_atomically(path, tiff_bytes(image))


def picture_bytes(picture: Image.Image) -> bytes:
    """Return a picture as PNG."""
    data = io.BytesIO()
    picture.save(data, format="PNG")
    return data.getvalue()


def write_picture(path: Path, picture: Image.Image) -> None:
    """Write a picture as PNG."""
    write_atomically(path, picture_bytes(picture))


def check_file(path: Path, n_bytes: int = 0) -> None:
    """Refuse a file name that could not be written, before the work whose result it shall hold.

    Raises
    ------
    UserError
        CN-506 if its folder is missing, CN-312 if it is a folder or a link itself, CN-306 if the
        folder cannot be written to, CN-301 if the disk has less room than twice ``n_bytes``.
    """
    folder = path.absolute().parent
    if not folder.is_dir():
        raise UserError("CN-506", f"There is no folder '{folder}'. Make it, or choose another.")
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise UserError("CN-312", f"'{path}' is a folder or a link. Choose another name.")
    _check_folder(folder, n_bytes)


def make_folder(path: Path, n_bytes: int = 0) -> None:
    """Make a folder for results, or say why it cannot be used (CN-306, CN-301)."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(
            "CN-306", f"The folder '{path}' cannot be made ({reason}). Choose another."
        ) from error
    _check_folder(path, n_bytes)


def _check_folder(folder: Path, n_bytes: int) -> None:
    try:
        with tempfile.TemporaryFile(dir=folder):
            free = shutil.disk_usage(folder).free
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(
            "CN-306", f"Nothing can be written to '{folder}' ({reason}). Choose another folder."
        ) from error
    if free < 2 * n_bytes:
        raise UserError(
            "CN-301",
            f"The disk of '{folder}' is full (needs {2 * n_bytes / 1e6:.1f} MB, {free / 1e6:.1f} MB "
            "free). Nothing was started. Free space or choose another folder.",
        )
