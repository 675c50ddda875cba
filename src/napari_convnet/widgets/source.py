"""Which layers are worked on: the image's channels and, where there is one, the label layer of its cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer

from napari_convnet.errors import UserError
from napari_convnet.images import CleanImage, LazyPlane, clean_image, is_lazy, join_channels
from napari_convnet.widgets.layers import image_data, layer_id


@dataclass(frozen=True)
class Source:
    """Layers by their ids, so that a value outlives a layer and names may change.

    Parameters
    ----------
    image_ids
        Image layers of the same shape, one or several channels each, in the order of the viewer.
    labels_id
        Label layer with one value for each cell, or "".
    """

    image_ids: tuple[str, ...] = ()
    labels_id: str = ""


@dataclass(frozen=True, eq=False)
class PlaneArrays:
    """Copies of the pixels of one plane, to be given to a worker.

    Parameters
    ----------
    channels
        (pixels, axes, name) of each image layer; axes is ``"YX"`` or ``"YXC"``, pixels an array or a `LazyPlane`.
    labels
        ``(Y, X)`` integers, or None without a label layer.
    plane
        Indices along the axes before Y and X.
    """

    channels: tuple[tuple[np.ndarray | LazyPlane, str, str], ...]
    labels: np.ndarray | None
    plane: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.channels[0][0].shape[:2]

    @property
    def channel_names(self) -> tuple[str, ...]:
        """One name for each channel."""
        names: list[str] = []
        for pixels, axes, name in self.channels:
            if axes == "YXC":
                names += [
                    f"{name} {colour}"[:60]
                    for colour in ("red", "green", "blue")[: pixels.shape[2]]
                ]
            else:
                names.append(name[:60])
        return tuple(names)

    def clean(self) -> CleanImage:
        """Bring the channels into the core's form; for a worker's thread."""
        return join_channels([clean_image(*channel) for channel in self.channels])


def find_by_id(viewer: ViewerModel, identifier: str) -> Layer | None:
    """Return the layer with this id, or None once it is gone."""
    return next((layer for layer in viewer.layers if layer_id(layer) == identifier), None)


def source_layers(viewer: ViewerModel, source: Source) -> tuple[list[Image], Labels | None]:
    """Return the layers of a source.

    Raises
    ------
    UserError
        CN-404 without an image, CN-401 when a layer is gone.
    """
    if not source.image_ids:
        raise UserError(
            "CN-404",
            "There is no image yet. Open one (File > Open) and tick it in the list of images.",
        )
    images = [find_by_id(viewer, identifier) for identifier in source.image_ids]
    labels = find_by_id(viewer, source.labels_id) if source.labels_id else None
    if None in images or (source.labels_id and labels is None):
        raise UserError(
            "CN-401",
            "A layer was removed in the meantime. Nothing else changed. Choose the layers again.",
        )
    return images, labels


def current_plane(viewer: ViewerModel, layer: Layer) -> tuple[int, ...]:
    """Return the indices along a layer's axes before Y and X that the viewer shows now."""
    n_leading = layer.ndim - 2
    if n_leading <= 0:
        return ()
    position = layer.world_to_data(viewer.dims.point)[-layer.ndim :][:n_leading]
    shape = image_data(layer).array.shape
    return tuple(
        int(np.clip(round(float(p)), 0, n - 1)) for p, n in zip(position, shape, strict=False)
    )


def looked_at(viewer: ViewerModel, layer: Layer) -> tuple[float, float]:
    """Return the row and column of a layer that the middle of the view shows."""
    world, displayed = np.array(viewer.dims.point, float), list(viewer.dims.displayed)
    world[displayed] = viewer.scene.camera.center[-len(displayed) :]
    row, column = layer.world_to_data(world)[-2:]
    return float(row), float(column)


def copy_plane(
    viewer: ViewerModel,
    source: Source,
    plane: tuple[int, ...] | None = None,
    *,
    keeps_lazy: bool = False,
) -> PlaneArrays:
    """Copy the pixels of a plane (by default the one shown), so that a worker never reads a layer.

    With ``keeps_lazy``, pixels of a disk or a server become a `LazyPlane`, which the worker reads.

    Raises
    ------
    UserError
        CN-401, CN-404 as `source_layers`; CN-604 when pixels cannot be read; CN-613 when label layer and
        image differ in shape.
    """
    images, labels = source_layers(viewer, source)
    plane = current_plane(viewer, images[0]) if plane is None else plane
    channels = []
    for layer in images:
        found = image_data(layer)
        axes = "YXC" if found.is_rgb else "YX"
        read = LazyPlane if keeps_lazy and is_lazy(found.array) else _read
        channels.append((read(found.array, plane, layer.name), axes, layer.name))
    label_plane = None
    if labels is not None:
        array = image_data(labels).array
        label_plane = _read(array, plane if array.ndim > 2 else (), labels.name)
        if label_plane.shape != channels[0][0].shape[:2]:
            raise UserError(
                "CN-613",
                f"Layer '{labels.name}' has shape {label_plane.shape} but image '{images[0].name}' has "
                f"{channels[0][0].shape[:2]}. Choose labels of this image.",
            )
    return PlaneArrays(tuple(channels), label_plane, plane)


def _read(array: Any, plane: tuple[int, ...], name: str) -> np.ndarray:
    """Copy a plane of what may be read from a disk or a server only now."""
    try:
        return np.array(array[plane])
    except MemoryError:
        raise
    except Exception as error:  # whatever a reader of lazy pixels may raise
        reason = " ".join(str(error).split())[:100] or type(error).__name__
        raise UserError(
            "CN-604",
            f"'{name[:40]}' cannot be read here ({reason}). Your annotations are safe. Check that its file or server "
            "can be reached, then try again.",
        ) from error
