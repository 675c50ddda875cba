"""The layers of a comparison: both models' answers, and on top where they differ."""

from __future__ import annotations

import numpy as np
from napari.components import ViewerModel
from napari.layers import Labels, Layer
from napari.utils.colormaps import DirectLabelColormap

from napari_convnet.classes import ClassInfo
from napari_convnet.errors import UserError
from napari_convnet.widgets.comparison_job import Compared
from napari_convnet.widgets.layers import (
    Kind,
    add_or_update,
    class_layer_data,
    find_layer,
    image_data,
    layer_id,
    mark_of,
    set_object_features,
)
from napari_convnet.widgets.placement import placement_of
from napari_convnet.widgets.position_layers import refuse_locked

KINDS: tuple[Kind, ...] = ("compared-first", "compared-second", "difference")
#: Results that would cover the differences.
_RESULTS = ("predicted-mask", "predicted-objects", "predicted-classes")
_TRANSPARENT = (0.0, 0.0, 0.0, 0.0)
#: What is the same has no colour, so that the image can be seen there.
_THE_SAME = ClassInfo("the same", "#000000")
_OPACITY = 0.85


def show_comparison(
    viewer: ViewerModel, below: Layer, plane: tuple[int, ...], found: Compared
) -> Labels:
    """Show a comparison over its image, or its cells; returns the layer of the differences.

    Parameters
    ----------
    plane
        Indices along the axes before Y and X of what was compared; empty for all of them.

    Raises
    ------
    UserError
        CN-401 when the layer has other pixels now, CN-403 when a layer of ours is locked; nothing is changed then.
    """
    shape = tuple(image_data(below).array.shape[: below.ndim])
    if shape[len(plane) :] != found.difference.shape:
        raise UserError(
            "CN-401",
            f"Layer '{below.name}' got other pixels while the models were compared (now {shape}), so the result is "
            "not shown. Nothing was changed. Compare again.",
        )
    source = layer_id(below)
    refuse_locked([find_layer(viewer, kind, source) for kind in KINDS])
    kept = {entry.name: entry.colour for entry in found.first_model.card.classes}
    differences = [
        _THE_SAME,
        *(ClassInfo(d.words[:60], d.colour) for d in found.comparison.differences),
    ]
    for kind, suffix, values, classes in (
        (KINDS[0], "A", found.first, _classes(found.first_model, kept)),
        (KINDS[1], "B", found.second, _classes(found.second_model, kept)),
        (KINDS[2], "differences", found.difference, differences),
    ):
        is_new = find_layer(viewer, kind, source) is None
        data = class_layer_data(
            _in_stack(values, plane, shape), classes, placement_of(below),
            name=f"{below.name} {suffix}", kind=kind, source=source,
            provenance={"model A": found.first_model.card.name, "model B": found.second_model.card.name},
        )  # fmt: skip
        if kind == "difference":
            data[1]["colormap"] = _difference_colours(classes)
            data[1]["opacity"] = _OPACITY
        layer = add_or_update(viewer, data)
        layer.editable = False  # a map of what models say
        if is_new:
            layer.visible = kind == "difference"
    values = np.arange(1, len(differences) + 1)
    set_object_features(layer, {"index": values, "meaning": [info.name for info in differences]})
    return layer


def hide_results(viewer: ViewerModel, source: str) -> list[Layer]:
    """Hide the results of predictions that are seen over an image or its cells; returns them."""
    hidden = [
        layer for layer in viewer.layers
        if layer.visible and mark_of(layer).get("source") == source and mark_of(layer).get("kind") in _RESULTS
    ]  # fmt: skip
    for layer in hidden:
        layer.visible = False
    return hidden


def comparison_layers(viewer: ViewerModel) -> list[Layer]:
    """Return the layers of all comparisons."""
    return [layer for layer in viewer.layers if mark_of(layer).get("kind") in KINDS]


def _classes(model, colours: dict[str, str]) -> tuple[ClassInfo, ...]:
    """Return a model's classes; one that both know has the first one's colour in both."""
    return tuple(
        ClassInfo(entry.name, colours.get(entry.name, entry.colour)) for entry in model.card.classes
    )


def _difference_colours(differences: list[ClassInfo]) -> DirectLabelColormap:
    colours = {value: info.colour for value, info in enumerate(differences[1:], start=2)}
    return DirectLabelColormap(
        color_dict={None: _TRANSPARENT, 0: _TRANSPARENT, 1: _TRANSPARENT, **colours}
    )


def _in_stack(values: np.ndarray, plane: tuple[int, ...], shape: tuple[int, ...]) -> np.ndarray:
    if not plane:
        return values
    stack = np.zeros(shape, np.uint8)  # other planes were not compared
    stack[plane] = values
    return stack
