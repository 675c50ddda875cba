"""The sample images that come with the package, for the viewer, for scripts and for tests."""

from __future__ import annotations

import csv
import importlib.resources
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image

from napari_convnet.errors import UserError

LayerData = tuple[np.ndarray, dict[str, Any], str]

_WHAT_TO_DO = "Your own images and projects are not affected. Install napari-convnet again."


@dataclass(frozen=True)
class _Recipe:
    """How a sample's file is to be read; scale and units belong to the axes other than C."""

    file: str
    axes: str
    scale: tuple[float, ...]
    units: tuple[str, ...]


_MICROMETRES = ("micrometer", "micrometer")
_RECIPES = {
    "blood_smear_1": _Recipe("blood_smear_1.png", "YXC", (0.2, 0.2), _MICROMETRES),
    "blood_smear_2": _Recipe("blood_smear_2.png", "YXC", (0.2, 0.2), _MICROMETRES),
    "nuclei_1": _Recipe("nuclei_1.tif", "CYX", (0.325, 0.325), _MICROMETRES),
    "nuclei_2": _Recipe("nuclei_2.tif", "CYX", (0.325, 0.325), _MICROMETRES),
    "bacteria_1": _Recipe("bacteria_1.tif", "YX", (0.08, 0.08), _MICROMETRES),
    "bacteria_2": _Recipe("bacteria_2.tif", "YX", (0.08, 0.08), _MICROMETRES),
    "bead_film": _Recipe("bead_film.tif", "TYX", (2.0, 0.1, 0.1), ("millisecond", *_MICROMETRES)),
    "nuclei_stack": _Recipe("nuclei_stack.tif", "ZYX", (1.0, 0.25, 0.25), ("micrometer",) * 3),
}

#: The names that `read_sample` knows.
SAMPLE_NAMES = tuple(_RECIPES)


@dataclass(frozen=True)
class Sample:
    """A sample image with what is known about it.

    Attributes
    ----------
    image
        uint8 (Y, X, C) for the blood smears, uint8 (Y, X) for bacteria, uint16 for the others.
    axes
        A letter for every axis of ``image``: T time, C channel (or red, green, blue), Z, Y, X.
    labels
        uint16, the shape of ``image`` without C; 0 is background, k the k-th object.
        None where objects have no outlines.
    classes
        The class name of every label; empty where objects have no classes.
    positions
        float64 (T, 2): the bead's y and x in pixels in every frame, (0, 0) being the centre of the
        first pixel; None for other samples.
    scale, units
        Pixel size and unit of every axis except C.
    """

    image: np.ndarray
    axes: str
    labels: np.ndarray | None
    classes: dict[int, str]
    positions: np.ndarray | None
    scale: tuple[float, ...]
    units: tuple[str, ...]


def sample_folder() -> Path:
    """Return the folder with the sample images.

    Raises
    ------
    UserError
        CN-643 if the installed package came without them.
    """
    try:
        folder = Path(
            str(importlib.resources.files("napari_convnet_data").joinpath("sample_images"))
        )
    except ModuleNotFoundError:
        folder = Path("napari_convnet_data", "sample_images")
    if not folder.is_dir():
        raise UserError(
            "CN-643",
            f"The sample images are missing from this installation. {_WHAT_TO_DO}",
            details=f"Expected the folder {folder}.",
        )
    return folder


def read_sample(name: str) -> Sample:
    """Read a sample image and its truth.

    Parameters
    ----------
    name
        One of `SAMPLE_NAMES`.

    Raises
    ------
    UserError
        CN-643 if there is no such sample, or its file is missing.
    """
    if name not in _RECIPES:
        known = ", ".join(SAMPLE_NAMES)
        raise UserError("CN-643", f"There is no sample image '{name}'. Choose one of {known}.")
    recipe, folder = _RECIPES[name], sample_folder()
    labels, classes = folder / f"{name}_cells.tif", folder / f"{name}_classes.csv"
    positions = folder / f"{name}_positions.csv"
    return Sample(
        image=_read_image(folder / recipe.file),
        axes=recipe.axes,
        labels=_read_image(labels) if labels.exists() else None,
        classes=_read_classes(classes) if classes.exists() else {},
        positions=_read_positions(positions) if positions.exists() else None,
        scale=recipe.scale,
        units=recipe.units,
    )


def _read_image(path: Path) -> np.ndarray:
    if not path.exists():
        raise UserError(
            "CN-643",
            f"The sample image '{path.name}' is missing from this installation. {_WHAT_TO_DO}",
            details=f"Expected the file {path}.",
        )
    if path.suffix == ".png":
        with Image.open(path) as picture:
            return np.array(picture)
    return tifffile.imread(path)


def _read_classes(path: Path) -> dict[int, str]:
    with path.open(newline="", encoding="utf-8") as file:
        return {int(row["label"]): row["class"] for row in csv.DictReader(file)}


def _read_positions(path: Path) -> np.ndarray:
    return np.loadtxt(path, delimiter=",", skiprows=1, usecols=(1, 2))


def _placement(sample: Sample) -> dict[str, Any]:
    """Return what places a layer in the world."""
    axis_labels = tuple(axis.lower() for axis in sample.axes if axis != "C")
    return {"scale": sample.scale, "units": sample.units, "axis_labels": axis_labels}


def _image_layer(name: str, sample: Sample, **options: Any) -> LayerData:
    title = name.replace("_", " ")
    return sample.image, {"name": title, **_placement(sample), **options}, "image"


def _cells_layers(sample: Sample) -> list[LayerData]:
    """Return the outlines of the cells, which a person would have from a segmentation."""
    if sample.labels is None:
        return []
    return [(sample.labels, {"name": "cells", "opacity": 0.4, **_placement(sample)}, "labels")]


def _blood_smear(name: str) -> list[LayerData]:
    sample = read_sample(name)
    return [_image_layer(name, sample, rgb=True), *_cells_layers(sample)]


def _nuclei(name: str) -> list[LayerData]:
    sample = read_sample(name)
    options = {"colormap": ["bop blue", "bop orange"], "blending": "additive"}
    layer = _image_layer(name, sample, channel_axis=0, **options)
    layer[1]["name"] = ["DNA", "marker"]
    return [layer, *_cells_layers(sample)]


def open_blood_smear() -> list[LayerData]:
    """Return the first blood smear and its cells as layers."""
    return _blood_smear("blood_smear_1")


def open_blood_smear_2() -> list[LayerData]:
    """Return the second blood smear and its cells as layers."""
    return _blood_smear("blood_smear_2")


def open_nuclei() -> list[LayerData]:
    """Return the first nuclei, one layer a channel, and their outlines as layers."""
    return _nuclei("nuclei_1")


def open_nuclei_2() -> list[LayerData]:
    """Return the second nuclei, one layer a channel, and their outlines as layers."""
    return _nuclei("nuclei_2")


def open_bacteria() -> list[LayerData]:
    """Return the first image of bacteria as a layer."""
    return [_image_layer("bacteria_1", read_sample("bacteria_1"))]


def open_bacteria_2() -> list[LayerData]:
    """Return the second image of bacteria as a layer."""
    return [_image_layer("bacteria_2", read_sample("bacteria_2"))]


def open_bead_film() -> list[LayerData]:
    """Return the film of the spinning bead as a layer."""
    return [_image_layer("bead_film", read_sample("bead_film"))]


def open_nuclei_stack() -> list[LayerData]:
    """Return the z-stack of nuclei as a layer."""
    return [_image_layer("nuclei_stack", read_sample("nuclei_stack"))]
