"""Prediction in the background, and its result as layers."""

from __future__ import annotations

import threading
from collections.abc import Generator
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from napari.layers import Labels, Layer
from napari.utils.notifications import show_warning

from napari_convnet.classes import ClassInfo
from napari_convnet.errors import UserError
from napari_convnet.images import CleanImage, ImageNote, LazyImage, LazyPlane
from napari_convnet.progress import Progress
from napari_convnet.widgets.layers import (
    MARK,
    add_or_update,
    class_layer_data,
    find_layer,
    image_data,
    layer_id,
    objects_layer_data,
    set_object_features,
)
from napari_convnet.widgets.placement import placement_of
from napari_convnet.widgets.session import Session
from napari_convnet.widgets.source import PlaneArrays, Source, source_layers

if TYPE_CHECKING:
    from napari_convnet.model_file import Model

#: Pixels of a lazy plane that are read together, as those of an image in memory; larger ones tile by tile.
READ_WHOLE = 4096**2


@dataclass(frozen=True, eq=False)
class Prediction:
    """A model's answer for one plane.

    Parameters
    ----------
    class_map
        ``(Y, X)`` uint8 class values, of cells or of pixels; None for picked patches.
    objects
        ``(Y, X)`` int32 instance labels of a segmentation, else None.
    table
        One row an object: ``index`` (its label), ``class``, ``probability`` where there is one, position, area.
    notes
        What the person should know about the image.
    problem
        Why the image could not be read to its end; the result then ends there, too.
    """

    task: str
    class_map: np.ndarray | None
    objects: np.ndarray | None
    table: pd.DataFrame
    notes: tuple[ImageNote, ...] = ()
    problem: str = ""


def prediction_steps(
    model: Model, arrays: PlaneArrays, centres: np.ndarray, device: str, stop: threading.Event
) -> Generator[Progress, None, Prediction]:
    """Apply a model to a plane; runs in the worker.

    ``centres`` ``(N, 2)`` are the picked patches, used where there is no label layer.
    """
    yield Progress(done=0, total=0, text="preparing the image")
    from napari_convnet.prediction import (
        PredictionInterrupted,
        check_model_fits,
        classify_objects,
        segment_image,
    )

    image = _image_of(arrays)
    check_model_fits(model, model.card.task, image)
    if model.card.task == "segment":
        steps, finish = segment_image(model, image, device=device, stop=stop), _segmented
    else:
        cells = _cells(arrays, centres, image.name)
        steps = classify_objects(model, image, *cells, device=device, stop=stop)
        finish = partial(_classified, label_plane=arrays.labels)
    problem = ""
    try:
        result = yield from steps
    except PredictionInterrupted as interrupted:
        result, problem = interrupted.result, interrupted.message
    found = finish(result, [entry.name for entry in model.card.classes])
    return replace(found, notes=result.notes, problem=problem)


def _image_of(arrays: PlaneArrays) -> CleanImage | LazyImage:
    """Read an image, or leave it where it is if it is lazy and large."""
    height, width = arrays.shape
    is_lazy = any(isinstance(pixels, LazyPlane) for pixels, _, _ in arrays.channels)
    if not is_lazy or height * width <= READ_WHOLE:
        return arrays.clean()
    return LazyImage(
        tuple(
            (pixels if isinstance(pixels, LazyPlane) else LazyPlane(pixels, (), name), axes)
            for pixels, axes, name in arrays.channels
        )
    )


def _cells(
    arrays: PlaneArrays, patch_centres: np.ndarray, name: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return labels and centres of what is to be classified: cells, or patches where there is no label layer."""
    from napari_convnet.prediction import object_centres

    labels, centres = np.arange(1, len(patch_centres) + 1), patch_centres
    if arrays.labels is not None:
        labels, centres = object_centres(arrays.labels)
    if not len(labels):
        raise UserError(
            "CN-625",
            f"There is no cell to classify in '{name}'. Choose a label layer of cells, or pick patches.",
        )
    return labels, centres


def _classified(result, names: list[str], label_plane: np.ndarray | None) -> Prediction:
    table = pd.DataFrame({
        "index": result.labels, "class": [names[v - 1] for v in result.values], "probability": result.confidence,
        "y": result.centres[:, 0], "x": result.centres[:, 1],
        **{f"p {name}": result.probabilities[:, k] for k, name in enumerate(names)},
    })  # fmt: skip
    if label_plane is None:
        return Prediction("classify", None, None, table)
    row = np.searchsorted(result.labels, label_plane).clip(0, max(0, len(result.labels) - 1))
    known = result.labels[row] == label_plane
    return Prediction(
        "classify", np.where(known, result.values[row], 0).astype(np.uint8), None, table
    )


def _segmented(result, names: list[str]) -> Prediction:
    return Prediction("segment", result.classes, result.objects, _segment_table(result, names))


def _segment_table(result, names: list[str]) -> pd.DataFrame:
    from napari_convnet.prediction import object_centres

    labels, centres = object_centres(result.objects)
    return pd.DataFrame({
        "index": labels, "class": [names[v - 1] for v in result.object_values[labels]],
        "area": np.bincount(result.objects.ravel())[labels], "y": centres[:, 0], "x": centres[:, 1],
    })  # fmt: skip


def show_prediction(
    session: Session, source: Source, arrays: PlaneArrays, model: Model, result: Prediction
) -> None:
    """Lay a prediction over its image and put its table where napari shows it.

    Raises
    ------
    UserError
        CN-401 when the layers are gone or other ones now, CN-403 when a layer to be changed is locked;
        nothing is changed then.
    """
    images, cells = source_layers(session.viewer, source)
    classes = tuple(ClassInfo(entry.name, entry.colour) for entry in model.card.classes)
    if result.class_map is None:
        _show_patches(session, images[0], arrays.plane, classes, result.table)
        return
    below = cells if result.task == "classify" else images[0]
    shape = image_data(below).array.shape[: below.ndim]
    if shape[-2:] != arrays.shape:
        raise UserError(
            "CN-401",
            f"Layer '{below.name}' got other pixels while predicting (now {shape}), so the result is not shown. "
            "Nothing was changed. Predict again.",
        )
    kinds = ("predicted-classes",) if cells is not None else ("predicted-mask", "predicted-objects")
    _refuse_locked([find_layer(session.viewer, kind, layer_id(below)) for kind in kinds])
    show = partial(_show_labels, session, below, arrays.plane, shape, {"model": model.card.name})
    if result.task == "classify":
        show("predicted-classes", "predicted", result.class_map, classes)
        _describe_cells(cells, result.table)
        return
    show("predicted-mask", "mask", result.class_map, classes)
    objects = show("predicted-objects", "objects", result.objects, None)
    objects.contour = objects.contour or 2
    set_object_features(objects, result.table)


def _refuse_locked(layers: list[Layer | None]) -> None:
    for layer in layers:
        if layer is not None and layer.locked:
            raise UserError(
                "CN-403",
                f"Layer '{layer.name}' is locked, so the new result is not shown. Nothing was changed. "
                "Unlock it in the layer list and predict again.",
            )


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


def _show_labels(session, below, plane, shape, provenance, kind, suffix, result, classes) -> Labels:
    """Show a class map (with ``classes``) or objects (None) of one plane."""
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


def _show_patches(session, image, plane, classes, table: pd.DataFrame) -> None:
    points = np.array([(*plane, y, x) for y, x in zip(table["y"], table["x"], strict=True)])
    colour_of = {info.name: info.colour for info in classes}
    colours = [colour_of[name] for name in table["class"]]
    source = layer_id(image)
    layer = find_layer(session.viewer, "predicted-classes", source)
    _refuse_locked([layer])
    if layer is not None:
        session.viewer.layers.remove(layer)
    session.viewer.add_points(
        points, name=f"{image.name} predicted patches", features=table, face_color=colours, border_color="white",
        size=12, metadata={MARK: {"kind": "predicted-classes", "source": source}}, **placement_of(image).as_arguments(),
    )  # fmt: skip


def describe_prediction(model: Model, result: Prediction) -> str:
    """Say in one line what was found."""
    counts = result.table["class"].value_counts()
    found = ", ".join(
        f"{counts.get(c.name, 0):,} {c.name}" for c in model.card.classes if not c.is_background
    )
    is_patches = result.task == "classify" and result.class_map is None
    what = "patches" if is_patches else "cells" if result.task == "classify" else "objects"
    return f"{len(result.table):,} {what}: {found}" if len(result.table) else f"No {what} found."
