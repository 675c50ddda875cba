"""The class table as CSV: value, name, colour."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path

from napari_convnet.atomic import write_atomically
from napari_convnet.classes import MAX_CLASSES, ClassInfo, palette_colour
from napari_convnet.errors import UserError
from napari_convnet.exchange.matching import Target
from napari_convnet.exchange.plan import ImportPlan
from napari_convnet.exchange.results import ExportResult, nothing_to_export
from napari_convnet.exchange.tables import file_error, read_table, table_bytes
from napari_convnet.progress import Progress
from napari_convnet.project import Project

COLUMNS = ("value", "name", "colour")


def class_table_bytes(classes: Sequence[ClassInfo]) -> bytes:
    """Return the table as UTF-8."""
    rows = [(value, info.name, info.colour) for value, info in enumerate(classes, start=1)]
    return table_bytes(COLUMNS, rows)


def write_class_table(path: Path, classes: Sequence[ClassInfo]) -> None:
    """Write the table, whole or not at all.

    Raises
    ------
    UserError
        CN-301, CN-312 if it cannot be written.
    """
    write_atomically(path, class_table_bytes(classes))


def read_class_table(path: Path) -> tuple[ClassInfo, ...]:
    """Read a class table; a class without a colour gets the palette's next one.

    Raises
    ------
    UserError
        CN-651 for another file; CN-652 with the line for values that do not run 1, 2, 3, ..., a name that
        is empty, too long or given twice, or a colour that is not ``#rrggbb``.
    """
    rows = read_table(Path(path), ("value", "name"))
    if not rows:
        raise file_error(Path(path), "it has no classes")
    classes: list[ClassInfo] = []
    for row in rows:
        expected = len(classes) + 1
        if row.whole("value", 1, MAX_CLASSES) != expected:
            row.refuse(f"value {row.text('value')}; expected {expected} (values run 1, 2, 3, ...)")
        name = row.values["name"]
        if any(info.name == name for info in classes):
            row.refuse(f"the name '{name}' is given twice")
        try:
            classes.append(ClassInfo(name, row.text("colour") or palette_colour(len(classes))))
        except UserError as error:
            row.refuse(error.message)
    return tuple(classes)


def export_class_table(
    project: Project, out: Path, task: str = "classify"
) -> Generator[Progress, None, ExportResult]:
    """Write the classes of a task to a CSV file."""
    classes = project.classes(task)
    if not classes:
        raise nothing_to_export(f"classes of '{task}'")
    yield Progress(done=0, total=1, text="writing the class table")
    write_class_table(out, classes)
    return ExportResult(Path(out), {"classes": len(classes)})


def plan_class_table(target: Target, path: Path) -> Generator[Progress, None, ImportPlan]:
    """Read names and colours for the classes of ``target.options.task``; nothing is written yet.

    Raises
    ------
    UserError
        As `read_class_table`; CN-335 if a class that would go has annotations.
    """
    yield Progress(done=0, total=1, text="reading the class table")
    classes = read_class_table(path)
    used = max(target.project.class_counts(target.options.task), default=0)
    if used > len(classes):
        raise UserError(
            "CN-335",
            f"'{Path(path).name[:60]}' has {len(classes)} classes, but class {used} of "
            f"'{target.options.task}' has annotations. Nothing was changed. Add the missing classes to it.",
        )
    return ImportPlan(Path(path).name, classes={target.options.task: classes})
