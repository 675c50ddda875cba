"""Files of z-stacks read as slices in the core's form."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from napari_convnet.errors import UserError
from napari_convnet.folders.reading import read_array
from napari_convnet.images import CleanImage, clean_image

#: First axes of three that a file may name and that are not depth: channels, time and samples of a colour.
_NOT_DEPTH = ("C", "T", "S")


def read_stack(path: Path) -> list[CleanImage]:
    """Read a file of several slices; of four axes, the file has to name which are channels and which depth.

    Three axes are taken as ZYX unless the file says that the first one is channels or time.

    Raises
    ------
    UserError
        CN-634 when it cannot be read, CN-677 when it is no stack, CN-60x when its pixels cannot be used.
    """
    array, axes = read_array(path)
    if array.ndim == 4 and sorted(axes) == sorted("ZCYX"):
        array = np.moveaxis(array, [axes.index(letter) for letter in "ZCYX"], range(4))
        return [clean_image(plane, "CYX", _name(path, z)) for z, plane in enumerate(array)]
    if array.ndim != 3 or axes == "YXC" or axes[:1] in _NOT_DEPTH:
        raise UserError(
            "CN-677",
            f"'{Path(path).name}' is no stack of slices: its shape is {array.shape} ({axes}). Nothing was changed. "
            "Give TIFF files with the axes ZYX or ZCYX, or use a network of single images.",
        )
    return [clean_image(plane, "YX", _name(path, z)) for z, plane in enumerate(array)]


def read_label_stack(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """Read the labels ``(Z, Y, X)`` of a stack of this shape.

    Raises
    ------
    UserError
        CN-613 when they have another shape or are no whole numbers, CN-634 when the file cannot be read.
    """
    labels, _ = read_array(path, keeps_palette=True)
    if labels.shape != tuple(shape) or labels.dtype.kind not in "iub":
        raise UserError(
            "CN-613",
            f"'{Path(path).name}' has shape {labels.shape} and type {labels.dtype}, its stack {tuple(shape)}. Give "
            "whole numbers, one for each voxel.",
        )
    return labels


def _name(path: Path, number: int) -> str:
    return f"{Path(path).name}, slice {number + 1}"
