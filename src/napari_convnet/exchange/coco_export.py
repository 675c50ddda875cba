"""Annotations as COCO JSON: patches as boxes, cells as boxes with an uncompressed mask.

COCO knows flat images only, so every annotated plane is an image of its own. What COCO has no word for
(plane, label, who annotated) is in an extra object ``napari_convnet``, which other programs ignore.
"""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np

from napari_convnet.atomic import write_atomically
from napari_convnet.exchange.matching import base_name, plane_shape
from napari_convnet.exchange.object_masks import annotated_groups, no_label_image
from napari_convnet.exchange.pixels import FoundObject, Pixels, find_label_objects
from napari_convnet.exchange.results import ExportResult, nothing_to_export
from napari_convnet.exchange.run_length import runs_of_pixels
from napari_convnet.progress import Progress
from napari_convnet.project import ImageRecord, ObjectAnnotation, PatchAnnotation, Project

#: Our own object within an image or an annotation of COCO.
EXTRA = "napari_convnet"


def export_coco(
    project: Project, out: Path, pixels: Pixels
) -> Generator[Progress, None, ExportResult]:
    """Write all patches and annotated cells to one JSON file.

    A cell of a stack is written as it is in the plane that shows most of it.

    Raises
    ------
    UserError
        CN-658 without annotations, CN-662 if a label image was not found, CN-301 if the disk refuses.
    """
    groups = list(annotated_groups(project))
    patches = [(image, patch) for image in project.images() for patch in project.patches(image.id)]
    if not groups and not patches:
        raise nothing_to_export("annotated cells or patches")
    document = _Document()
    for image, patch in patches:
        document.add_patch(image, patch)
    missing = 0
    for number, (image, labels_name, notes) in enumerate(groups):
        yield Progress(done=number, total=len(groups), text="writing masks")
        labels = pixels.label_image(image, labels_name)
        if labels is None:
            raise no_label_image(image, labels_name)
        present = find_label_objects(labels)
        for annotation in notes:
            if annotation.label in present:
                document.add_cell(image, annotation, labels, present[annotation.label])
            else:
                missing += 1
    categories = [
        {"id": value, "name": info.name, EXTRA: {"colour": info.colour}}
        for value, info in enumerate(project.classes("classify"), start=1)
    ]
    content = {
        "info": {"description": f"Exported from {project.path.name} by napari-convnet"},
        "images": list(document.images.values()),
        "categories": categories,
        "annotations": document.annotations,
    }
    write_atomically(out, json.dumps(content, allow_nan=False).encode())
    skipped = [f"{missing:,} cells that their label image has no more"] if missing else []
    counts = {"patches": len(patches), "cells": len(document.annotations) - len(patches)}
    return ExportResult(Path(out), {k: v for k, v in counts.items() if v}, skipped)


class _Document:
    """The lists of a COCO file."""

    def __init__(self) -> None:
        self.images: dict[tuple, dict[str, Any]] = {}
        self.annotations: list[dict[str, Any]] = []

    def add_patch(self, image: ImageRecord, patch: PatchAnnotation) -> None:
        # COCO's pixel 0 reaches from 0 to 1, ours from -0.5 to 0.5.
        y, x = (c + 0.5 - patch.size / 2 for c in patch.centre)
        self._add(
            image, patch.plane, patch.value, [x, y, patch.size, patch.size], patch.size**2, {}
        )

    def add_cell(
        self, image: ImageRecord, note: ObjectAnnotation, labels: np.ndarray, found: FoundObject
    ) -> None:
        box = found.box[-2:]
        inside = np.nonzero(labels[found.plane][box] == note.label)
        y, x = (axis + part.start for axis, part in zip(inside, box, strict=True))
        height, width = int(np.ptp(y)) + 1, int(np.ptp(x)) + 1
        mask = {
            "size": list(plane_shape(image)),
            "counts": runs_of_pixels(y, x, plane_shape(image)),
        }
        extra = {
            "labels": note.labels_name,
            "label": note.label,
            "annotated_by": note.annotated_by,
        }
        bbox = [int(x.min()), int(y.min()), width, height]
        more = {"segmentation": mask, EXTRA: extra}
        self._add(image, found.plane, note.value, bbox, len(y), more)

    def _add(
        self,
        image: ImageRecord,
        plane: tuple[int, ...],
        value: int,
        bbox: list,
        area: int,
        more: dict,
    ) -> None:
        annotation = {
            "id": len(self.annotations) + 1,
            "image_id": self._image(image, plane),
            "category_id": value,
            "bbox": bbox,
            "area": area,
            "iscrowd": 0,
            **more,
        }
        self.annotations.append(annotation)

    def _image(self, image: ImageRecord, plane: tuple[int, ...]) -> int:
        key = image.id, plane
        if key not in self.images:
            height, width = plane_shape(image)
            self.images[key] = {
                "id": len(self.images) + 1,
                "file_name": base_name(image.source) or image.name,
                "height": height,
                "width": width,
                EXTRA: {"name": image.name, "source": image.source, "plane": list(plane)},
            }
        return self.images[key]["id"]
