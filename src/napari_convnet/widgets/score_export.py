"""Scores as files: everything as JSON, tables as CSV, plots as PNG and SVG, in a folder of their own."""

from __future__ import annotations

import json
import threading
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

from napari_convnet.atomic import write_atomically
from napari_convnet.errors import UserError
from napari_convnet.exchange.tables import table_bytes
from napari_convnet.progress import Progress
from napari_convnet.project import EpochRecord
from napari_convnet.scores import ScoreReport

#: Folders of one name that may lie beside each other.
_MOST_FOLDERS = 1000
#: A text that begins so would be a formula in a spreadsheet.
_FORMULAS = ("=", "+", "-", "@", "\t", "\r")


def score_files(
    title: str,
    task: str,
    scores: Mapping[str, Any],
    reports: Sequence[ScoreReport],
    epochs: Sequence[EpochRecord],
) -> dict[str, bytes]:
    """Return what is written besides plots: bytes by file name; floats keep all their digits."""
    everything = {
        "name": title, "task": task, "scores": scores,
        "epochs": [{"epoch": e.epoch, **e.curves} for e in epochs],
    }  # fmt: skip
    files = {"scores.json": json.dumps(everything, indent=1, ensure_ascii=False).encode()}
    for report in reports:
        files[f"classes_{report.part}.csv"] = class_table(report)
        if report.confusion is not None:
            files[f"confusion_{report.part}.csv"] = table_bytes(
                ("truth \\ called", *map(cell_text, report.names)),
                [
                    (cell_text(name), *map(int, counts))
                    for name, counts in zip(report.names, report.confusion, strict=True)
                ],
            )
    if epochs:
        keys = sorted({key for record in epochs for key in record.curves})
        rows = [
            (e.epoch, *("" if e.curves.get(k) is None else e.curves[k] for k in keys))
            for e in epochs
        ]
        files["epochs.csv"] = table_bytes(("epoch", *keys), rows)
    return files


def class_table(report: ScoreReport) -> bytes:
    """Return the scores by class as CSV: each score with the ends of its interval."""
    header = ["class", "n"]
    for key in report.columns:
        header += [key, f"{key}_low", f"{key}_high"]
    rows = []
    for row in report.rows:
        values: list[Any] = [cell_text(row.name), "" if row.n is None else row.n]
        for figure in row.figures:
            ends = figure.interval or ("", "")
            values += ["" if figure.value is None else figure.value, *ends]
        rows.append(values)
    return table_bytes(header, rows)


def cell_text(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(_FORMULAS) else text


def write_files(
    folder: Path, files: Mapping[str, bytes], stop: threading.Event
) -> Generator[Progress, None, Path]:
    """Write files to a new folder of this name, in the worker; returns the folder.

    Raises
    ------
    UserError
        CN-301 if the folder or a file cannot be written.
    """
    made = _new_folder(folder)
    for done, (name, data) in enumerate(files.items(), start=1):
        if stop.is_set():
            break
        write_atomically(made / name, data)
        yield Progress(done=done, total=len(files), text=f"writing {name}")
    return made


def _new_folder(folder: Path) -> Path:
    for number in range(1, _MOST_FOLDERS):
        made = folder if number == 1 else folder.with_name(f"{folder.name} ({number})")
        try:
            made.mkdir()
        except FileExistsError:
            continue
        except (OSError, ValueError) as error:
            raise UserError(
                "CN-301",
                f"Not saved: the folder '{made.name[:60]}' could not be made in '{made.parent.name[:60]}' "
                f"({getattr(error, 'strerror', None) or error}). Choose another folder.",
            ) from error
        return made
    raise UserError("CN-301", f"Not saved: '{folder.name[:60]}' exists {_MOST_FOLDERS} times.")
