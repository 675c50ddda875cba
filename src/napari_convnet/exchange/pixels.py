"""Where an export finds pixels: arrays that are open in a viewer, else the files of the images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from napari_convnet.errors import UserError
from napari_convnet.exchange.matching import leading_axes, plane_shape
from napari_convnet.exchange.tables import shown
from napari_convnet.folders import IMAGE_SUFFIXES, read_array, read_labels
from napari_convnet.project import ImageRecord

# `find_objects` makes a list as long as the largest label.
_LARGEST_DIRECT_LABEL = 1_000_000


@dataclass(eq=False)
class Pixels:
    """Images and label images by the project's ids.

    Parameters
    ----------
    arrays
        Pixels of images that are open, by image id; numpy, dask or zarr.
    labels
        Label images that are open, by image id and name of the label layer.
    label_places
        Files of label images, or folders of them, whose stems are the names of the label layers or
        of the images.
    """

    arrays: Mapping[int, Any] = field(default_factory=dict)
    labels: Mapping[tuple[int, str], Any] = field(default_factory=dict)
    label_places: Sequence[Path] = ()

    def __post_init__(self) -> None:
        self._last: tuple[int, Any] | None = None

    def plane(self, image: ImageRecord, plane: Sequence[int]) -> np.ndarray:
        """Return one plane of an image as ``(C, Y, X)`` in the dtype of the image.

        Raises
        ------
        UserError
            CN-660 if the file is missing, another image or not readable.
        """
        array = self._array(image)
        indices = iter(plane)
        index = tuple(slice(None) if letter in "CYX" else next(indices) for letter in image.axes)
        pixels = np.asarray(array[index])
        kept = [letter for letter in image.axes if letter in "CYX"]
        return np.moveaxis(pixels, kept.index("C"), 0) if "C" in kept else pixels[np.newaxis]

    def _array(self, image: ImageRecord) -> Any:
        if image.id in self.arrays:
            return self.arrays[image.id]
        if self._last is not None and self._last[0] == image.id:
            return self._last[1]
        if not image.source or not Path(image.source).is_file():
            raise UserError(
                "CN-660",
                f"The pixels of '{shown(image.name)}' are needed, but its file "
                f"'{shown(image.source or 'unknown', 100)}' is not there. Nothing was exported. "
                "Open the image, or put the file back.",
            )
        array, _ = read_array(Path(image.source))
        if tuple(array.shape) != tuple(image.shape):
            raise UserError(
                "CN-660",
                f"'{shown(image.source, 100)}' has shape {array.shape}, but the project knows it "
                f"as {image.shape}. Nothing was exported. Is it another image?",
            )
        self._last = image.id, array
        return array

    def label_image(self, image: ImageRecord, labels_name: str) -> np.ndarray | None:
        """Return a label image ``(..., Y, X)`` of an image, or None if there is none to be found.

        Raises
        ------
        UserError
            CN-613 if it has another shape than the image.
        """
        array = self.labels.get((image.id, labels_name))
        name = labels_name
        if array is None:
            file = self._label_file(image, labels_name)
            if file is None:
                return None
            array, name = read_labels(file), file.name
        return check_label_image(np.asarray(array), image, name)

    def _label_file(self, image: ImageRecord, labels_name: str) -> Path | None:
        stems = (labels_name, Path(image.source or image.name).stem, image.name)
        for place in map(Path, self.label_places):
            if place.is_file() and (len(self.label_places) == 1 or place.stem in stems):
                return place
            if place.is_dir():
                files = {
                    file.stem: file
                    for file in sorted(place.iterdir())
                    if file.suffix.lower() in IMAGE_SUFFIXES
                }
                for stem in stems:
                    if stem in files:
                        return files[stem]
        return None


def check_label_image(labels: np.ndarray, image: ImageRecord, name: str) -> np.ndarray:
    """Return a label image in the form ``(..., Y, X)``, int64 where needed.

    Raises
    ------
    UserError
        CN-611 for labels that are no whole numbers, CN-612 for negative ones, CN-613 for another
        shape than the image's.
    """
    expected = (*leading_axes(image), *plane_shape(image))
    if labels.dtype.kind not in "bui":
        raise UserError(
            "CN-611",
            f"'{shown(name)}' holds {labels.dtype} values; labels must be whole numbers. "
            "Nothing was changed.",
        )
    if labels.shape != expected:
        raise UserError(
            "CN-613",
            f"'{shown(name)}' has shape {labels.shape} but image '{shown(image.name)}' has "
            f"{expected}. Nothing was changed. Choose labels of this image.",
        )
    if labels.dtype.kind == "i" and labels.size and labels.min() < 0:
        raise UserError(
            "CN-612", f"'{shown(name)}' has the negative value {labels.min()}. Labels start at 0."
        )
    labels = labels.astype(np.uint8) if labels.dtype.kind == "b" else labels
    return labels.astype(labels.dtype.newbyteorder("="), copy=False)


@dataclass(frozen=True)
class FoundObject:
    """One object of a label image.

    Parameters
    ----------
    plane
        Indices along the axes before Y and X of the plane that shows most of it.
    centre
        (y, x) of the middle of its box, as the project keeps it.
    centroid
        Mean position along every axis, in pixels.
    area
        Number of pixels (voxels in a stack).
    box
        One slice for each axis.
    """

    plane: tuple[int, ...]
    centre: tuple[float, float]
    centroid: tuple[float, ...]
    area: int
    box: tuple[slice, ...]


def find_label_objects(labels: np.ndarray) -> dict[int, FoundObject]:
    """Return the objects of a label image ``(..., Y, X)`` by label."""
    numbers, names = labels.astype(np.int64) if labels.dtype == np.uint64 else labels, None
    if labels.size and int(labels.max()) > _LARGEST_DIRECT_LABEL:
        names, numbers = np.unique(labels, return_inverse=True)
        numbers = numbers.reshape(labels.shape) + (0 if names[0] == 0 else 1)
        names = names if names[0] == 0 else np.concatenate([[0], names])
    found: dict[int, FoundObject] = {}
    for number, box in enumerate(ndimage.find_objects(numbers), start=1):
        if box is None:
            continue
        inside = np.nonzero(numbers[box] == number)
        leading = [axis + part.start for axis, part in zip(inside[:-2], box[:-2], strict=True)]
        plane: tuple[int, ...] = ()
        if leading:
            planes, counts = np.unique(np.stack(leading), axis=1, return_counts=True)
            plane = tuple(int(i) for i in planes[:, counts.argmax()])
        label = number if names is None else int(names[number])
        found[label] = FoundObject(
            plane,
            ((box[-2].start + box[-2].stop - 1) / 2, (box[-1].start + box[-1].stop - 1) / 2),
            tuple(float(axis.mean()) + part.start for axis, part in zip(inside, box, strict=True)),
            len(inside[0]),
            box,
        )
    return found
