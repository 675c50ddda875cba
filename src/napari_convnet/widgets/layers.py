"""The one module that knows what a layer is: layers in, result layers out, ours found again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer
from napari.types import LayerDataTuple
from napari.utils.colormaps import DirectLabelColormap

from napari_convnet.classes import ClassInfo
from napari_convnet.errors import UserError
from napari_convnet.widgets.object_index import ObjectIndex
from napari_convnet.widgets.placement import Placement, placement_of

#: The key of our mark in ``layer.metadata``; a layer is ours because of it, whatever its name.
MARK = "napari_convnet"

Kind = Literal[
    "annotation-objects",
    "annotation-patches",
    "annotation-positions",
    "painting",
    "predicted-classes",
    "predicted-mask",
    "growing-mask",
    "predicted-objects",
    "predicted-positions",
    "predicted-tracks",
    "compared-first",
    "compared-second",
    "difference",
    "first-labels",
    "first-labels-preview",
    "instant-preview",
    "live-mask",
    "live-uncertainty",
    "next-to-label",
]

_SHORT_UNITS = {
    "micrometer": "µm", "nanometer": "nm", "millimeter": "mm", "meter": "m", "pixel": "px",
    "second": "s", "millisecond": "ms", "minute": "min", "hour": "h",
}  # fmt: skip
_TRANSPARENT = (0.0, 0.0, 0.0, 0.0)
_UNKNOWN_CLASS = "#808080"


@dataclass(frozen=True, eq=False)
class LayerImage:
    """The array behind a layer, as lazy as the layer holds it.

    Parameters
    ----------
    array
        numpy, dask or zarr array of level 0; the last axis is colour when ``is_rgb``.
    is_rgb
        Whether napari shows the last axis (3 or 4 long) as colour.
    axis_labels
        One for each axis but colour.
    n_levels
        How many resolution levels the layer has; 1 unless it is multiscale.
    """

    array: Any
    is_rgb: bool
    axis_labels: tuple[str, ...]
    n_levels: int


def image_data(layer: Image | Labels) -> LayerImage:
    """Return the array of an image or labels layer without reading its voxels.

    ``numpy.asarray`` of a multiscale layer would silently give its *smallest* level.
    """
    return LayerImage(
        array=layer.data[0] if layer.multiscale else layer.data,
        is_rgb=bool(getattr(layer, "rgb", False)),
        axis_labels=tuple(layer.axis_labels),
        n_levels=len(layer.data) if layer.multiscale else 1,
    )


def short_unit(unit: Any) -> str:
    """Return how a unit is written in texts, such as µm."""
    return _SHORT_UNITS.get(str(unit), str(unit))


def layer_id(layer: Layer) -> str:
    """Return what identifies a layer in this session, whatever it is called."""
    return str(layer.unique_id)


def class_colormap(classes: Sequence[ClassInfo]) -> DirectLabelColormap:
    """Return the colours of a class map: 0 transparent, class k its own, anything else grey."""
    colours: dict[int | None, Any] = {None: _UNKNOWN_CLASS, 0: _TRANSPARENT}
    colours.update({k: info.colour for k, info in enumerate(classes, start=1)})
    return DirectLabelColormap(color_dict=colours)


def class_layer_data(
    class_map: np.ndarray,
    classes: Sequence[ClassInfo],
    placement: Placement,
    *,
    name: str,
    kind: Kind,
    source: str,
    provenance: Mapping[str, Any] | None = None,
) -> LayerDataTuple:
    """Describe the layer that shows a class map.

    Parameters
    ----------
    class_map
        Shape ``(Y, X)`` or ``(Z, Y, X)``, uint8: 0 = no class, k = class k.
    classes
        Names and colours of the classes.
    placement
        Of the source, with as many dimensions as the map.
    name
        For a new layer; the person may rename it.
    kind, source
        What the layer is, and of what (`layer_id` or the project's image); both find it again.
    provenance
        Further facts for the layer's mark, such as the model's name.
    """
    if class_map.dtype != np.uint8:
        raise TypeError(f"a class map is uint8, not {class_map.dtype}")
    arguments = _labels_arguments(placement, class_map, name, kind, source, provenance)
    arguments["metadata"][MARK] |= {
        "classes": [info.name for info in classes],
        "colours": [info.colour for info in classes],
    }
    return class_map, {**arguments, "colormap": class_colormap(classes), "opacity": 0.5}, "labels"


def objects_layer_data(
    labels: np.ndarray,
    placement: Placement,
    *,
    name: str,
    kind: Kind,
    source: str,
    provenance: Mapping[str, Any] | None = None,
) -> LayerDataTuple:
    """Describe the layer that shows objects, one label each, shape ``(Y, X)`` or ``(Z, Y, X)``.

    The other parameters are those of `class_layer_data`.
    """
    arguments = _labels_arguments(placement, labels, name, kind, source, provenance)
    return labels, arguments, "labels"


def mark_of(layer: Layer) -> Mapping[str, Any]:
    """Return what we noted on a layer: kind, source and provenance; empty if it is not ours."""
    mark = layer.metadata.get(MARK, {})
    return mark if isinstance(mark, Mapping) else {}


def find_layer(viewer: ViewerModel, kind: Kind, source: str) -> Layer | None:
    """Return our layer of this kind for this source, or None."""
    for layer in viewer.layers:
        mark = mark_of(layer)
        if mark.get("kind") == kind and mark.get("source") == source:
            return layer
    return None


def add_below_strokes(viewer: ViewerModel, source: str, add: Callable[[], Layer]) -> Layer:
    """Add a layer that nobody edits below the strokes on its image, if there are any; the selection stays."""
    layers = viewer.layers
    selected = set(layers.selection)
    strokes = find_layer(viewer, "painting", source)
    layer = add()
    layer.editable = False
    if strokes is not None:
        layers.move(layers.index(layer), layers.index(strokes))
    layers.selection = selected
    return layer


def add_or_update(viewer: ViewerModel, layer_data: LayerDataTuple) -> Layer:
    """Show a result: in our own layer if there is one, else in a new one.

    The name, visibility and opacity that the person chose stay, and so does their own metadata.

    Raises
    ------
    UserError
        CN-403 if our layer is locked.
    """
    data, arguments, layer_type = layer_data
    mark = arguments["metadata"][MARK]
    layer = find_layer(viewer, mark["kind"], mark["source"])
    if layer is None:
        return getattr(viewer, f"add_{layer_type}")(data, **arguments)
    if layer.locked:
        raise UserError(
            "CN-403",
            f"Layer '{layer.name}' is locked, so the new result is not shown. Nothing was changed. "
            "Unlock it in the layer list and try again.",
        )
    layer.data = data
    # Each of these draws the layer again, so only what differs is set.
    for name, value in placement_of(layer).as_arguments().items():
        if not np.array_equal(value, arguments[name]):
            setattr(layer, name, arguments[name])
    if mark.get("colours") != mark_of(layer).get("colours"):
        layer.colormap = arguments["colormap"]
    layer.metadata = {**layer.metadata, MARK: mark}
    return layer


def show_class_colours(layer: Labels, classes: Sequence[ClassInfo]) -> None:
    """Colour our class map by other classes; a new colour map is dear, so only if a colour changed."""
    mark = mark_of(layer)
    colours = [info.colour for info in classes]
    if mark.get("colours") != colours:
        layer.colormap = class_colormap(classes)
        layer.metadata = {**layer.metadata, MARK: {**mark, "colours": colours}}


def set_object_features(layer: Labels, table: Mapping[str, Sequence[Any]] | pd.DataFrame) -> None:
    """Put facts about objects into a labels layer's own table, which napari shows.

    Parameters
    ----------
    layer
        Its columns that are not in ``table`` are kept.
    table
        Columns of equal length; ``index`` holds the label values.
    """
    new = pd.DataFrame(table)
    old = pd.DataFrame(layer.features)
    if "index" not in old:
        old.insert(0, "index", np.arange(len(old)))  # napari's rule: row k belongs to label k
    kept = old[[name for name in old if name == "index" or name not in new]]
    how = "outer" if len(kept.columns) > 1 else "right"  # rows of nothing but an index are dropped
    layer.features = kept.drop_duplicates("index").merge(new, on="index", how=how, sort=True)


def paint_label_voxels(
    class_layer: Labels,
    objects: ObjectIndex,
    chosen: Sequence[int],
    labels: np.ndarray,
    class_number: int,
) -> None:
    """Give objects their class in the class layer, drawn once; class 0 means none.

    ``labels`` is the image with the objects, of the class layer's shape.
    """
    pixels = [objects.pixels(label, labels) for label in chosen]
    together = tuple(np.concatenate(axis) for axis in zip(*pixels, strict=True))
    class_layer.data_setitem(together, class_number)


def _labels_arguments(
    placement: Placement,
    data: np.ndarray,
    name: str,
    kind: Kind,
    source: str,
    provenance: Mapping[str, Any] | None,
) -> dict[str, Any]:
    if data.ndim != placement.ndim:
        raise ValueError(f"{data.ndim}-D data and a placement of {placement.ndim} dimensions")
    mark = {**(provenance or {}), "kind": kind, "source": source}
    return {"name": name, **placement.as_arguments(), "metadata": {MARK: mark}}
