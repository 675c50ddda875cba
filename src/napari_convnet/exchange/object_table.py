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
        Names of the model's classes, in the order of the probabilities.
    probabilities
        One for each class, by label.
    """

    image_id: int
    labels_name: str
    classes: Sequence[str]
    probabilities: Mapping[int, Sequence[float]] = field(default_factory=dict)

    def name_of(self, label: int) -> str:
        """Return the most probable class of an object; empty if it was not predicted."""
        values = self.probabilities.get(label)
        if values is None:
            return ""
        return self.classes[max(range(len(self.classes)), key=lambda k: values[k])]


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
    columns = list(dict.fromkeys(name for p in predictions for name in p.classes))
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
            values = prediction.probabilities.get(label) if prediction else None
            shares = (
                dict(zip(prediction.classes, values, strict=True)) if values is not None else {}
            )
            place, *others = _place(image, objects.get(label), notes.get(label))
            rows.append(
                [image.name, key[1], label, class_name, by, place,
                 *(float(shares[c]) if c in shares else "" for c in columns), *others]
            )  # fmt: skip
            without_area += label not in objects
    header = [*COLUMNS, *(f"probability_{name}" for name in columns), *_POSITION]
    write_atomically(out, table_bytes(header, rows))
    skipped = (
        [f"the area of {without_area:,} cells, whose labels were not found"] if without_area else []
    )
    return ExportResult(Path(out), {"cells": len(rows)}, skipped)


def _class_of(
    label: int, note: ObjectAnnotation | None, prediction: PredictedObjects | None, names: list[str]
) -> tuple[str, str]:
    """Return the class of an object and who gave it."""
    predicted = prediction.name_of(label) if prediction else ""
    if note is not None and (note.annotated_by == "person" or not predicted):
        return names[note.value - 1], note.annotated_by
    return predicted, "model" if predicted else ""


def _place(
    image: ImageRecord, found: FoundObject | None, note: ObjectAnnotation | None
) -> tuple[Any, ...]:
    """Return plane, z, y, x, the same in physical units, unit, area in pixels and physical, its unit."""
    n_leading = len(leading_axes(image))
    if found is not None:
        plane, position, area = found.plane, list(found.centroid), found.area
    else:
        plane, position, area = note.plane, [*map(float, note.plane), *note.centre], ""
    sizes = list(image.pixel_size[: n_leading + 2])
    sizes = sizes if len(sizes) == n_leading + 2 else [1.0] * (n_leading + 2)
    units = list(image.units[: n_leading + 2])
    unit = units[-1] if units else "pixel"
    # A time axis is no length: z is the last axis before Y and X, and only where there is one.
    position = ([""] if n_leading == 0 else []) + position[-3:]
    scale = ([1.0] if n_leading == 0 else []) + sizes[-3:]
    physical = ["" if p == "" else p * s for p, s in zip(position, scale, strict=True)]
    n_axes = _spatial_axes(found)
    size = "" if area == "" else area * math.prod(sizes[-n_axes:])
    return (
        plane_cell(plane), *position, *physical, unit, area, size,
        f"{unit}^{n_axes}" if area != "" else "",
    )  # fmt: skip


def _spatial_axes(found: FoundObject | None) -> int:
    """Return 3 for an object of several planes, 2 for a flat one."""
    if found is None or len(found.box) < 3:
        return 2
    return 3 if found.box[-3].stop - found.box[-3].start > 1 else 2
