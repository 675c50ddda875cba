"""Image files read into the core's form."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from napari_convnet.errors import UserError
from napari_convnet.images import CleanImage, clean_image

#: File types that are read.
IMAGE_SUFFIXES = (".tif", ".tiff", ".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp")

#: What Pillow and tifffile raise for files that are damaged or no images.
_READING_ERRORS = (
    OSError,
    ValueError,
    SyntaxError,
    KeyError,
    IndexError,
    TypeError,
    EOFError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)


def shown_name(name: str) -> str:
    """Return a file's name as a report may show it: at most 60 characters, none of them special."""
    return "".join(c if c.isprintable() and c not in "<>" else "_" for c in name)[:60]


def list_images(folder: Path) -> list[Path]:
    """Return the image files directly in a folder, sorted; hidden files are left out.

    Raises
    ------
    UserError
        CN-631 when there is no such folder.
    """
    if not folder.is_dir():
        raise UserError("CN-631", f"There is no folder '{folder}'. Check the path.")
    return sorted(
        path for path in folder.iterdir()
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".") and path.is_file()
    )  # fmt: skip


def read_image(path: Path) -> CleanImage:
    """Read an image file of one plane into the core's form.

    Raises
    ------
    UserError
        CN-634 when it cannot be read, CN-60x when its pixels cannot be used.
    """
    array, axes = read_array(path)
    return clean_image(array, axes, Path(path).name)


def read_labels(path: Path) -> np.ndarray:
    """Read a label image ``(Y, X)``; a grey image that was saved in colour is taken back to grey.

    Raises
    ------
    UserError
        CN-634 when the file cannot be read.
    """
    array, axes = read_array(path, keeps_palette=True)
    if axes == "YXC" and (array[..., :3] == array[..., :1]).all():
        return array[..., 0]
    return array[0] if axes == "CYX" and len(array) == 1 else array


def read_array(path: Path, *, keeps_palette: bool = False) -> tuple[np.ndarray, str]:
    """Read a file's pixels as they are, and the letters of its axes.

    Parameters
    ----------
    path
        Image file.
    keeps_palette
        Whether a picture with a colour table gives its indices (labels) instead of its colours.

    Raises
    ------
    UserError
        CN-634 when the file cannot be read.
    """
    path = Path(path)
    read = _read_tiff if path.suffix.lower() in (".tif", ".tiff") else _read_picture
    try:
        return read(path, keeps_palette)
    except _READING_ERRORS as error:
        raise UserError(
            "CN-634",
            f"'{path.name}' could not be read as an image. Open it elsewhere to check it, or remove it.",
            details=f"{path}: {error}",
        ) from error


def _read_tiff(path: Path, keeps_palette: bool) -> tuple[np.ndarray, str]:
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            series = file.series[0]
            return _with_axes(series.asarray(), series.axes)
    except (tifffile.TiffFileError, IndexError, ValueError):
        # Pillow brings decoders (LZW, JPEG) that tifffile has only together with imagecodecs.
        return _read_picture(path, keeps_palette)


def _read_picture(path: Path, keeps_palette: bool) -> tuple[np.ndarray, str]:
    with Image.open(path) as picture:
        if picture.mode == "LA":
            picture = picture.convert("L")
        elif picture.mode in ("CMYK", "YCbCr", "PA") or (picture.mode == "P" and not keeps_palette):
            picture = picture.convert("RGB")
        return _with_axes(np.asarray(picture), "")


def _with_axes(array: np.ndarray, axes: str) -> tuple[np.ndarray, str]:
    array = np.squeeze(array) if array.ndim > 3 else array
    if array.ndim == 2:
        return array, "YX"
    if array.ndim == 3 and (
        axes.endswith("S") or (not axes.startswith("C") and array.shape[-1] in (3, 4))
    ):
        return array, "YXC"
    if array.ndim == 3 and (axes.startswith("C") or array.shape[0] <= 8):
        return array, "CYX"
    return array, axes or "?" * array.ndim
