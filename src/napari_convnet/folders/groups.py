"""Which files belong together: of one patient, slide or well, or copies of each other."""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from napari_convnet.errors import UserError

#: Columns of a table that are taken for the files' names, in this order; else the first column.
_FILE_COLUMNS = ("file", "filename", "file_name", "image", "name", "path")


def group_names(files: Sequence[Path], pattern: str) -> tuple[str, ...]:
    """Return the group of each file: what the pattern finds in its name (the first bracket, or all of it).

    Raises
    ------
    UserError
        CN-635 for a pattern that is not valid or does not occur in a file's name.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise UserError(
            "CN-635", f"'{pattern}' is not a valid regular expression: {error}."
        ) from error
    groups = []
    for path in files:
        found = compiled.search(path.name)
        if found is None:
            raise UserError(
                "CN-635", f"The group pattern '{pattern}' does not occur in '{path.name}'."
            )
        groups.append(found.group(1) if compiled.groups else found.group(0))
    return tuple(groups)


def group_column(files: Sequence[Path], table: Path, column: str = "") -> tuple[str, ...]:
    """Return the group of each file as a CSV table says it.

    Parameters
    ----------
    table
        Has a header. Files are named in a column called file, filename, image, name or path, else in the
        first one; by name, with or without its ending, or by the end of their path (``class/name.png``).
    column
        Holds the groups; may be left out where there is one other column.

    Raises
    ------
    UserError
        CN-635, saying what is missing: the table, the column, or a file.
    """
    rows, columns = _read_rows(table)
    name_column = next((c for c in _FILE_COLUMNS if c in columns), columns[0])
    others = [c for c in columns if c != name_column]
    if not column and len(others) == 1:
        column = others[0]
    if column not in others:
        raise UserError(
            "CN-635",
            f"'{table.name}' has no column '{column}' of groups. It has: {', '.join(columns)[:120]}. "
            "Name one with --groups-column.",
        )
    named: dict[str, set[str]] = {}
    for row in rows:
        path = (row[name_column] or "").strip().replace("\\", "/")
        for key in {path, path.rsplit("/", 1)[-1]} - {""}:
            named.setdefault(key, set()).add((row[column] or "").strip())
    return tuple(_group_of(path, named, table, column) for path in files)


def _read_rows(table: Path) -> tuple[list[dict[str, str]], list[str]]:
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            start = file.read(4096)
            file.seek(0)
            delimiter = max(",;\t", key=start.splitlines()[0].count) if start.strip() else ","
            reader = csv.DictReader(file, delimiter=delimiter)
            rows, columns = list(reader), list(reader.fieldnames or ())
    except (OSError, ValueError, csv.Error) as error:
        raise UserError(
            "CN-635", f"'{table}' cannot be read as a CSV table of groups. Check the file.",
            details=str(error),
        ) from error  # fmt: skip
    if not columns:
        raise UserError(
            "CN-635", f"'{table}' is empty. It needs a header and a line for each file."
        )
    return rows, columns


def _group_of(path: Path, named: dict[str, set[str]], table: Path, column: str) -> str:
    keys = (
        f"{path.parent.name}/{path.name}",
        path.name,
        f"{path.parent.name}/{path.stem}",
        path.stem,
    )
    found = next((named[key] for key in keys if key in named), set())
    if len(found) == 1 and "" not in found:
        return next(iter(found))
    what = "has several groups in" if len(found) > 1 else "has none in" if found else "is not in"
    raise UserError(
        "CN-635", f"'{path.name}' {what} '{table.name}'. Each file needs one '{column}'."
    )


def content_numbers(files: Sequence[Path]) -> np.ndarray:
    """Return a number for each file, the same for files whose bytes are the same.

    Only files of the same size are read.

    Returns
    -------
    numpy.ndarray
        ``(N,)`` int64.
    """
    sizes = [path.stat().st_size if path.exists() else -1 for path in files]
    shared = {size for size, n in zip(*np.unique(sizes, return_counts=True), strict=True) if n > 1}
    contents: dict[object, int] = {}
    numbers = []
    for path, size in zip(files, sizes, strict=True):
        content: object = path
        if size in shared and size >= 0:
            with path.open("rb") as file:
                content = hashlib.file_digest(file, "sha256").digest()
        numbers.append(contents.setdefault(content, len(contents)))
    return np.array(numbers, np.int64)
