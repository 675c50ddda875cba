"""One line for each cell: where it is, how large, its class, how sure the network was, and who said so.

Positions are the mean of the object's pixels, in pixels and in the unit of the image; a cell whose label
image was not found has the middle of its box and no area.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from napari_convnet.atomic import write_atomically
from napari_convnet.exchange.matching import leading_axes
from napari_convnet.exchange.object_masks import annotated_groups
from napari_convnet.exchange.pixels import FoundObject, Pixels, find_label_objects
from napari_convnet.exchange.results import ExportResult, nothing_to_export
from napari_convnet.exchange.tables import plane_cell, table_bytes
from napari_convnet.progress import Progress
from napari_convnet.project import ImageRecord, ObjectAnnotation, Project

COLUMNS = ("image", "labels", "label", "class", "annotated_by", "plane")
_POSITION = ("z", "y", "x", "z_physical", "y_physical", "x_physical", "unit", "area_pixels", "area_physical",
             "area_unit")  # fmt: skip


@dataclass(frozen=True, eq=False)
class PredictedObjects:
    """Classes that a model gave to the objects of one label image.

    Parameters
    ----------
    image_id, labels_name
        As the project knows them.
    classes
        Name of the class by label.
    probabilities
        Numbers by label, by the name of their column: ``"probability"`` of the class that was given, or one
        column for each class.
    """

    image_id: int
    labels_name: str
    classes: Mapping[int, str]
    probabilities: Mapping[str, Mapping[int, float]] = field(default_factory=dict)


def export_object_table(
    project: Project, out: Path, pixels: Pixels, predictions: Sequence[PredictedObjects] = ()
) -> Generator[Progress, None, ExportResult]:
    """Write one CSV line for each object of the annotated (or predicted) label images.

    What a person said counts before what a model said. Objects without a class have an empty one.

    Raises
    ------
    UserError
        CN-658 without annotated or predicted cells, CN-301 if the disk refuses.
    """
    predicted = {(p.image_id, p.labels_name): p for p in predictions}
    images = {image.id: image for image in project.images()}
    groups = {(image.id, name): notes for image, name, notes in annotated_groups(project)}
    keys = [*groups, *(key for key in predicted if key not in groups and key[0] in images)]
    if not keys:
        raise nothing_to_export("annotated cells")
    names = [info.name for info in project.classes("classify")]
    columns = list(dict.fromkeys(name for p in predictions for name in p.probabilities))
    columns = ["predicted_class", *columns] if predictions else []
    rows: list[list[Any]] = []
    without_area = 0
    for number, key in enumerate(keys):
        yield Progress(done=number, total=len(keys), text="measuring cells")
        image, notes = images[key[0]], {note.label: note for note in groups.get(key, ())}
        labels = pixels.label_image(image, key[1])
        objects = {} if labels is None else find_label_objects(labels)
        prediction = predicted.get(key)
        for label in sorted({*objects, *notes}):
            class_name, by = _class_of(label, notes.get(label), prediction, names)
            place, *others = _place(image, objects.get(label), notes.get(label))
            rows.append(
                [image.name, key[1], label, class_name, by, place,
                 *_predicted(label, prediction, columns), *others]
            )  # fmt: skip
            without_area += label not in objects
    header = [*COLUMNS, *columns, *_POSITION]
    write_atomically(out, table_bytes(header, rows))
    skipped = (
        [f"the area of {without_area:,} cells, whose labels were not found"] if without_area else []
    )
    return ExportResult(Path(out), {"cells": len(rows)}, skipped)


def _class_of(
    label: int, note: ObjectAnnotation | None, prediction: PredictedObjects | None, names: list[str]
) -> tuple[str, str]:
    """Return the class of an object and who gave it."""
    predicted = prediction.classes.get(label, "") if prediction else ""
    if note is not None and (note.annotated_by == "person" or not predicted):
        return names[note.value - 1], note.annotated_by
    return predicted, "model" if predicted else ""


def _predicted(
    label: int, prediction: PredictedObjects | None, columns: Sequence[str]
) -> list[str | float]:
    """Return what the model said of an object, in the order of the columns."""
    if prediction is None:
        return [""] * len(columns)
    values = [prediction.probabilities.get(name, {}).get(label, "") for name in columns[1:]]
    return [prediction.classes.get(label, ""), *(float(v) if v != "" else "" for v in values)][
        : len(columns)
    ]


def _place(
    image: ImageRecord, found: FoundObject | None, note: ObjectAnnotation | None
) -> tuple[Any, ...]:
    """Return plane, z, y, x, the same in physical units, unit, area in pixels and physical, its unit."""
    n_axes = len(leading_axes(image)) + 2
    area: int | str = ""
    if found is not None:
        plane, position, area = found.plane, list(found.centroid), found.area
    elif note is not None:
        plane, position = note.plane, [*map(float, note.plane), *note.centre]
    is_scaled = len(image.pixel_size) >= n_axes
    sizes = list(image.pixel_size[:n_axes]) if is_scaled else [1.0] * n_axes
    unit = image.units[n_axes - 1] if is_scaled and len(image.units) >= n_axes else "pixel"
    # z is the last axis before Y and X, and only where there is one that is no time.
    letters = image.axes.replace("C", "")
    has_z = n_axes > 2 and letters[-3] != "T"
    places: list[float | str] = list(position[-3:] if has_z else ["", *position[-2:]])
    scale = sizes[-3:] if has_z else [1.0, *sizes[-2:]]
    physical = ["" if isinstance(p, str) else p * s for p, s in zip(places, scale, strict=True)]
    n_spatial = _spatial_axes(found)
    size = "" if isinstance(area, str) else area * math.prod(sizes[-n_spatial:])
    return (
        plane_cell(plane), *places, *physical, unit, area, size,
        f"{unit}^{n_spatial}" if area != "" else "",
    )  # fmt: skip


def _spatial_axes(found: FoundObject | None) -> int:
    """Return 3 for an object of several planes, 2 for a flat one."""
    if found is None or len(found.box) < 3:
        return 2
    return 3 if found.box[-3].stop - found.box[-3].start > 1 else 2
