"""Points and shapes as napari itself writes them to CSV, read as patches and written from them.

A point is the centre of a patch; a shape becomes the square with the middle of its box and its longer
side. A column ``class`` names the class, a column ``size`` the side of a point's patch.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import Any

from napari_convnet.exchange.matching import (
    ClassFinder,
    Target,
    check_place,
    leading_axes,
)
from napari_convnet.exchange.output import FileNames, OutputFolder
from napari_convnet.exchange.plan import ImportPlan, NewPatch, NewPosition
from napari_convnet.exchange.results import ExportResult, nothing_to_export
from napari_convnet.exchange.tables import Row, file_error, read_table, table_bytes
from napari_convnet.progress import Progress
from napari_convnet.project import ImageRecord, PatchAnnotation, PositionAnnotation, Project

#: Shapes without an inside.
_LINES = ("line", "path")


def export_points(
    project: Project, out: Path, task: str = "classify"
) -> Generator[Progress, None, ExportResult]:
    """Write the centres of the patches, one ``IMAGE_points.csv`` for each image with any.

    With the task ``"locate"`` the positions are written instead.
    """
    if task == "locate":
        return (yield from _export(project, out, "_points.csv", _position_table, "locate"))
    return (yield from _export(project, out, "_points.csv", _point_table))


def export_shapes(project: Project, out: Path) -> Generator[Progress, None, ExportResult]:
    """Write the patches as rectangles, one ``IMAGE_shapes.csv`` for each image with any."""
    return (yield from _export(project, out, "_shapes.csv", _shape_table))


def _export(
    project: Project, out: Path, ending: str, make_table: Any, task: str = "classify"
) -> Generator[Progress, None, ExportResult]:
    read, what = (
        (project.positions, "positions") if task == "locate" else (project.patches, "patches")
    )
    groups = [(image, read(image.id)) for image in project.images()]
    groups = [(image, patches) for image, patches in groups if patches]
    if not groups:
        raise nothing_to_export(what)
    classes = [info.name for info in project.classes(task)]
    names = FileNames()
    with OutputFolder(out) as folder:
        for number, (image, patches) in enumerate(groups):
            yield Progress(done=number, total=len(groups), text="writing tables")
            axes = [f"axis-{k}" for k in range(len(leading_axes(image)) + 2)]
            stem = names.make(Path(image.name).stem)
            folder.write(stem + ending, make_table(axes, patches, classes))
    total = sum(len(patches) for _, patches in groups)
    return ExportResult(Path(out), {what: total})


def _point_table(axes: list[str], patches: Iterable[PatchAnnotation], classes: list[str]) -> bytes:
    rows = [
        (
            float(index),
            *map(float, patch.plane),
            *patch.centre,
            classes[patch.value - 1],
            patch.size,
        )
        for index, patch in enumerate(patches)
    ]
    return table_bytes(["index", *axes, "class", "size"], rows)


def _position_table(
    axes: list[str], points: Iterable[PositionAnnotation], classes: list[str]
) -> bytes:
    rows = [
        (float(index), *map(float, p.plane), *p.centre, classes[p.value - 1] if p.value else "")
        for index, p in enumerate(points)
    ]
    return table_bytes(["index", *axes, "class"], rows)


def _shape_table(axes: list[str], patches: Iterable[PatchAnnotation], classes: list[str]) -> bytes:
    rows = []
    for index, patch in enumerate(patches):
        (y, x), half = patch.centre, patch.size / 2
        corners = (
            (y - half, x - half),
            (y - half, x + half),
            (y + half, x + half),
            (y + half, x - half),
        )
        for vertex, corner in enumerate(corners):
            name = classes[patch.value - 1]
            rows.append((index, "rectangle", vertex, *map(float, patch.plane), *corner, name))
    return table_bytes(["index", "shape-type", "vertex-index", *axes, "class"], rows)


def plan_points(target: Target, path: Path) -> Generator[Progress, None, ImportPlan]:
    """Read a points CSV of one image as patches, or for the task "locate" as positions.

    The image is the one that the options name, the only one of the project, or the one of the file's
    name without ``_points``. Size and class come from the table, else from the options.

    Raises
    ------
    UserError
        CN-651 for another file, CN-652 to CN-654 for a line that cannot be used.
    """
    path = Path(path)
    rows = read_table(path, ("axis-0", "axis-1"))
    image = target.images.find_for_file(path, target.options, "_points")
    axes = _axes(path, rows, image)
    is_locate = target.options.task == "locate"
    classes = target.classes("locate" if is_locate else "classify")
    plan = ImportPlan(path.name)
    for number, row in enumerate(rows):
        size = row.whole("size", 1) if row.text("size") else target.options.size
        plane, centre = _place(row, axes)
        check_place(row.where, image, plane, centre, 0 if is_locate else size)
        if is_locate:
            is_named = row.text("class") or target.options.class_name.strip()
            value = classes.find(row.where, row.text("class")) if is_named else 0
            plan.positions.append(NewPosition(image.id, plane, centre, value))
        else:
            value = classes.find(row.where, row.text("class"))
            plan.patches.append(NewPatch(image.id, plane, centre, size, value))
        if number % 1000 == 0:
            yield Progress(done=number, total=len(rows), text="reading points")
    return plan


def plan_shapes(target: Target, path: Path) -> Generator[Progress, None, ImportPlan]:
    """Read a shapes CSV of one image as patches; see `plan_points`. Lines and paths are left out."""
    path = Path(path)
    rows = read_table(path, ("index", "shape-type", "vertex-index", "axis-0", "axis-1"))
    image = target.images.find_for_file(path, target.options, "_shapes")
    axes = _axes(path, rows, image)
    classes = target.classes("classify")
    plan = ImportPlan(path.name)
    shapes: dict[int, list[Row]] = {}
    for row in rows:
        shapes.setdefault(row.whole("index", 0), []).append(row)
    lines = oblong = 0
    for number, vertices in enumerate(shapes.values()):
        if vertices[0].text("shape-type") in _LINES:
            lines += 1
            continue
        patch, is_oblong = _square(vertices, axes, image, classes)
        plan.patches.append(patch)
        oblong += is_oblong
        if number % 500 == 0:
            yield Progress(done=number, total=len(shapes), text="reading shapes")
    if lines:
        plan.skipped.append(f"{lines:,} lines and paths, which have no inside")
    if oblong:
        plan.notes.append(
            f"{oblong:,} shapes that are not square became squares with their longer side."
        )
    return plan


def _axes(path: Path, rows: tuple[Row, ...], image: ImageRecord) -> list[str]:
    """Return the names of the position columns, as many as the image has axes without channels."""
    wanted = len(leading_axes(image)) + 2
    axes = [f"axis-{k}" for k in range(wanted)]
    columns = rows[0].values if rows else {}
    if rows and (axes[-1] not in columns or f"axis-{wanted}" in columns):
        given = sum(name.startswith("axis-") for name in columns)
        raise file_error(path, f"it has {given} axes, but image '{image.name[:50]}' has {wanted}")
    return axes


def _place(row: Row, axes: list[str]) -> tuple[tuple[int, ...], tuple[float, float]]:
    position = [row.number(name) for name in axes]
    plane = tuple(math.floor(c + 0.5) for c in position[:-2])
    return plane, (position[-2], position[-1])


def _square(
    vertices: list[Row], axes: list[str], image: ImageRecord, classes: ClassFinder
) -> tuple[NewPatch, bool]:
    """Return the square around a shape's box, and whether the box was not square."""
    first = vertices[0]
    places = [_place(row, axes) for row in vertices]
    if len(places) < 3 and first.text("shape-type") != "ellipse":
        first.refuse(
            f"shape {first.text('index')} has {len(places)} corners; is the file complete?"
        )
    planes = {plane for plane, _ in places}
    if len(planes) > 1:
        first.refuse(f"shape {first.text('index')} reaches over several planes")
    ys, xs = zip(*(centre for _, centre in places), strict=True)
    height, width = max(ys) - min(ys), max(xs) - min(xs)
    centre = ((min(ys) + max(ys)) / 2, (min(xs) + max(xs)) / 2)
    size = max(1, round(max(height, width)))
    plane = planes.pop()
    check_place(first.where, image, plane, centre, size)
    value = classes.find(first.where, first.text("class"))
    return NewPatch(image.id, plane, centre, size, value), abs(height - width) >= 1
