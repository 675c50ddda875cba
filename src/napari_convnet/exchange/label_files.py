"""Label images as files: integer TIFF out, any image file in."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from napari_convnet.errors import UserError
from napari_convnet.exchange.plan import ImportPlan
from napari_convnet.exchange.tables import file_error, shown
from napari_convnet.folders import IMAGE_SUFFIXES, read_labels

#: Whole numbers beyond this are not exact in any float.
_LARGEST_EXACT = 2**53


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


def read_label_file(path: Path, plan: ImportPlan, converts_decimals: bool) -> np.ndarray:
    """Read a label image of whole numbers.

    Parameters
    ----------
    plan
        Gets a note when values were converted.
    converts_decimals
        Whether whole numbers that are stored as decimals (1.0, 2.0) are taken.

    Raises
    ------
    UserError
        CN-651 for a file that is no image or was cut short, CN-611 for values that are no whole numbers, with
        the first of them and its position, and for decimals that were not to be converted.
    """
    try:
        labels = read_labels(Path(path))
    except UserError as error:
        raise file_error(Path(path), "it could not be read as an image", error.details) from error
    if labels.dtype.kind in "bui":
        return labels
    name = f"'{shown(Path(path).name)}'"
    whole = _whole_numbers(labels, name)
    if not converts_decimals:
        raise UserError(
            "CN-611",
            f"{name} holds {labels.dtype} values, all of them whole numbers. Nothing was imported. To take them as "
            "labels, import it again with 'Convert decimals' (--convert-decimals).",
        )
    plan.notes.append(f"{name}: {labels.dtype} values were converted to whole numbers.")
    return whole


def _whole_numbers(labels: np.ndarray, name: str) -> np.ndarray:
    """Return float labels as int64."""
    is_whole = np.zeros(labels.shape, bool)
    if labels.dtype.kind == "f":
        values = labels.astype(np.float64)
        is_whole = (np.floor(values) == values) & (np.abs(values) <= _LARGEST_EXACT)
    if not is_whole.all():
        position = tuple(int(i) for i in np.unravel_index(int(is_whole.argmin()), labels.shape))
        raise UserError(
            "CN-611",
            f"{name} has the value {labels[position]} at {position}; labels must be whole numbers. Nothing was "
            "imported. Is it an image, or a map of probabilities?",
        )
    return labels.astype(np.int64)


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
