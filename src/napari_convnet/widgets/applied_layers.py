"""An image of a folder of results as layers: the image, and what a model made of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer

from napari_convnet.widgets.axes import FILE_KEY, file_of
from napari_convnet.widgets.layers import image_data, layer_id, mark_of
from napari_convnet.widgets.many_images_job import OpenedResult
from napari_convnet.widgets.prediction_layers import show_prediction
from napari_convnet.widgets.session import Session
from napari_convnet.widgets.source import PlaneArrays, Source

if TYPE_CHECKING:
    from napari_convnet.model_file import Model


def show_applied(session: Session, model: Model, opened: OpenedResult) -> list[Layer]:
    """Show an image and its result; layers that show them already are used again. Returns all of its layers.

    Raises
    ------
    UserError
        CN-401, CN-403 as `show_prediction`.
    """
    viewer = session.viewer
    images = _image_layers(viewer, opened) or _add_image(viewer, opened)
    cells = _labels_layer(viewer, opened, images[0])
    source = Source(tuple(map(layer_id, images)), layer_id(cells) if cells is not None else "")
    for layer in (*images, *([cells] if cells is not None else [])):
        layer.visible = True
    session.set_source(source)
    found = opened.prediction
    if found is not None:
        shown = found.class_map
        arrays = (
            None if shown is None else PlaneArrays(((shown, "YX", opened.path.name),), None, ())
        )
        show_prediction(session, source, arrays, model, found)
    below = {layer_id(layer) for layer in (*images, cells) if layer is not None}
    results = [layer for layer in viewer.layers if mark_of(layer).get("source") in below]
    for layer in results:
        layer.visible = True
    return [*images, *([cells] if cells is not None else []), *results]


def _image_layers(viewer: ViewerModel, opened: OpenedResult) -> list[Image]:
    """Return the layers that show the image already, if they have its shape."""
    read = opened.read
    axes = read.axes.replace("C", "")
    shape = tuple(read.pixels.shape[read.axes.index(axis)] for axis in axes)
    return [
        layer for layer in viewer.layers
        if isinstance(layer, Image) and file_of(layer) == str(opened.path)
        and image_data(layer).array.shape[: layer.ndim] == shape
    ]  # fmt: skip


def _add_image(viewer: ViewerModel, opened: OpenedResult) -> list[Image]:
    read, path = opened.read, opened.path
    n_axes = len(read.axes.replace("C", ""))
    arguments: dict[str, Any] = {"metadata": {FILE_KEY: str(path)}, **_placement(opened, n_axes)}
    if read.axes.endswith("C"):
        return [viewer.add_image(read.pixels, name=path.stem, rgb=True, **arguments)]
    if "C" not in read.axes:
        return [viewer.add_image(read.pixels, name=path.stem, **arguments)]
    channels = np.moveaxis(read.pixels, read.axes.index("C"), 0)
    return [
        viewer.add_image(channel, name=f"{path.stem} channel {number}", blending="additive", **arguments)
        for number, channel in enumerate(channels, start=1)
    ]  # fmt: skip


def _labels_layer(viewer: ViewerModel, opened: OpenedResult, image: Image) -> Labels | None:
    """Return the layer of the objects that were classified, added if it is not there."""
    if opened.labels is None or opened.read.objects is None:
        return None
    for layer in viewer.layers:
        if isinstance(layer, Labels) and layer.metadata.get(FILE_KEY) == str(opened.labels):
            return layer
    labels = opened.read.objects
    labels = labels if labels.dtype.kind in "iu" else labels.astype(np.uint8)
    return viewer.add_labels(
        labels, name=f"{opened.path.stem} labels", metadata={FILE_KEY: str(opened.labels)},
        scale=image.scale, units=image.units,
    )  # fmt: skip


def _placement(opened: OpenedResult, n_axes: int) -> dict[str, Any]:
    side = opened.read.pixel_size_um
    if side is None:
        return {}
    others = n_axes - 2
    return {
        "scale": (*([1.0] * others), side, side),
        "units": (*(["pixel"] * others), "micrometer", "micrometer"),
    }
