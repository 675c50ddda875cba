"""COCO JSON into a project: boxes become patches, masks become a label image and classes of its cells."""

from __future__ import annotations

import json
import math
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from napari_convnet.errors import UserError
from napari_convnet.exchange.coco_export import EXTRA
from napari_convnet.exchange.label_files import label_tiff
from napari_convnet.exchange.matching import (
    ClassFinder,
    Target,
    check_place,
    plane_and_shape,
)
from napari_convnet.exchange.output import FileNames, OutputFolder, free_folder
from napari_convnet.exchange.pixels import find_label_objects
from napari_convnet.exchange.plan import ImportPlan, LabelFiles, NewObject, NewPatch
from napari_convnet.exchange.run_length import LabelCanvas, polygon_places, read_runs
from napari_convnet.exchange.tables import LARGEST_POSITION, file_error, read_text, shown
from napari_convnet.progress import Progress
from napari_convnet.project import ImageRecord


@dataclass(eq=False)
class _Mask:
    """One segmentation: its class, and the runs or places of its pixels."""

    where: str
    value: int
    runs: list[tuple[int, int]]
    places: np.ndarray | None
    plane: tuple[int, ...]
    wanted_label: int
    annotated_by: str


@dataclass(eq=False)
class _Found:
    """What a file holds, checked."""

    path: Path
    plan: ImportPlan
    classes: ClassFinder
    masks: dict[int, list[_Mask]] = field(default_factory=dict)
    images: dict[int, ImageRecord] = field(default_factory=dict)
    oblong: int = 0
    crowds: int = 0

    def refuse(self, what: str, code: str = "CN-652") -> UserError:
        """Return the error for a part of the file."""
        return UserError(
            code,
            f"'{shown(self.path.name)}', {shown(what, 180)}. Nothing was imported.",
            str(self.path),
        )


def plan_coco(target: Target, path: Path) -> Generator[Progress, None, ImportPlan]:
    """Read a COCO file; nothing is written yet, label images neither.

    Boxes without a mask become square patches with the box's middle and its longer side. Masks (polygons,
    run lengths compressed or not) are drawn into one label image for each image, in a new folder beside the
    file; where two overlap, the first one stays. Groups (``iscrowd``) are left out.

    Raises
    ------
    UserError
        CN-651 for another file; CN-652, CN-653, CN-654 with the annotation that cannot be used.
    """
    path = Path(path)
    content = _content(path)
    found = _Found(path, ImportPlan(path.name), target.classes("classify"))
    images = _images(target, content, found)
    names = _categories(content, found)
    annotations = content["annotations"]
    for number, annotation in enumerate(annotations):
        _take(annotation, f"annotation {number + 1}", images, names, found)
        if number % 200 == 0:
            yield Progress(done=number, total=2 * len(annotations), text="reading annotations")
    plan = found.plan
    yield from _draw(found)
    if found.crowds:
        plan.skipped.append(f"{found.crowds:,} groups (iscrowd), which are no single objects")
    if found.oblong:
        plan.notes.append(
            f"{found.oblong:,} boxes that are not square became squares with their longer side."
        )
    return plan


def _content(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise UserError(
            "CN-651",
            f"'{shown(path.name)}', line {error.lineno}: this is no JSON ({error.msg}). "
            "Nothing was imported. Is the file complete?",
            str(path),
        ) from error
    except (RecursionError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        raise file_error(path, "it is no JSON that can be read") from error
    for name in ("images", "categories", "annotations"):
        entries = content.get(name) if isinstance(content, dict) else None
        if not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
            raise file_error(path, f"it has no list '{name}', so it is no COCO file")
    return content


def _images(
    target: Target, content: dict[str, Any], found: _Found
) -> dict[Any, tuple[ImageRecord, tuple[int, ...]]]:
    """Return image and plane by COCO's image id, of images that have annotations."""
    result: dict = {}
    used = {e.get("image_id") for e in content["annotations"] if _is_id(e.get("image_id"))}
    for number, entry in enumerate(content["images"], start=1):
        what, key = f"image {number}", entry.get("id")
        name = entry.get("file_name")
        if not _is_id(key) or not isinstance(name, str):
            raise found.refuse(f"{what}: it has no id or no file_name", "CN-651")
        if key not in used:
            continue
        extra = _extra(entry)
        where = f"'{shown(found.path.name)}', {what}"
        source = extra.get("source")
        image = target.images.find(where, source if isinstance(source, str) else "", name)
        leading, shape = plane_and_shape(image)
        plane = extra.get("plane") or []
        if not isinstance(plane, list) or not all(_is_whole(index) for index in plane):
            raise found.refuse(f"{what}: plane {plane} is no list of indices")
        plane = tuple(plane) or (0,) * len(leading)
        if (entry.get("height", shape[0]), entry.get("width", shape[1])) != shape:
            raise found.refuse(
                f"{what}: '{shown(name, 50)}' has {entry.get('height')} x {entry.get('width')} pixels there, "
                f"but {shape[0]} x {shape[1]} in the project",
                "CN-613",
            )
        check_place(where, image, plane, (0.0, 0.0))
        result[key] = image, plane
    return result


def _extra(entry: dict[str, Any]) -> dict[str, Any]:
    extra = entry.get(EXTRA)
    return extra if isinstance(extra, dict) else {}


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_id(value: Any) -> bool:
    return isinstance(value, str) or _is_whole(value)


def _categories(content: dict[str, Any], found: _Found) -> dict[Any, tuple[str, str]]:
    names = {}
    for number, entry in enumerate(content["categories"], start=1):
        if not _is_id(entry.get("id")) or not isinstance(entry.get("name"), str):
            raise found.refuse(f"category {number}: it has no id or no name", "CN-651")
        extra = _extra(entry)
        colour = extra.get("colour")
        names[entry["id"]] = entry["name"], colour if isinstance(colour, str) else ""
    return names


def _take(annotation: dict, what: str, images: dict, names: dict, found: _Found) -> None:
    key, category = annotation.get("image_id"), annotation.get("category_id")
    if not _is_id(key) or key not in images:
        raise found.refuse(f"{what}: image {key} is not in the file", "CN-654")
    if not _is_id(category) or category not in names:
        raise found.refuse(f"{what}: category {category} is not in the file", "CN-653")
    if annotation.get("iscrowd"):
        found.crowds += 1
        return
    image, plane = images[key]
    where = f"'{shown(found.path.name)}', {what}"
    value = found.classes.find(where, *names[category])
    if not annotation.get("segmentation"):
        _take_box(annotation.get("bbox"), what, image, plane, value, found)
        return
    runs, places = _mask(annotation["segmentation"], what, plane_and_shape(image)[1], found)
    extra = _extra(annotation)
    label = extra.get("label")
    by = extra.get("annotated_by")
    found.images[image.id] = image
    found.masks.setdefault(image.id, []).append(
        _Mask(
            where, value, runs, places, plane,
            label if isinstance(label, int) and 0 < label < 2**31 else 0,
            by if by in ("person", "model") else "person",
        )
    )  # fmt: skip


def _numbers(values: Any) -> bool:
    return isinstance(values, list) and all(
        isinstance(v, int | float) and not isinstance(v, bool) and abs(v) <= LARGEST_POSITION
        and math.isfinite(v) for v in values
    )  # fmt: skip


def _take_box(
    bbox: Any, what: str, image: ImageRecord, plane: tuple[int, ...], value: int, found: _Found
) -> None:
    if not _numbers(bbox) or len(bbox) != 4 or bbox[2] <= 0 or bbox[3] <= 0:
        raise found.refuse(f"{what}: its bbox {bbox} is no x, y, width, height")
    x, y, width, height = map(float, bbox)
    centre = (y + height / 2 - 0.5, x + width / 2 - 0.5)
    size = max(1, round(max(width, height)))
    check_place(f"'{shown(found.path.name)}', {what}", image, plane, centre, size)
    found.oblong += abs(width - height) >= 1
    found.plan.patches.append(NewPatch(image.id, plane, centre, size, value))


def _mask(
    segmentation: Any, what: str, shape: tuple[int, int], found: _Found
) -> tuple[list[tuple[int, int]], np.ndarray | None]:
    """Return runs or places of a segmentation's pixels."""
    if isinstance(segmentation, dict):
        if segmentation.get("size") != list(shape):
            raise found.refuse(
                f"{what}: its mask has size {segmentation.get('size')}, the image {shape}"
            )
        try:
            return read_runs(segmentation.get("counts"), shape), None
        except ValueError as error:
            raise found.refuse(f"{what}: {error}") from error
    if not isinstance(segmentation, list) or not all(
        _numbers(points) and len(points) >= 6 and len(points) % 2 == 0 for points in segmentation
    ):
        raise found.refuse(f"{what}: its segmentation is no list of polygons x, y, x, y, ...")
    return [], np.concatenate([polygon_places(points, shape) for points in segmentation])


def _draw(found: _Found) -> Generator[Progress, None, None]:
    """Draw the masks of each image into a label image and note the classes of its objects."""
    files: dict[str, bytes] = {}
    names, lost, overlapping = FileNames(), 0, 0
    done, total = 0, 2 * sum(map(len, found.masks.values()))
    for image_id, masks in found.masks.items():
        image = found.images[image_id]
        leading, shape = plane_and_shape(image)
        stem = names.make(f"{Path(image.name).stem}_labels")
        labels = np.zeros((*leading, *shape), np.int32)
        kept = _labels_of(masks)
        for plane in sorted({mask.plane for mask in masks}):
            canvas = LabelCanvas(shape)
            for mask in (m for m in masks if m.plane == plane):
                label = kept[id(mask)]
                if mask.places is None:
                    canvas.draw_runs(mask.runs, label)
                else:
                    canvas.draw_places(mask.places, label)
                done += 1
                yield Progress(done=done + total // 2, total=total, text="drawing masks")
            labels[plane] = canvas.labels
            overlapping += canvas.overlapping
        present = find_label_objects(labels)
        for mask in masks:
            label = kept[id(mask)]
            if label not in present:
                lost += 1
                continue
            place = present[label]
            found.plan.objects.append(
                NewObject(
                    image_id, stem, label, place.plane, place.centre, mask.value, mask.annotated_by
                )
            )
        files[f"{stem}.tif"] = label_tiff(labels)
    if files:
        folder = free_folder(found.path.with_name(f"{found.path.stem}_labels"))
        found.plan.label_files.append(LabelFiles(OutputFolder(folder), files))
        found.plan.notes.append(f"The label images are in '{folder.name}'.")
    if lost:
        found.plan.skipped.append(f"{lost:,} masks without a pixel of their own")
    if overlapping:
        found.plan.notes.append(f"{overlapping:,} overlapping pixels stayed with the first mask.")


def _labels_of(masks: list[_Mask]) -> dict[int, int]:
    """Return each mask's label: as the file says if it says so for all, else 1, 2, 3, ..."""
    wanted = [mask.wanted_label for mask in masks]
    if not all(wanted) or len(set(wanted)) < len(wanted):
        wanted = list(range(1, len(masks) + 1))
    return {id(mask): label for mask, label in zip(masks, wanted, strict=True)}
