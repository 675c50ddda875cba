"""Live training in the background: from what the dock shows to a model; runs in the worker, where torch is imported."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Generator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from napari_convnet.progress import Progress
from napari_convnet.settings import TrainingSettings
from napari_convnet.widgets.training_start import describe_start
from napari_convnet.widgets.training_worker import SettingsChosen, TrainingControl, first_weights

if TYPE_CHECKING:
    from napari_convnet.live.network import LiveRequest
    from napari_convnet.model_file import Model
    from napari_convnet.widgets.live_source import LiveDesk

#: Patches of a step: small steps let strokes join and views be predicted soon.
_BATCH_SIZE = 8


def live_steps(
    request: Any, stop: threading.Event, control: TrainingControl
) -> Generator[Progress, None, tuple[Model | None, bytes]]:
    """Train live as a `TrainingRequest` with a ``live`` source says; return the model and its file's bytes.

    No model when it is stopped before two classes were painted.

    Raises
    ------
    UserError, TrainingInterrupted
        As `napari_convnet.live.training.train_live`; the latter with the ``data`` of the model that it carries.
    """
    yield Progress(done=0, total=0, text="getting ready to learn")
    from napari_convnet.live.training import train_live
    from napari_convnet.model_file import model_bytes
    from napari_convnet.networks import fetch_weights
    from napari_convnet.training import TrainingInterrupted

    if request.pretrained == "imagenet":
        fetched = yield from fetch_weights(request.network, request.network_settings, stop=stop)
        if fetched is None:
            return None, b""
    wanted, reasons = _live_request(request, control)
    values = {name: getattr(wanted.settings, name) for name in reasons}
    yield SettingsChosen(
        done=0, total=0, text="preparing the network",
        values={**values, "patch_size": wanted.patch_size}, reasons=reasons,
    )  # fmt: skip
    try:
        model = yield from train_live(request.live, wanted, stop=stop, pause=control.pause)
    except TrainingInterrupted as interrupted:
        _tell_what_it_knows(interrupted.model, request.live, wanted)
        interrupted.data = model_bytes(interrupted.model)
        raise
    if model is not None:
        _tell_what_it_knows(model, request.live, wanted)
    return model, b"" if model is None else model_bytes(model)


def _tell_what_it_knows(model: Model, desk: LiveDesk, wanted: LiveRequest) -> None:
    """Write down which of the project's images were learned, so that no score on them is believed later."""
    model.card.scores["live"] |= {
        "id": uuid.uuid4().hex, "image_ids": sorted(desk.learned), "start": wanted.start,
    }  # fmt: skip


def _live_request(request: Any, control: TrainingControl) -> tuple[LiveRequest, dict[str, str]]:
    """Return what is trained, and a sentence for each setting that was chosen here."""
    from napari_convnet.live.network import LiveRequest
    from napari_convnet.networks import network_entry

    entry = network_entry(request.network, "segment")
    settings: TrainingSettings = request.settings
    chosen, reasons = {}, {}
    if "batch_size" in request.automatic:
        chosen["batch_size"] = _BATCH_SIZE
        reasons["batch_size"] = f"{_BATCH_SIZE} patches a step, so that strokes can join soon."
    if "learning_rate" in request.automatic:
        chosen["learning_rate"] = entry.learning_rate
        reasons["learning_rate"] = (
            f"Learning rate {entry.learning_rate:g} throughout: the mean of the last steps is shown."
        )
    wanted = LiveRequest(
        request.network, replace(settings, **chosen), request.channels,
        request.patch_size or entry.input_size, request.name, dict(request.network_settings or {}),
        first_weights(request, is_resumed=False), request.start_model,
        describe_start(request, control.project),
    )  # fmt: skip
    return wanted, reasons
