"""CSV tables that say which line is wrong, and tables written so that any program reads them."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from napari_convnet.errors import UserError

#: A table that is larger than this is no table of annotations.
_MOST_BYTES = 1_000_000_000
#: No image has more pixels than this along an axis.
LARGEST_POSITION = 2**31 - 1


def shown(text: object, length: int = 60) -> str:
    """Return text on one line, cut to what a message has room for."""
    plain = "".join(c if c.isprintable() else "?" for c in str(text))
    return plain if len(plain) <= length else plain[: length - 1] + "\u2026"


def file_error(path: Path, what: str, details: str = "") -> UserError:
    """Return CN-651: a file that is not what it should be."""
    return UserError(
        "CN-651",
        f"'{shown(path.name)}' was not imported: {shown(what, 140)}. Nothing was changed. "
        "Check the file or write it again.",
        details or str(path),
    )


@dataclass(frozen=True)
class Row:
    """One line of a table: values by column, and where it stands in which file."""

    path: Path
    line: int
    values: Mapping[str, str]

    @property
    def where(self) -> str:
        """File and line, as a message begins."""
        return f"'{shown(self.path.name)}', line {self.line}"

    def refuse(self, what: str, code: str = "CN-652") -> NoReturn:
        """Refuse the file because of this line.

        Raises
        ------
        UserError
            CN-652 or the code that is given, with file and line.
        """
        raise UserError(
            code,
            f"{self.where}: {shown(what, 180)}. Nothing was imported. Correct the line.",
            str(self.path),
        )

    def text(self, column: str) -> str:
        """Return a value without the blanks around it; empty if there is no such column."""
        return self.values.get(column, "").strip()

    def number(self, column: str) -> float:
        """Return a finite number that can be a position in an image."""
        try:
            value = float(self.text(column))
        except ValueError:
            self.refuse(f"{column} is '{shown(self.text(column), 30)}', which is no number")
        if not math.isfinite(value) or abs(value) > LARGEST_POSITION:
            self.refuse(f"{column} is {self.text(column)[:30]}, which is no position in an image")
        return value

    def whole(self, column: str, lowest: int, highest: int = LARGEST_POSITION) -> int:
        """Return a whole number within bounds, which may be written as 3 or 3.0."""
        text = self.text(column)
        try:
            value = int(text) if text.lstrip("+-").isdigit() else int(_whole_float(text))
        except ValueError:
            self.refuse(f"{column} is '{shown(text, 30)}', which is no whole number")
        if not lowest <= value <= highest:
            self.refuse(f"{column} is {shown(text, 30)}; expected {lowest} to {highest}")
        return value

    def indices(self, column: str) -> tuple[int, ...]:
        """Return whole numbers from 0 on with blanks between, such as the indices of a plane."""
        texts = self.text(column).split()
        if any(not text.isascii() or not text.isdigit() or len(text) > 10 for text in texts):
            self.refuse(
                f"{column} is '{shown(self.text(column), 30)}'; expected indices like '0 3'"
            )
        return tuple(int(text) for text in texts)


def _whole_float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value) or value != int(value):
        raise ValueError(text)
    return value


def read_table(path: Path, required: Sequence[str]) -> tuple[Row, ...]:
    """Read a CSV table with a header, comma or semicolon between values, UTF-8.

    Parameters
    ----------
    path
        The file.
    required
        Columns without which it is another kind of table; upper and lower case count as one.

    Raises
    ------
    UserError
        CN-651 for a file that is no such table; CN-652 with the line for a line of another length.
    """
    path = Path(path)
    text = read_text(path)
    header_end = text.find("\n") if "\n" in text else len(text)
    header_text = text[:header_end]
    delimiter = ";" if ";" in header_text and "," not in header_text else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows: list[Row] = []
    try:
        columns = [name.strip().lower() for name in next(reader, [])]
        missing = [name for name in required if name not in columns]
        if missing:
            raise file_error(path, f"it has no column '{missing[0]}'")
        if len(set(columns)) != len(columns):
            raise file_error(path, "two of its columns have the same name")
        for values in reader:
            if not values:
                continue
            row = Row(path, reader.line_num, dict(zip(columns, values, strict=False)))
            if len(values) != len(columns):
                row.refuse(f"it has {len(values)} values, but there are {len(columns)} columns")
            rows.append(row)
    except csv.Error as error:
        raise UserError(
            "CN-652",
            f"'{shown(path.name)}', line {reader.line_num}: {error}. Nothing was imported. "
            "Is the file complete?",
            str(path),
        ) from error
    return tuple(rows)


def read_text(path: Path) -> str:
    """Return the text of a UTF-8 file.

    Raises
    ------
    UserError
        CN-651 if it cannot be read, is too large or is no text.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise file_error(path, f"it has more than {_MOST_BYTES // 10**6:,} MB")
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise file_error(path, f"it cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise file_error(path, "it is no UTF-8 text") from error
    if "\0" in text:
        raise file_error(path, "it is no text")
    return text


def table_bytes(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    """Return a CSV table as UTF-8; floats keep all their digits."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_plain(value) for value in row] for row in rows)
    return text.getvalue().encode()


def _plain(value: Any) -> Any:
    return repr(float(value)) if isinstance(value, float) else value


def plane_cell(plane: Sequence[int]) -> str:
    """Return the indices of a plane as a table holds them; empty for a plain 2-D image."""
    return " ".join(str(int(index)) for index in plane)
