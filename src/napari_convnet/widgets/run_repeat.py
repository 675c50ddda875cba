"""Repeating a run in the background, and whether that gave the same losses and weights, to the bit."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_convnet.progress import Progress
from napari_convnet.project import EpochRecord, Project, RunRecord
from napari_convnet.widgets.folder_job import FolderRequest, read_samples
from napari_convnet.widgets.training_job import TrainingRequest, build_samples
from napari_convnet.widgets.training_start import find_start

if TYPE_CHECKING:
    from torch import Tensor

    from napari_convnet.model_file import Model

_LOSSES = ("training_loss", "validation_loss")


@dataclass(frozen=True)
class Repetition:
    """How a run and its repetition compare.

    Parameters
    ----------
    n_epochs
        Epochs whose losses were compared.
    first_other_epoch
        The first one with another loss, None where all are the same.
    n_weights
        Numbers that were compared, 0 where the project has no model of the run.
    largest_difference
        Of two weights.
    has_same_weights
        Whether all are the same to the bit.
    """

    run_id: int
    n_epochs: int
    first_other_epoch: int | None
    n_weights: int
    largest_difference: float
    has_same_weights: bool

    @property
    def text(self) -> str:
        """The result in words."""
        losses = (
            f"all losses of {self.n_epochs} epochs are the same to the bit"
            if self.first_other_epoch is None
            else f"the losses differ from epoch {self.first_other_epoch} on"
        )
        if not self.n_epochs:
            losses = "no losses are recorded to compare with"
        if not self.n_weights:
            weights = "the run's model is not kept, so weights could not be compared"
        elif self.has_same_weights:
            weights = f"all {self.n_weights:,} weights are the same to the bit"
        else:
            weights = f"weights differ by up to {self.largest_difference:.2g}"
        hint = (
            ""
            if self.has_same_weights or not self.n_weights
            else " On a graphics card only runs with 'deterministic' repeat exactly."
        )
        return f"Run {self.run_id} was repeated: {losses}, and {weights}.{hint}"


def repeat_steps(
    run: RunRecord,
    project: Project,
    make_request: Callable[[], TrainingRequest | FolderRequest],
    current: Model | None,
    stop: threading.Event,
) -> Generator[Progress, None, Repetition | None]:
    """Train once more as a run did and compare; in the worker. None when it is stopped before the end.

    Parameters
    ----------
    current
        The session's model: perhaps the one that the run began from.

    Raises
    ------
    UserError
        CN-205 if the run cannot be repeated, what making the training set raises.
    """
    from napari_convnet.training import EpochFinished, repeat_run

    yield Progress(done=0, total=0, text="preparing the training set")
    request = make_request()
    if isinstance(request, FolderRequest):
        samples = yield from read_samples(request, stop)
        if samples is None:
            return None
    else:
        samples = build_samples(request)[0]
    first = yield from find_start(run, project, current, stop)
    if first is None:
        return None
    steps = repeat_run(run, samples, initial_weights=first[0], initial_model=first[1], stop=stop)
    losses: dict[int, dict[str, float | None]] = {}
    while True:
        try:
            event = next(steps)
        except StopIteration as end:
            model = end.value
            break
        if isinstance(event, EpochFinished):
            losses[event.epoch] = {key: getattr(event, key) for key in _LOSSES}
        if stop.is_set():
            steps.close()
            return None
        yield event
    return None if model is None else compare(run, project, losses, model.network.state_dict())


def compare(
    run: RunRecord,
    project: Project,
    losses: Mapping[int, Mapping[str, float | None]],
    weights: Mapping[str, Tensor],
) -> Repetition:
    """Compare losses by epoch and weights with those of a run."""
    recorded = project.epochs(run.id)
    n_weights, largest, is_same = 0, 0.0, False
    data = project.model_bytes(run.id)
    if data is not None:
        from napari_convnet.model_file import model_from_bytes

        n_weights, largest, is_same = _compare(
            model_from_bytes(data, f"model of run {run.id}").network.state_dict(), weights
        )
    return Repetition(
        run.id, len(recorded), _first_other(recorded, losses), n_weights, largest, is_same
    )


def _first_other(
    recorded: Sequence[EpochRecord], losses: Mapping[int, Mapping[str, float | None]]
) -> int | None:
    for record in recorded:
        found: Mapping[str, Any] = losses.get(record.epoch, {})
        if any(record.curves.get(key) != found.get(key) for key in _LOSSES):
            return record.epoch
    return None


def _compare(before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> tuple[int, float, bool]:
    """Return the count of numbers, the largest difference, and whether all are the same to the bit."""
    if before.keys() != after.keys():
        return sum(t.numel() for t in before.values()), float("nan"), False
    n, largest, is_same = 0, 0.0, True
    for name, tensor in before.items():
        other = after[name]
        n += tensor.numel()
        if tensor.shape != other.shape:
            return n, float("nan"), False
        if tensor.numel():
            is_same &= tensor.numpy().tobytes() == other.numpy().tobytes()
            largest = max(largest, float((tensor.double() - other.double()).abs().max()))
    return n, largest, is_same
