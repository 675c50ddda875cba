"""Painted labels as integer TIFF, one file a painted plane, with ``manifest.csv`` and ``classes.csv``.

0 is "not annotated" and k is the k-th class of ``classes.csv``. Without a manifest, a label image
belongs to the image of the same name.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path

import numpy as np

from napari_convnet.errors import UserError
from napari_convnet.exchange.class_table import class_table_bytes, read_class_table
from napari_convnet.exchange.label_files import label_tiff, list_label_files, read_label_file
from napari_convnet.exchange.matching import (
    Target,
    check_place,
    plane_and_shape,
    plane_shape,
)
from napari_convnet.exchange.output import FileNames, OutputFolder
from napari_convnet.exchange.patch_folder import MANIFEST, check_inside
from napari_convnet.exchange.plan import ImportPlan, NewPainting, PackedPlane
from napari_convnet.exchange.results import ExportResult, nothing_to_export
from napari_convnet.exchange.tables import plane_cell, read_table, shown, table_bytes
from napari_convnet.progress import Progress
from napari_convnet.project import ImageRecord, Project

COLUMNS = ("file", "image", "source", "plane")
CLASSES = "classes.csv"

#: Label file, image, plane (None: all of them), and how a message names it.
_Pair = tuple[Path, ImageRecord, tuple[int, ...] | None, str]


def export_painted_masks(project: Project, out: Path) -> Generator[Progress, None, ExportResult]:
    """Write every painted plane of the project into a new folder.

    Raises
    ------
    UserError
        CN-658 if nothing is painted, CN-659 if ``out`` exists, CN-301 if the disk refuses.
    """
    planes = [
        (image, plane) for image in project.images() for plane in project.painted_planes(image.id)
    ]
    if not planes:
        raise nothing_to_export("painted labels")
    names, rows = FileNames(), []
    with OutputFolder(out) as folder:
        for number, (image, plane) in enumerate(planes):
            yield Progress(done=number, total=len(planes), text="writing label images")
            labels = project.read_painting(image.id, plane, plane_shape(image))
            stem = "-".join([Path(image.name).stem, *map(str, plane)])
            name = names.make(stem, ".tif")
            folder.write(name, label_tiff(labels))
            rows.append((name, image.name, image.source, plane_cell(plane)))
        folder.write(MANIFEST, table_bytes(COLUMNS, rows))
        folder.write(CLASSES, class_table_bytes(project.classes("segment")))
    return ExportResult(Path(out), {"label images": len(planes)})


def plan_painted_masks(target: Target, path: Path) -> Generator[Progress, None, ImportPlan]:
    """Read label images as painted labels; where they are 0, what is painted already stays.

    Parameters
    ----------
    path
        A folder as `export_painted_masks` writes it, a folder of label images that are called as their
        images, or one label image. Without ``classes.csv`` label k means class k of the project.

    Raises
    ------
    UserError
        CN-651, CN-652 for files that cannot be used, CN-611 to CN-613 for labels that do not fit their
        image, CN-641 for a label above the number of classes, CN-653, CN-654, CN-656.
    """
    path = Path(path)
    classes = target.classes("segment")
    table = path / CLASSES
    values = np.arange(256, dtype=np.uint8)
    n_classes = len(target.project.classes("segment"))
    if table.is_file():
        infos = read_class_table(table)
        n_classes = len(infos)
        for k, info in enumerate(infos, start=1):
            values[k] = classes.find(f"'{CLASSES}', class {k}", info.name, info.colour)
    plan = ImportPlan(path.name)
    pairs = list(_pairs(target, path))
    for number, (file, image, plane, where) in enumerate(pairs):
        yield Progress(done=number, total=len(pairs), text=f"reading {shown(file.name, 40)}")
        labels = read_label_file(file, plan, target.options.converts_decimals)
        labels = _checked(labels, image, plane, n_classes, where)
        if plane is not None:
            add_painting(plan, image, plane, values[labels])
            continue
        leading, _ = plane_and_shape(image)
        for index in np.ndindex(*leading):
            add_painting(plan, image, index, values[labels[index]])
    if not plan.paintings:
        plan.skipped.append("all of it, because no pixel is above 0")
    return plan


def _pairs(target: Target, path: Path) -> Iterator[_Pair]:
    """Yield each label file with the image and plane that it belongs to."""
    images = target.images
    manifest = path / MANIFEST
    if not manifest.is_file():
        for file in list_label_files(path):
            image = images.find_for_file(file, target.options) if path.is_file() else images.find(
                f"'{shown(file.name)}'", "", file.stem
            )  # fmt: skip
            yield file, image, None, f"'{shown(file.name)}'"
        return
    seen = set()
    for row in read_table(manifest, COLUMNS):
        check_inside(row, row.text("file"))
        file = path / row.text("file")
        if not row.text("file") or not file.is_file() or file.is_symlink():
            row.refuse(f"the label image '{row.text('file')}' is not in the folder", "CN-651")
        image, plane = (
            images.find(row.where, row.text("source"), row.text("image")),
            row.indices("plane"),
        )
        check_place(row.where, image, plane, (0.0, 0.0))
        if (image.id, plane) in seen:
            row.refuse("this image and plane is there twice")
        seen.add((image.id, plane))
        yield file, image, plane, row.where


def _checked(
    labels: np.ndarray,
    image: ImageRecord,
    plane: tuple[int, ...] | None,
    n_classes: int,
    where: str,
) -> np.ndarray:
    """Return labels of the image's size, whose values are classes."""
    leading, shape = plane_and_shape(image)
    expected = shape if plane is not None else (*leading, *shape)
    if labels.shape != expected:
        raise UserError(
            "CN-613",
            f"{where}: the labels have shape {labels.shape}, but image '{shown(image.name)}' has "
            f"{expected}. Nothing was imported.",
        )
    low, high = (int(labels.min()), int(labels.max())) if labels.size else (0, 0)
    if low < 0:
        raise UserError("CN-612", f"{where}: label {low}. Labels start at 0 (not annotated).")
    if high > n_classes:
        raise UserError(
            "CN-641",
            f"{where}: label {high}, but there are {n_classes} classes. Nothing was imported. "
            "Add the classes, or import it as instance masks if it has one label for each object.",
        )
    return labels.astype(np.uint8)


def add_painting(
    plan: ImportPlan, image: ImageRecord, plane: tuple[int, ...], labels: np.ndarray
) -> None:
    """Let a plan write class values ``(Y, X)`` uint8 into a plane, if there are any."""
    if labels.any():
        plan.paintings.append(NewPainting(image.id, plane, PackedPlane(labels)))
