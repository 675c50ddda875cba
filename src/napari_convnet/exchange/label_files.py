"""Label images as files: integer TIFF out, any image file in."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from napari_convnet.errors import UserError
from napari_convnet.exchange.tables import file_error, shown
from napari_convnet.folders import IMAGE_SUFFIXES, read_labels


def label_tiff(labels: np.ndarray) -> bytes:
    """Return labels ``(..., Y, X)`` as a compressed TIFF of the smallest unsigned type that holds them."""
    import tifffile

    largest = int(labels.max(initial=0))
    fitting = next(
        t for t in (np.uint8, np.uint16, np.uint32, np.uint64) if largest <= np.iinfo(t).max
    )
    stream = io.BytesIO()
    tifffile.imwrite(
        stream,
        np.ascontiguousarray(labels, dtype=fitting),
        compression="zlib",
        photometric="minisblack",
        bigtiff=labels.size * np.dtype(fitting).itemsize > 2**31,
    )
    return stream.getvalue()


def read_label_file(path: Path) -> np.ndarray:
    """Read a label image.

    Raises
    ------
    UserError
        CN-651 for a file that is no image or was cut short, CN-611 for values that are no whole numbers.
    """
    try:
        labels = read_labels(Path(path))
    except UserError as error:
        raise file_error(Path(path), "it could not be read as an image", error.details) from error
    if labels.dtype.kind not in "bui":
        raise UserError(
            "CN-611",
            f"'{shown(Path(path).name)}' holds {labels.dtype} values; labels must be whole numbers. "
            "Nothing was imported. Convert it to integers first.",
        )
    return labels


def list_label_files(path: Path) -> list[Path]:
    """Return the image files that a path stands for: itself, or what is in the folder, sorted.

    Raises
    ------
    UserError
        CN-651 if there are none.
    """
    path = Path(path)
    if path.is_file():
        return [path]
    files = [
        file for file in (sorted(path.iterdir()) if path.is_dir() else [])
        if file.suffix.lower() in IMAGE_SUFFIXES and not file.name.startswith(".")
    ]  # fmt: skip
    if not files:
        raise file_error(path, "there are no label images")
    return files
