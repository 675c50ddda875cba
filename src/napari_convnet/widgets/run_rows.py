"""Runs of a project as rows of a table: what differs from the defaults, how good, comparable with which."""

from __future__ import annotations

import threading
from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from napari_convnet.errors import UserError
from napari_convnet.exchange.tables import table_bytes
from napari_convnet.live import RECENT_STROKES
from napari_convnet.networks import NETWORKS
from napari_convnet.networks.graph_json import graph_from_json
from napari_convnet.progress import Progress, format_seconds
from napari_convnet.project import Project, RunRecord
from napari_convnet.scores import main_figure
from napari_convnet.settings import TrainingSettings
from napari_convnet.widgets.score_export import cell_text
from napari_convnet.widgets.score_table import Cell, Column

COLUMNS = (
    Column("run", "Number of the training in this project.", True, 46, is_centred=True),
    Column("started", "When it began, on this computer's clock.", False, 118),
    Column("task", "What was learned.", False, 62),
    Column("network", "Network of the catalogue, or what the project calls your own.", False, 104),
    Column("data", "What it was trained on, and how many samples that were.", False, 120),
    Column("settings", "Settings that are not the default ones.", False, 120),
    Column("epochs", "Passes over the training samples, and the best of them.", True, 88),
    Column("time", "How long the training took, without pauses.", True, 62),
    Column("score", "On held-out samples, with its 95 % interval.", True, 200),
    Column(
        "held out",
        "Runs with the same letter were measured on the same held-out samples: only their scores may be compared.",
        False, 66, is_centred=True,
    ),
    Column(
        "test",
        "On images that the project keeps for a test, the interval in the tip. Choose by the score, not by this: of "
        "many runs the best one on the test images is better by chance, too.",
        True, 106,
    ),
    Column("outcome", "How it ended.", False, 82),
    Column("model", "Whether the project keeps its model, and how large that is.", True, 70),
)  # fmt: skip
#: Layers of a designed network that its row tells; of more only the number is.
_LAYERS_TOLD = 20
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#: Where these are 0 or nothing, they were chosen from the data.
_AUTOMATIC = ("epochs", "batch_size", "patch_size")


@dataclass(frozen=True, eq=False)
class RunRow:
    """A run and the cells that show it; ``held_out`` is the hash of its held-out samples, or ""."""

    run: RunRecord
    cells: tuple[Cell, ...]
    held_out: str


def read_runs(
    project: Project, _stop: threading.Event
) -> Generator[Progress, None, tuple[RunRow, ...]]:
    """Read all runs of a project, the last one first; runs in the worker."""
    yield Progress(done=0, total=0, text="reading runs")
    return run_rows(project.runs())


def run_rows(runs: Sequence[RunRecord]) -> tuple[RunRow, ...]:
    """Return the rows of runs, the last one first."""
    letters: dict[str, str] = {}
    for run in runs:
        held_out = _held_out(run)
        if held_out and held_out not in letters:
            letters[held_out] = _letter(len(letters))
    counts: dict[str, int] = {}
    for run in runs:
        counts[_held_out(run)] = counts.get(_held_out(run), 0) + 1
    return tuple(_row(run, letters, counts) for run in reversed(runs))


def different_settings(run: RunRecord) -> dict[str, Any]:
    """Return the settings of a run that are not the default ones, as the person set them."""
    defaults: dict[str, Any] = {**asdict(TrainingSettings()), "patch_size": 0, "pretrained": "none"}
    entry = NETWORKS.get(run.network)
    usual = {"learning_rate": entry.learning_rate} if entry else {}
    kept = {key: run.settings[key] for key in defaults if key in run.settings}
    found = {
        key: value
        for key, value in kept.items()
        if value != defaults[key] and value != usual.get(key) and (value or key not in _AUTOMATIC)
    }
    return {**found, **{k: v for k, v in _network_settings(run).items() if k != "graph"}}


def runs_csv(rows: Sequence[RunRow]) -> bytes:
    """Return runs as a CSV table; scores with all their digits, hashes in full."""
    header = (
        "run", "started", "ended", "task", "network", "network_name", "data", "settings", "epochs_trained",
        "best_epoch", "seconds", "score", "value", "low", "high", "measured_on", "held_out_sha256", "test_score",
        "test_value", "test_low", "test_high", "test_images", "outcome", "message",
    )  # fmt: skip
    lines = []
    for row in rows:
        run = row.run
        lines.append([
            run.id, run.started_at, run.ended_at, run.task, run.network, network_name(run), _data_text(run),
            _settings_text(run), *(run.scores.get(k, "") for k in ("epochs_trained", "best_epoch", "seconds")),
            *_figure_cells(run, "validation"), run.scores.get("measured_on", ""), row.held_out,
            *_figure_cells(run, "test"), _test_images(run), run.outcome, run.message,
        ])  # fmt: skip
    return table_bytes(
        header, [[cell_text(v) if isinstance(v, str) else v for v in line] for line in lines]
    )


def network_name(run: RunRecord) -> str:
    """Return what the network of a run was called when it was trained."""
    name = run.settings.get("network_name")
    return name[:60] if isinstance(name, str) and name else run.network


def _network_tip(run: RunRecord) -> str:
    """Say of a designed network which layers it has."""
    graph = _network_settings(run).get("graph")
    try:
        layers = graph_from_json(graph).layers if isinstance(graph, str) else ()
    except UserError:  # a stranger's project
        layers = ()
    if not layers:
        return run.network
    told = ", ".join(f"{layer.name} ({layer.settings.kind})" for layer in layers[:_LAYERS_TOLD])
    return f"{run.network}, {len(layers)} layers: {told}{', …' * (len(layers) > _LAYERS_TOLD)}"


def _network_settings(run: RunRecord) -> Mapping[str, Any]:
    """Return the settings of a run's network, which a run has even if it came to no end."""
    recipe = run.scores.get("repeat")
    found = recipe.get("network_settings") if isinstance(recipe, Mapping) else None
    found = found or run.settings.get("network_settings")
    return found if isinstance(found, Mapping) else {}


def _figure_cells(run: RunRecord, part: str) -> tuple[Any, ...]:
    """Return name, value and interval of the score that counts most."""
    figure = main_figure(run.scores, run.task, part)
    if figure is None:
        return ("",) * 4
    return figure.key, figure.value, *(figure.interval or ("", ""))


def _test_images(run: RunRecord) -> str:
    found = run.scores.get("test")
    measured = found.get("measured") if isinstance(found, Mapping) else None
    names = measured.get("names") if isinstance(measured, Mapping) else None
    return ", ".join(map(str, names)) if isinstance(names, list) else ""


def _row(run: RunRecord, letters: Mapping[str, str], counts: Mapping[str, int]) -> RunRow:
    scores, held_out = run.scores, _held_out(run)
    figure, test = (main_figure(scores, run.task, part) for part in ("validation", "test"))
    held = f"{figure.name} {figure.text}" if figure else _live_text(scores)
    seconds, epochs, best = (scores.get(k) for k in ("seconds", "epochs_trained", "best_epoch"))
    where = str(scores.get("measured_on", ""))
    settings = _settings_text(run)
    letter, n = letters.get(held_out, ""), counts.get(held_out, 1) - 1
    others = (
        f"{n} other run{'s' * (n != 1)} measured on the same samples (SHA-256 {held_out[:12]}…)"
    )
    cells = (
        Cell(str(run.id), run.id),
        Cell(_local_time(run.started_at), run.started_at),
        Cell(run.task, run.task),
        Cell(network_name(run), network_name(run), _network_tip(run)),
        Cell(_data_text(run), _data_text(run).casefold(), f"{_data_text(run)}. {where}".strip()),
        Cell(settings or "defaults", settings),
        Cell(_epochs_text(epochs, best) or _steps_text(scores), epochs),
        Cell(format_seconds(seconds) if _is_number(seconds) else "", seconds),
        Cell(held, figure.value if figure else None, f"{where}. {scores.get('warning', '')}"),
        Cell(letter, letter or None, others if letter else "Not known: nothing held out, or an older run."),
        Cell(
            f"{test.name} {test.value:.3f}" if test else "", test.value if test else None,
            f"{test.name} {test.text} on test images: {_test_images(run)}" if test else "There were no test images.",
        ),
        Cell(run.outcome, run.outcome, run.message or run.outcome),
        Cell(f"{run.model_size / 1e6:.1f} MB" if run.model_sha256 else "", run.model_size or None),
    )  # fmt: skip
    return RunRow(run, cells, held_out)


def _held_out(run: RunRecord) -> str:
    found = run.scores.get("held_out_sha256")
    return found if isinstance(found, str) else ""


def _letter(number: int) -> str:
    text = _LETTERS[number % len(_LETTERS)]
    return text if number < len(_LETTERS) else f"{_letter(number // len(_LETTERS) - 1)}{text}"


def _local_time(text: str) -> str:
    try:
        return f"{datetime.fromisoformat(text).astimezone():%Y-%m-%d %H:%M}"
    except ValueError:
        return text


def _data_text(run: RunRecord) -> str:
    data = run.data
    if "folder" in data:
        return f"{data.get('images', '?')} images of {str(data['folder'])[-60:]}"
    live = _live(run.scores)
    if live:
        n = sum(each.get("pixels", 0) for each in live["joined"])
        n_images = len(live.get("image_ids", ()))
        of_images = f", {n_images} image{'s' * (n_images != 1)}" * bool(n_images)
        return f"{n:,} pixels{of_images}, live"
    counts = data.get("counts")
    n = sum(counts) if isinstance(counts, list) and all(map(_is_number, counts)) else None
    planes = data.get("planes", "?")
    unit = {"segment": "pixels", "locate": "positions"}.get(run.task, "cells")
    of = f"{n:,} {unit}" if n is not None else "annotations"
    return f"{of}, {planes} image{'s' * (planes != 1)}"


def _settings_text(run: RunRecord) -> str:
    return ", ".join(
        f"{key.replace('_', ' ')} {_value_text(value)}"
        for key, value in different_settings(run).items()
    )


def _value_text(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, float) else str(value)[-40:]


def _epochs_text(epochs: Any, best: Any) -> str:
    if not _is_number(epochs):
        return ""
    return f"{epochs} (best {best})" if _is_number(best) else str(epochs)


def _live(scores: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a live training tells of its strokes; nothing for others."""
    found = scores.get("live")
    return found if isinstance(found, Mapping) and found.get("joined") else {}


def _live_text(scores: Mapping[str, Any]) -> str:
    """Say how right a live training was on the last strokes before it learned them."""
    scored = [each for each in _live(scores).get("joined", ()) if each.get("scored")]
    recent = scored[-RECENT_STROKES:]
    n = sum(each["scored"] for each in recent)
    return f"{sum(each['right'] for each in recent) / n:.0%} of new strokes" if n else ""


def _steps_text(scores: Mapping[str, Any]) -> str:
    return f"{scores.get('steps', 0):,} steps" if _live(scores) else ""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
