"""What every training does in the worker once its samples are there: choose settings, train, keep its state."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from napari_convnet.errors import UserError
from napari_convnet.progress import Progress
from napari_convnet.project import Project
from napari_convnet.settings import TrainingSettings
from napari_convnet.widgets.training_start import describe_start

if TYPE_CHECKING:
    from napari_convnet.model_file import Model
    from napari_convnet.samples import TrainingSet

#: A crash costs at most the training of so many seconds; keeping takes longer where a state is large.
KEEP_SECONDS = 20.0


class EitherStop:
    """A stop by the person or of the job, as the training looks at it; the person's leaves the job going."""

    def __init__(self, *events: threading.Event) -> None:
        self._events = events

    def is_set(self) -> bool:
        """Return whether it was asked for."""
        return any(event.is_set() for event in self._events)

    def wait(self, timeout: float) -> bool:
        """Wait for the first at most so many seconds; return whether it was asked for."""
        self._events[0].wait(timeout)
        return self.is_set()


@dataclass(frozen=True, kw_only=True)
class SettingsChosen(Progress):
    """Values that settings have, most of them from the data, and a sentence for each."""

    values: Mapping[str, Any]
    reasons: Mapping[str, str]


@dataclass(frozen=True, eq=False)
class TrainingControl:
    """What reaches into a training from outside of its worker.

    Parameters
    ----------
    pause
        The training waits while it is set.
    keep
        Stores a state: training steps done, and bytes.
    kept
        Returns the state to go on from; None for a training from the start.
    project
        Where the run is recorded, which may have the model that it starts from.
    """

    pause: threading.Event
    keep: Callable[[int, bytes], None] | None = None
    kept: Callable[[], bytes | None] | None = None
    project: Project | None = None


def train_on(
    samples: TrainingSet, request: Any, stop: threading.Event, control: TrainingControl
) -> Generator[Progress, None, tuple[Model | None, bytes]]:
    """Train as a `TrainingRequest` or a `FolderRequest` says; return the model and its file's bytes.

    No model when it is stopped before there is one.

    Raises
    ------
    UserError, TrainingInterrupted
        As `train` does; the latter with the ``data`` of the model that it carries.
    """
    from napari_convnet.model_file import model_bytes
    from napari_convnet.networks import fetch_weights
    from napari_convnet.training import TrainingInterrupted, train, train_on_features

    if request.pretrained == "imagenet" and control.kept is None:
        fetched = yield from fetch_weights(request.network, request.network_settings, stop=stop)
        if fetched is None:
            return None, b""
    checkpoint = None
    if control.kept is not None:
        checkpoint = _read(control.kept())
        settings = None  # those of the checkpoint
    else:
        settings, reasons = choose_settings(samples, request)
        values = {name: getattr(settings, name) for name in reasons}
        values["patch_size"] = getattr(samples, "patch_size", None) or samples.input_size[0]
        yield SettingsChosen(
            done=0, total=0, text="preparing the network", values=values, reasons=reasons
        )
    common = {
        "network_settings": request.network_settings, "initial_model": request.start_model, "stop": stop,
        "initial_weights": first_weights(request, is_resumed=checkpoint is not None), "name": request.name,
        "start": None if checkpoint is not None else describe_start(request, control.project),
    }  # fmt: skip
    if request.features:
        model = yield from train_on_features(samples, request.network, settings, **common)
        return model, b"" if model is None else model_bytes(model)
    steps = train(
        samples,
        request.network,
        settings,
        **common,
        pause=control.pause,
        resume_from=checkpoint,
        keep=_keeping(control.keep) if control.keep else None,
        keep_seconds=KEEP_SECONDS,
    )
    try:
        model = yield from _without_measuring_after_stop(steps, stop)
    except TrainingInterrupted as interrupted:
        interrupted.data = model_bytes(interrupted.model)
        raise
    return model, model_bytes(model)


def choose_settings(samples: TrainingSet, request: Any) -> tuple[TrainingSettings, dict[str, str]]:
    """Return a request's settings, automatic ones chosen from the data, and sentences that say why."""
    from napari_convnet.devices import choose_device
    from napari_convnet.training import suggest_epochs, suggest_settings

    settings, automatic = request.settings, request.automatic
    device = choose_device(settings.device)
    suggestion = suggest_settings(samples, request.network, device, settings)
    reasons = {
        name: reason
        for name, reason in suggestion.reasons.items()
        if name in automatic or getattr(settings, name) == getattr(suggestion.settings, name)
    }
    chosen = {name: getattr(suggestion.settings, name) for name in automatic}
    if "epochs" in automatic and "batch_size" not in automatic:
        epochs = suggest_epochs(samples, settings.batch_size)
        steps = samples.batches_per_epoch(settings.batch_size)
        chosen["epochs"] = epochs
        reasons["epochs"] = f"{epochs} epochs of {steps} steps: small sets are shown more often."
    return replace(settings, **chosen), reasons


def first_weights(request: Any, is_resumed: bool):
    """Return the weights to start from: None, the starter's, ImageNet's, or a file's, which may be gone on resuming."""
    if request.pretrained == "none":
        return None
    from napari_convnet.model_file import read_weights
    from napari_convnet.networks import describe_weights, download_weights, read_starter_weights

    with suppress(UserError) if is_resumed else nullcontext():
        if request.pretrained == "starter":
            return read_starter_weights()
        if request.pretrained == "imagenet":
            where = (request.network, request.network_settings)
            # a training that goes on has its weights; they are only compared with those of its beginning
            return download_weights(*where) if describe_weights(*where).is_here else None
        return read_weights(request.pretrained)
    return None


def _read(kept: bytes | None):
    from napari_convnet.training import Checkpoint

    if kept is None:
        raise UserError(
            "CN-204",
            "The training cannot go on: its state is not in the project any more. Nothing was changed. Train anew.",
        )
    return Checkpoint.from_bytes(kept)


def _keeping(keep: Callable[[int, bytes], None]) -> Callable[[Any], None]:
    return lambda checkpoint: keep(checkpoint.step, checkpoint.to_bytes())


def _without_measuring_after_stop(steps: Generator, stop: threading.Event) -> Generator:
    """Let a job that was told to stop measure its last epoch: the events of that are not passed on."""
    while True:
        try:
            event = next(steps)
        except StopIteration as end:
            return end.value
        if not (stop.is_set() and type(event) is Progress):
            yield event
