"""A prediction laid over its image: layers that are ours, replaced by the next prediction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from napari.components import ViewerModel
from napari.layers import Labels, Layer
from napari.utils.notifications import show_warning

from napari_convnet.classes import ClassInfo
from napari_convnet.errors import UserError
from napari_convnet.settings import ObjectSettings
from napari_convnet.widgets.layers import (
    MARK,
    add_or_update,
    class_layer_data,
    find_layer,
    image_data,
    layer_id,
    mark_of,
    objects_layer_data,
    set_object_features,
)
from napari_convnet.widgets.objects_job import settings_of
from napari_convnet.widgets.placement import placement_of
from napari_convnet.widgets.plane_in_stack import in_stack
from napari_convnet.widgets.position_layers import refuse_locked, show_positions
from napari_convnet.widgets.prediction_result import Prediction
from napari_convnet.widgets.session import Session
from napari_convnet.widgets.source import PlaneArrays, Source, source_layers

if TYPE_CHECKING:
    from napari_convnet.model_file import Model

#: Under this name a mask's layer keeps the depths of its planes.
_DEPTHS = f"{MARK} depths"


def show_prediction(
    session: Session, source: Source, arrays: PlaneArrays | None, model: Model, result: Prediction
) -> None:
    """Lay a prediction over its image and put its table where napari shows it.

    ``arrays`` is the plane that was predicted, None where it was not one plane.

    Raises
    ------
    UserError
        CN-401 when the layers are gone or other ones now, CN-403 when a layer to be changed is locked;
        nothing is changed then.
    """
    if result.is_whole:
        return  # the dock says it and shows the table
    images, cells = source_layers(session.viewer, source)
    classes = tuple(ClassInfo(entry.name, entry.colour) for entry in model.card.classes)
    if result.task == "locate":
        show_positions(session, images[0], classes, model.card.name, result)
        return
    names = {"model": model.card.name}
    facts = names | {"orientations": result.orientations}
    if result.class_map is None:
        _show_patches(session, images[0], arrays.plane, classes, result.table, facts)
        return
    below = cells if result.task == "classify" else images[0]
    shape = tuple(image_data(below).array.shape[: below.ndim])
    plane = () if result.is_stack else arrays.plane
    if shape[len(plane) :] != result.class_map.shape:
        raise UserError(
            "CN-401",
            f"Layer '{below.name}' got other pixels while predicting (now {shape}), so the result is not shown. "
            "Nothing was changed. Predict again.",
        )
    kinds = ("predicted-classes",) if cells is not None else ("predicted-mask", "predicted-objects")
    refuse_locked([find_layer(session.viewer, kind, layer_id(below)) for kind in kinds])
    show = partial(_show_labels, session, below, plane, shape)
    if result.task == "classify":
        show(facts, "predicted-classes", "predicted", result.class_map, classes)
        _describe_cells(cells, result.table)
        return
    facts = names | {"background": model.card.background_value}
    if result.class_levels:
        _show_file(session, below, plane, classes, facts | {"file": str(result.path)}, result)
        return
    if result.is_stack:
        facts |= {"is_stack": True}
    mask = show(facts, "predicted-mask", "mask", result.class_map, classes)
    keep_depth(mask, plane, result.depth)
    show_objects(session, below, plane, result, names)


def keep_depth(mask: Labels, plane: tuple[int, ...], depth: np.ndarray | None) -> None:
    """Keep beside the mask of a plane how deep its pixels lie in their objects, so that these can be formed again."""
    kept = {**mask.metadata.get(_DEPTHS, {}), plane: depth}
    mask.metadata = {**mask.metadata, _DEPTHS: {k: v for k, v in kept.items() if v is not None}}


def kept_depth(mask: Labels, plane: tuple[int, ...]) -> np.ndarray | None:
    """Return what `keep_depth` kept; None where the model knows nothing of it, or the mask has other pixels now."""
    depth = mask.metadata.get(_DEPTHS, {}).get(plane)
    return depth if depth is not None and depth.shape == mask.data.shape[-2:] else None


def show_objects(
    session: Session,
    image: Layer,
    plane: tuple[int, ...],
    result: Prediction,
    names: Mapping[str, Any],
) -> None:
    """Show the objects of a plane of an image with their table; ``names`` are facts for the layer's mark.

    Raises
    ------
    UserError
        CN-403 if the layer of objects is locked.
    """
    shape = image_data(image).array.shape[: image.ndim]
    facts = {**names, "objects": asdict(result.object_settings)}
    kind = "predicted-objects"
    objects = _show_labels(
        session, image, plane, shape, facts, kind, "objects", result.objects, None
    )
    objects.contour = objects.contour or 2
    set_object_features(objects, result.table)


def shown_settings(viewer: ViewerModel, image: Layer) -> ObjectSettings:
    """Return how the objects that are shown for an image were formed, or the default."""
    layer = find_layer(viewer, "predicted-objects", layer_id(image))
    return settings_of(mark_of(layer)) if layer is not None else ObjectSettings()


def _describe_cells(cells: Labels, table: pd.DataFrame) -> None:
    """Write class and probability into the table of the person's own label layer, unless it is locked."""
    if cells.locked:
        show_warning(
            f"Layer '{cells.name}' is locked, so classes and probabilities were not written to its table; they are "
            "shown in colour. Unlock it and predict again, or use Save table."
        )
        return
    cells.contour = cells.contour or 1  # outlines, so that class colours can be seen
    set_object_features(cells, table)


def _show_file(session, image, plane, classes, facts, result: Prediction) -> None:
    """Show mask and objects that are in a file: layers of several sizes, of which napari reads what is in view."""
    origin = np.zeros(image.ndim, int)
    origin[: len(plane)] = plane
    placement = placement_of(image).moved(origin)
    for kind, suffix, found in (
        ("predicted-mask", "mask", result.class_levels),
        ("predicted-objects", "objects", result.object_levels),
    ):
        levels = in_stack(found, len(plane))
        _remove(session, kind, layer_id(image))
        common = {
            "name": f"{image.name} {suffix}", "kind": kind, "source": layer_id(image), "provenance": facts,
        }  # fmt: skip
        if kind == "predicted-mask":
            data = class_layer_data(levels[0], classes, placement, **common)
        else:
            data = objects_layer_data(levels[0], placement, **common)
        shown = levels if len(levels) > 1 else levels[0]
        layer = session.viewer.add_labels(shown, multiscale=len(levels) > 1, **data[1])
        layer.editable = False
    layer.contour = 2
    set_object_features(layer, result.table)


def _remove(session, kind, source_id) -> None:
    layer = find_layer(session.viewer, kind, source_id)
    if layer is not None:
        session.viewer.layers.remove(layer)


def _show_labels(session, below, plane, shape, provenance, kind, suffix, result, classes) -> Labels:
    """Show a class map (with ``classes``) or objects (None) of one plane."""
    before = find_layer(session.viewer, kind, layer_id(below))
    if before is not None and mark_of(before).get("file"):  # of a file
        _remove(session, kind, layer_id(below))
    common = {
        "name": f"{below.name} {suffix}", "kind": kind, "source": layer_id(below), "provenance": provenance,
    }  # fmt: skip
    stack, placement = (
        _into_stack(session, kind, layer_id(below), shape, plane, result),
        placement_of(below),
    )
    if classes is None:
        return add_or_update(session.viewer, objects_layer_data(stack, placement, **common))
    return add_or_update(session.viewer, class_layer_data(stack, classes, placement, **common))


def _into_stack(session, kind, source_id, shape, plane, result: np.ndarray) -> np.ndarray:
    """Put a plane's result into the whole stack, beside what other planes have."""
    if not plane:
        return result
    layer = find_layer(session.viewer, kind, source_id)
    stack = (
        layer.data
        if layer is not None and layer.data.shape == shape
        else np.zeros(shape, result.dtype)
    )
    stack[plane] = result
    return stack


def _show_patches(session, image, plane, classes, table: pd.DataFrame, provenance) -> None:
    points = np.array([(*plane, y, x) for y, x in zip(table["y"], table["x"], strict=True)])
    colour_of = {info.name: info.colour for info in classes}
    colours = [colour_of[name] for name in table["class"]]
    source = layer_id(image)
    layer = find_layer(session.viewer, "predicted-classes", source)
    refuse_locked([layer])
    if layer is not None:
        session.viewer.layers.remove(layer)
    mark = {**provenance, "kind": "predicted-classes", "source": source}
    session.viewer.add_points(
        points, name=f"{image.name} predicted patches", features=table, face_color=colours, border_color="white",
        size=12, metadata={MARK: mark}, **placement_of(image).as_arguments(),
    )  # fmt: skip
