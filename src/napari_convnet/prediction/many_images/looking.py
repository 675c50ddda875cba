"""One image of a folder of results read again, to be looked at."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_convnet.errors import UserError
from napari_convnet.folders import pixel_size_um, read_array, read_labels
from napari_convnet.folders.inputs import RESULTS_MARK
from napari_convnet.model_file import Model
from napari_convnet.prediction.many_images.sources import FrameFolder, takes_films


@dataclass(frozen=True, eq=False)
class AppliedResult:
    """An image, and what a model made of it.

    Parameters
    ----------
    pixels, axes
        As they are in the file, and one letter for each axis: Y, X, C (channels or colours), T (frames).
    pixel_size_um
        Side of a pixel in micrometres, if the file says so.
    class_map, objects
        ``(Y, X)`` class values and labels of objects, if there are any.
    columns, rows
        The image's lines of the table of all images.
    """

    pixels: np.ndarray
    axes: str
    pixel_size_um: float | None
    class_map: np.ndarray | None
    objects: np.ndarray | None
    columns: list[str]
    rows: list[list[Any]]


def read_result(
    model: Model, path: Path, folder: Path, labels: Path | None = None
) -> AppliedResult:
    """Read an image and its result.

    Parameters
    ----------
    model
        That was applied.
    path
        The image.
    folder
        The folder of results.
    labels
        The image of the objects that were classified, if there is one.

    Raises
    ------
    UserError
        CN-634 for a file that cannot be read any more, CN-649 if there is no result of this image.
    """
    line = _line_of(path, folder)
    pixels, axes = _read_pixels(model, path)
    first = FrameFolder(path).files[0] if path.is_dir() else path
    class_map, objects = (
        _read_if_named(folder, f"{path.stem}_{what}.tif", line["files"])
        for what in ("classes", "objects")
    )
    if labels is not None:
        objects = read_labels(labels)
    return AppliedResult(
        pixels, axes, pixel_size_um(first), class_map, objects, line["columns"], line["rows"]
    )


def _read_if_named(folder: Path, name: str, files: Sequence[str]) -> np.ndarray | None:
    """Read a file that this result consists of; another model may have left one of that name."""
    if name not in files:
        return None
    if not (folder / name).is_file():
        raise _gone(name, folder)
    return read_labels(folder / name)


def _gone(name: str, folder: Path) -> UserError:
    text = f"There is no result of '{name}' in '{folder}' any more. Apply the model again."
    return UserError("CN-649", text)


def _read_pixels(model: Model, path: Path) -> tuple[np.ndarray, str]:
    if path.is_dir():
        frames = [read_array(file) for file in FrameFolder(path).files]
        return np.stack([array for array, _ in frames]), f"T{frames[0][1]}"
    array, axes = read_array(path)
    if array.ndim == 2 or axes == "YXC" or (axes == "CYX" and not takes_films(model)):
        return array, axes
    if array.ndim == 4:
        return array, "TYXC" if array.shape[-1] in (3, 4) else "TCYX"
    return array, "TYX"


def _line_of(path: Path, folder: Path) -> dict[str, Any]:
    """Return what the journal says of an image: the last that was written."""
    begin = json.dumps({"image": str(path.resolve())}, ensure_ascii=False).encode()[:-1] + b","
    found = None
    try:
        with (folder / RESULTS_MARK).open("rb") as file:
            for raw in file:
                if raw.startswith(begin) and raw.endswith(b"\n"):
                    found = raw
    except OSError:
        found = None
    if found is None:
        raise _gone(path.name, folder)
    return json.loads(found)
