"""The tables of a folder of results: a summary with one row an image, and the lines of all images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_convnet.atomic import write_atomically
from napari_convnet.exchange.tables import table_bytes
from napari_convnet.prediction.many_images.journal import DoneImage, Journal
from napari_convnet.prediction.many_images.kinds import Kind

SUMMARY_FILE = "summary.csv"


@dataclass(frozen=True)
class AppliedImage:
    """One row of the summary.

    Parameters
    ----------
    path
        The image, as it was given.
    summary
        Values by column; empty where something went wrong.
    problem
        What went wrong, with its code, or "".
    files
        Names of the image's own files in the folder of results.
    """

    path: Path
    summary: Mapping[str, Any]
    problem: str = ""
    files: tuple[str, ...] = ()


def write_tables(
    journal: Journal, kind: Kind, files: Sequence[Path], problems: Mapping[Path, str]
) -> None:
    """Write the summary and the table of all images, unless nothing is done yet.

    Images are in the order in which they were given; those of earlier runs of the same model into this folder
    come last. What went wrong is in the summary only.

    Raises
    ------
    UserError
        CN-301 if the disk refuses.
    """
    if not journal.done:
        return
    order = {path.resolve(): path for path in files}
    others = sorted(path for path in journal.done if path not in order)
    columns: list[str] = []
    lines: list[list[Any]] = []
    summary: list[list[Any]] = []
    for place, path in [*order.items(), *((other, other) for other in others)]:
        entry: DoneImage | None = journal.done.get(place)
        problem = problems.get(path, "")
        if entry is None and not problem:
            continue
        values = entry.summary if entry is not None and not problem else {}
        found = [values.get(column, "") for column in kind.summary_columns]
        summary.append([str(path), *found, problem])
        if values and entry is not None:
            columns, rows = journal.lines_of(entry)
            lines += ([kind.shown(path), *row] for row in rows)
    header = ("image", *kind.summary_columns, "problem")
    write_atomically(journal.folder / kind.table, table_bytes((kind.name_column, *columns), lines))
    write_atomically(journal.folder / SUMMARY_FILE, table_bytes(header, summary))
