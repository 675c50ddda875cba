"""Instance masks with a table of classes: one label image and one CSV (label, class) for each image.

``NAME.tif`` and ``NAME.csv`` belong together; ``NAME`` is the image's name, or what ``manifest.csv``
says. Every label of the table has to be in the mask; labels without a line stay unannotated.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path

from napari_convnet.errors import UserError
from napari_convnet.exchange.label_files import label_tiff, list_label_files, read_label_file
from napari_convnet.exchange.matching import Target
from napari_convnet.exchange.output import FileNames, OutputFolder
from napari_convnet.exchange.patch_folder import MANIFEST, check_inside
from napari_convnet.exchange.pixels import Pixels, check_label_image, find_label_objects
from napari_convnet.exchange.plan import ImportPlan, NewObject
from napari_convnet.exchange.results import ExportResult, nothing_to_export
from napari_convnet.exchange.tables import read_table, shown, table_bytes
from napari_convnet.progress import Progress
from napari_convnet.project import ImageRecord, Project

COLUMNS = ("label", "class", "annotated_by")
MANIFEST_COLUMNS = ("file", "table", "image", "source", "labels")


def export_object_masks(
    project: Project, out: Path, pixels: Pixels
) -> Generator[Progress, None, ExportResult]:
    """Write the label image of every annotated image, and a table of its cells' classes.

    Raises
    ------
    UserError
        CN-658 without annotated cells, CN-659 if ``out`` exists, CN-662 if no label image was found.
    """
    groups = list(annotated_groups(project))
    if not groups:
        raise nothing_to_export("annotated cells")
    classes = project.classes("classify")
    names, rows, cells, skipped = FileNames(), [], 0, []
    with OutputFolder(out) as folder:
        for number, (image, labels_name, notes) in enumerate(groups):
            yield Progress(done=number, total=len(groups), text="writing instance masks")
            labels = pixels.label_image(image, labels_name)
            if labels is None:
                raise no_label_image(image, labels_name)
            present = find_label_objects(labels)
            known = sorted((a for a in notes if a.label in present), key=lambda note: note.label)
            if len(known) < len(notes):
                skipped.append(f"{len(notes) - len(known):,} cells not in '{labels_name}'")
            stem = names.make(Path(image.name).stem)
            folder.write(f"{stem}.tif", label_tiff(labels))
            lines = [(a.label, classes[a.value - 1].name, a.annotated_by) for a in known]
            folder.write(f"{stem}.csv", table_bytes(COLUMNS, lines))
            rows.append((f"{stem}.tif", f"{stem}.csv", image.name, image.source, labels_name))
            cells += len(known)
        folder.write(MANIFEST, table_bytes(MANIFEST_COLUMNS, rows))
    return ExportResult(Path(out), {"instance masks": len(groups), "cells": cells}, skipped)


def annotated_groups(project: Project) -> Iterator[tuple[ImageRecord, str, list]]:
    """Yield image, name of the label layer and annotations, for each pair that has any."""
    for image in project.images():
        groups: dict[str, list] = {}
        for annotation in project.object_annotations(image.id):
            groups.setdefault(annotation.labels_name, []).append(annotation)
        for labels_name, notes in groups.items():
            yield image, labels_name, notes


def no_label_image(image: ImageRecord, labels_name: str) -> UserError:
    """Return CN-662."""
    return UserError(
        "CN-662",
        f"The label image '{shown(labels_name)}' of '{shown(image.name)}' is needed, and was not found. "
        "Nothing was exported. Open it in the viewer, or name its file or folder.",
    )


def plan_object_masks(target: Target, path: Path) -> Generator[Progress, None, ImportPlan]:
    """Read instance masks and their tables as classes of cells; nothing is written yet.

    Parameters
    ----------
    path
        A folder of pairs ``NAME.tif`` and ``NAME.csv``, or one mask with its table beside it. The name
        of the label layer is the mask's, or what the manifest says.

    Raises
    ------
    UserError
        CN-651 to CN-656 for files and lines that cannot be used, CN-655 for a label that is not in the
        mask, CN-611 for a mask that holds no whole numbers, CN-613 for one of another size.
    """
    path = Path(path)
    classes = target.classes("classify")
    plan = ImportPlan(path.name)
    pairs = list(_pairs(target, path))
    for number, (mask, table, image, labels_name) in enumerate(pairs):
        yield Progress(done=number, total=len(pairs), text=f"reading {shown(mask.name, 40)}")
        labels = read_label_file(mask, plan, target.options.converts_decimals)
        labels = check_label_image(labels, image, mask.name)
        present = find_label_objects(labels)
        seen: set[int] = set()
        for row in read_table(table, ("label", "class")):
            label = row.whole("label", 1, 2**63 - 1)
            if label in seen:
                row.refuse(f"label {label} is there twice")
            if label not in present:
                row.refuse(f"label {label} is not in '{shown(mask.name)}'", "CN-655")
            seen.add(label)
            annotated_by = row.text("annotated_by") or "person"
            if annotated_by not in ("person", "model"):
                row.refuse(f"annotated_by is '{annotated_by}'; expected person or model")
            value, found = classes.find(row.where, row.text("class")), present[label]
            plan.objects.append(
                NewObject(
                    image.id, labels_name, label, found.plane, found.centre, value, annotated_by
                )
            )
        if len(present) > len(seen):
            plan.notes.append(f"'{mask.name}': {len(present) - len(seen):,} objects have no class.")
    return plan


def _pairs(target: Target, path: Path) -> Iterator[tuple[Path, Path, ImageRecord, str]]:
    """Yield mask, table, image and name of the label layer."""
    images = target.images
    manifest = path / MANIFEST
    if manifest.is_file():
        for row in read_table(manifest, MANIFEST_COLUMNS):
            for column in ("file", "table"):
                check_inside(row, row.text(column))
                if not row.text(column) or not (path / row.text(column)).is_file():
                    row.refuse(f"'{row.text(column)}' is not in the folder", "CN-651")
            image = images.find(row.where, row.text("source"), row.text("image"))
            yield path / row.text("file"), path / row.text("table"), image, row.text("labels")
        return
    for mask in list_label_files(path):
        where = f"'{shown(mask.name)}'"
        table = mask.with_suffix(".csv")
        if not table.is_file():
            raise UserError(
                "CN-651",
                f"{where} has no table '{shown(table.name)}' beside it. Nothing was imported. "
                "Make one with the columns label and class.",
            )
        image = (
            images.find_for_file(mask, target.options, "_masks", "_labels")
            if path.is_file()
            else images.find(where, "", mask.stem)
        )
        yield mask, table, image, mask.stem
