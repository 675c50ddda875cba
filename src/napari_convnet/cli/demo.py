"""The demonstration on the command line: runs both jobs, writes what they gave, and opens napari."""

from __future__ import annotations

import importlib.util
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from napari_convnet.cli.console import follow, print_table, say
from napari_convnet.cli.demo_files import write_cells, write_nuclei
from napari_convnet.demonstration import Setup, classify_cells, segment_nuclei
from napari_convnet.devices import choose_device
from napari_convnet.errors import UserError
from napari_convnet.evaluation import versions
from napari_convnet.exchange.result_files import make_folder, write_report

#: Time limit of each training, which a slow computer reaches: both leave the whole within 5 minutes.
LONGEST_TRAINING_SECONDS = 110.0
_SPACE_NEEDED = 20_000_000


def run_demonstration(
    out: Path,
    *,
    gui: bool | None,
    device: str = "auto",
    seed: int = 0,
    max_seconds: float = LONGEST_TRAINING_SECONDS,
) -> None:
    """Run both jobs, write pictures, tables, models and the report, and open napari.

    Parameters
    ----------
    out
        Folder for the results; made if it does not exist.
    gui
        Whether to open napari; None = if there is a screen and napari is installed.
    max_seconds
        Limit for each of the two trainings; 0 = none.

    Raises
    ------
    UserError
        CN-520 if ``gui`` is True and there is no screen or no napari, CN-521 if napari failed. All
        files are written by then.
    """
    started = time.monotonic()
    choose_device(device)
    make_folder(out, _SPACE_NEEDED)
    setup = Setup(seed=seed, device=device, max_seconds=max_seconds)
    cells = follow(classify_cells(setup), "1 of 2: classify cells")
    cell_facts = _timed(cells.facts, write_cells, out, cells)
    nuclei = follow(segment_nuclei(setup), "2 of 2: segment nuclei")
    nuclei_facts = _timed(nuclei.facts, write_nuclei, out, nuclei)
    seconds = time.monotonic() - started
    report = _report(setup, cell_facts, nuclei_facts, seconds)
    write_report(out / "report.json", report)
    _print_summary(out, report)
    missing = _what_napari_lacks()
    if gui and missing:
        raise UserError("CN-520", f"napari was not opened: {missing}. All results are in '{out}'.")
    if not missing and gui is not False:
        _open_napari(out)


def _report(
    setup: Setup, cells: dict[str, Any], nuclei: dict[str, Any], seconds: float
) -> dict[str, Any]:
    return {
        "command": "demo",
        "classify_cells": cells,
        "segment_nuclei": nuclei,
        "data": "simulated sample images; image 1 trains, image 2 is only measured on",
        "remark": (
            "In the truth, the two halves of a dividing nucleus and the fragments of a dead one are "
            "one nucleus each; the prediction counts the parts, which lowers its average precision."
        ),
        "seed": setup.seed,
        "device": str(choose_device(setup.device)),
        "computer": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "versions": versions(),
        "seconds": round(seconds, 2),
    }


def _timed(facts: dict[str, Any], write: Any, out: Path, result: Any) -> dict[str, Any]:
    """Write a job's files, and return its facts with the files and the time that took."""
    started = time.monotonic()
    files = write(out, result)
    seconds = {**facts["seconds"], "write": round(time.monotonic() - started, 2)}
    return {**facts, "seconds": seconds, "files": files}


def _print_summary(out: Path, report: dict[str, Any]) -> None:
    cells, nuclei = report["classify_cells"], report["segment_nuclei"]
    print_table(
        f"Cells of {cells['measured_on']['image']}, which was not trained on",
        [{"class": name, **scores} for name, scores in cells["scores"]["classes"].items()],
        ("class", "n", "precision", "recall", "f1"),
    )
    rows = [
        ("cells", "accuracy", cells["scores"]["accuracy"]),
        ("nuclei", "mask IoU", nuclei["scores"]["mask_iou"]),
        ("nuclei", "mask Dice", nuclei["scores"]["mask_dice"]),
        (
            "nuclei",
            "average precision at IoU 0.5",
            nuclei["scores"]["average_precision_at_iou_0.5"],
        ),
    ]
    print_table(
        "Held-out scores",
        [dict(zip(("of", "score", "value"), row, strict=True)) for row in rows],
        ("of", "score", "value"),
    )
    for name in [*cells["files"], *nuclei["files"], "report.json"]:
        say(f"  {out / name}")
    say(f"done in {report['seconds']:.0f} s")


def _what_napari_lacks() -> str:
    """Return why napari cannot be opened here, or ""."""
    if importlib.util.find_spec("napari") is None:
        return "it is not installed (pip install 'napari-convnet[all]')"
    has_own_screen = sys.platform in ("win32", "darwin")
    if not has_own_screen and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return "there is no screen (neither DISPLAY nor WAYLAND_DISPLAY is set)"
    return ""


def _open_napari(out: Path) -> None:
    say("opening napari; close its window to end")
    module = "napari_convnet.widgets.show_demonstration"
    ended = subprocess.run([sys.executable, "-m", module, str(out)], check=False)
    if ended.returncode:
        raise UserError(
            "CN-521",
            f"napari ended with status {ended.returncode}; what it printed above says why. "
            f"All results are in '{out}'.",
        )
