"""What a window of scores is about: a model or a run, read in the background."""

from __future__ import annotations

import json
import threading
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_convnet.errors import UserError
from napari_convnet.progress import Progress
from napari_convnet.project import EpochRecord, Project, RunRecord
from napari_convnet.scores import PARTS, ScoreReport, read_report
from napari_convnet.widgets.layers import short_unit
from napari_convnet.widgets.run_rows import network_name

if TYPE_CHECKING:
    from napari_convnet.model_file import ModelCard


@dataclass(frozen=True, eq=False)
class ScoreSubject:
    """Scores as they were recorded, and what was read from them.

    Parameters
    ----------
    scores
        Of the card or the run, as they are.
    epochs
        Curves of the run, empty where no project has them.
    reports
        One for each part of the scores that can be shown.
    """

    title: str
    task: str
    scores: Mapping[str, Any]
    epochs: tuple[EpochRecord, ...]
    reports: tuple[ScoreReport, ...]


def subject_of_model(
    card: ModelCard, project: Project | None, _stop: threading.Event
) -> Generator[Progress, None, ScoreSubject]:
    """Read the scores of a model, and the curves of its run where the project has it."""
    yield Progress(done=0, total=0, text="reading scores")
    epochs: tuple[EpochRecord, ...] = ()
    if project is not None:
        wanted = _identity(card.scores)
        runs = [run for run in project.runs() if _identity(run.scores) == wanted]
        epochs = project.epochs(runs[-1].id) if runs else ()
    title = f"{card.name} ({card.network})"
    return _subject(title, card.task, card.scores, epochs, pixel_of(card))


def subject_of_run(
    run: RunRecord, project: Project, _stop: threading.Event
) -> Generator[Progress, None, ScoreSubject]:
    """Read the scores and curves of a run; its model, where it is kept, knows the size of a pixel."""
    yield Progress(done=0, total=0, text="reading scores")
    pixel = None
    if run.task == "locate" and run.model_sha256:
        from napari_convnet.model_file import model_from_bytes

        try:
            model = model_from_bytes(project.model_bytes(run.id), f"model of run {run.id}")
            pixel = pixel_of(model.card)
        except UserError:  # a damaged model is told where it is to be used
            pixel = None
    return _subject(
        f"Run {run.id} ({network_name(run)})", run.task, run.scores, project.epochs(run.id), pixel
    )


def pixel_of(card: ModelCard) -> tuple[float, str] | None:
    """Return the side of a pixel and its unit, where the card knows them."""
    if not card.pixel_size or not card.units:
        return None
    return card.pixel_size[-1], short_unit(card.units[-1])


def _subject(
    title: str,
    task: str,
    scores: Mapping[str, Any],
    epochs: tuple[EpochRecord, ...],
    pixel: tuple[float, str] | None,
) -> ScoreSubject:
    found = [read_report(scores, task, part, pixel) for part in PARTS]
    return ScoreSubject(title, task, scores, epochs, tuple(r for r in found if r is not None))


def _identity(scores: Mapping[str, Any]) -> str:
    """Return what tells one training from another: how, on what, for how long."""
    keys = ("repeat", "held_out_sha256", "steps", "seconds")
    return json.dumps({key: scores.get(key) for key in keys}, sort_keys=True, default=str)
