"""Annotated images that are not open: read from their files by the worker, when training needs them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_convnet.errors import UserError
from napari_convnet.images import CleanImage
from napari_convnet.project import ImageRecord, content_hash
from napari_convnet.widgets.arrangement import possible_images
from napari_convnet.widgets.source import PlaneArrays


@dataclass(frozen=True, eq=False)
class FilePlane:
    """A plane of an image file, with what training asks of a `PlaneArrays`.

    Parameters
    ----------
    image
        What the project knows of the image; its ``source`` is the file.
    plane
        Indices along the axes before Y and X.
    """

    image: ImageRecord
    plane: tuple[int, ...]
    labels: None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        start = len(self.plane)
        return self.image.shape[start : start + 2]

    def clean(self) -> CleanImage:
        """Read the pixels and bring them into the core's form; for a worker's thread.

        Raises
        ------
        UserError
            CN-627 when the file cannot be read or shows another image than the annotated one.
        """
        return self.cut(_read_images(self.image))

    def cut(self, layers: list[tuple]) -> CleanImage:
        """Take the plane out of the file's layers (array, name)."""
        is_rgb = self.image.axes.endswith("C")
        axes = "YXC" if is_rgb else "YX"
        channels = tuple(
            (np.asarray(array[self.plane] if self.plane else array), axes, name)
            for array, name in layers
        )
        return PlaneArrays(channels, None, self.plane).clean()


def read_planes(planes: Sequence[PlaneArrays | FilePlane]) -> list[CleanImage]:
    """Bring planes into the core's form, one after the other; each file is opened and checked once.

    Raises
    ------
    UserError
        CN-627, see `FilePlane.clean`.
    """
    files: dict[int, list[tuple]] = {}
    found = []
    for plane in planes:
        if isinstance(plane, PlaneArrays):
            found.append(plane.clean())
            continue
        if plane.image.id not in files:
            files = {
                plane.image.id: _read_images(plane.image)
            }  # planes of an image follow each other
        found.append(plane.cut(files[plane.image.id]))
    return found


def is_there(image: ImageRecord) -> bool:
    """Return whether an image's file can be looked for: it exists, or it has an address."""
    return "://" in image.source or os.path.exists(image.source)


def read_image_layers(source: str) -> list[tuple[Any, dict[str, Any]]]:
    """Return array and arguments of each image layer that napari would make of a file; of each level, finest first.

    Whatever a reader raises is passed on; readers are code of anyone's.
    """
    import npe2

    found = []
    for layer in npe2.read([source], stack=False):
        data, arguments, kind = (*layer, {}, "image")[:3] if len(layer) < 3 else layer
        if kind == "image" and data is not None:
            arguments = arguments or {}
            is_levels = arguments.get("multiscale") or isinstance(data, list | tuple)
            found += [(level, arguments) for level in (data if is_levels else [data])]
    return found


def _read_images(image: ImageRecord) -> list[tuple]:
    """Return (array, name) of the file's image layers that are channels of the annotated image."""
    try:
        found = read_image_layers(image.source)
    except Exception as error:
        raise _changed(image, f"could not be read ({error})") from error
    images = [(array, str(arguments.get("name", image.name))) for array, arguments in found]
    alike = [(array, name) for array, name in images if tuple(array.shape) == image.shape]
    for fitting in (alike, *_parts(images, image.shape)):
        if any(content_hash(array) == image.content_hash for array, _ in fitting):
            return fitting
    raise _changed(image, "holds other pixels than when it was annotated")


def _parts(images: list[tuple], shape: tuple[int, ...]) -> Iterator[list[tuple]]:
    """Yield what is in stacks, such as channels, for each meaning that their axes may have."""
    for array, name in images:
        for parts in possible_images(array, shape):
            yield [(part, f"{name} channel {k}") for k, part in enumerate(parts, start=1)]


def _changed(image: ImageRecord, what: str) -> UserError:
    return UserError(
        "CN-627",
        f"The file of the annotated image '{image.name[:60]}', '{image.source[-90:]}', {what}. Your annotations "
        "are safe. Open the right file in napari, or set the image's split to test so that it is left out.",
    )
