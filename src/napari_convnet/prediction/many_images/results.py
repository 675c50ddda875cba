"""What a model made of one image file: files, lines of the table of all images, one row of the summary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from napari_convnet.images import ImageNote
from napari_convnet.settings import ObjectSettings


@dataclass(frozen=True)
class ApplyOptions:
    """How a model is applied to files.

    Parameters
    ----------
    objects
        How the mask of a segmentation becomes objects.
    orientations
        In how many ways a classifier looks at each picture, see `napari_convnet.prediction.classify_objects`.
    labels
        Folder of label images with the names of the images: their objects are classified, not whole images.
    """

    objects: ObjectSettings = field(default_factory=ObjectSettings)
    orientations: int = 1
    labels: Path | None = None


@dataclass(frozen=True, eq=False)
class ImageResult:
    """What a model made of one image.

    Parameters
    ----------
    summary
        Values of the summary table by column.
    columns, rows
        The image's lines of the table of all images, without the column that names the image.
    files
        Further files by name.
    notes
        What a person should know about the image.
    """

    summary: Mapping[str, Any]
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[Any]] = ()
    files: Mapping[str, bytes] = field(default_factory=dict)
    notes: tuple[ImageNote, ...] = ()


def rows_of(table: Mapping[str, np.ndarray]) -> list[list[Any]]:
    """Return the lines of a table of columns as plain values."""
    return [list(row) for row in zip(*(column.tolist() for column in table.values()), strict=True)]


class ClassColumns:
    """The columns of the summary that count objects and areas by class.

    Parameters
    ----------
    names
        Of all classes.
    background
        Value of the class that forms no objects; 0: there is none.
    """

    def __init__(self, names: Sequence[str], background: int = 0) -> None:
        self._names = list(enumerate(names, start=1))
        self._counted = [(value, name) for value, name in self._names if value != background]
        self.counts = ("objects", *(f"objects {name}" for _, name in self._counted))
        kinds = ("area_pixels", "area_share", "area_physical")
        self.areas = (*(f"{what} {name}" for what in kinds for _, name in self._names), "area_unit")

    def count(self, values: np.ndarray) -> dict[str, int]:
        """Count objects by their class values ``(N,)``."""
        found = {"objects": len(values)}
        return found | {f"objects {name}": int((values == v).sum()) for v, name in self._counted}

    def measure(self, class_map: np.ndarray, pixel_size_um: float | None) -> dict[str, Any]:
        """Measure the area of each class in a class map ``(Y, X)``: pixels, share of the image, micrometres^2."""
        pixels = np.bincount(class_map.ravel(), minlength=len(self._names) + 1)
        found: dict[str, Any] = {}
        for value, name in self._names:
            area = int(pixels[value])
            found |= {f"area_pixels {name}": area, f"area_share {name}": area / class_map.size}
            if pixel_size_um is not None:
                found[f"area_physical {name}"] = area * pixel_size_um**2
        return found if pixel_size_um is None else {**found, "area_unit": "micrometer^2"}
