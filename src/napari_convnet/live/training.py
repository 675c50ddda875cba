"""Training that goes on while strokes join it, and predicts what is looked at every few seconds."""

from __future__ import annotations

import threading
from collections.abc import Generator, Hashable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from napari_convnet.devices import choose_device, use_all_cores
from napari_convnet.errors import UserError
from napari_convnet.instant import PaintedPart
from napari_convnet.live.crops import PaintedCrops
from napari_convnet.live.events import (
    RECENT_STROKES,
    LiveSource,
    Resting,
    StrokesJoined,
    WaitingForStrokes,
)
from napari_convnet.live.looks import Looks
from napari_convnet.live.network import LiveNetwork, LiveRequest
from napari_convnet.memory import free_memory
from napari_convnet.model_file import Model
from napari_convnet.networks import count_parameters
from napari_convnet.progress import Progress
from napari_convnet.samples import AugmentationSettings, SegmentationSet
from napari_convnet.training.clock import Clock
from napari_convnet.training.events import BatchFinished, Paused, StoppedEarly, TrainingStarted
from napari_convnet.training.job import TrainingInterrupted

#: How often one who waits looks whether there is something to do, in seconds.
_WAIT = 0.1


def train_live(
    source: LiveSource,
    request: LiveRequest,
    *,
    stop: threading.Event,
    pause: threading.Event | None = None,
) -> Generator[Progress, None, Model | None]:
    """Train on strokes that are still being painted, until it is stopped.

    Parameters
    ----------
    source
        Looked at before every step: new strokes are in the next batch, and what is looked at is predicted first.
    request
        What to train.
    stop
        Ends it after this step.
    pause
        While it is set nothing is learned; what is looked at stays.

    Yields
    ------
    Progress
        `WaitingForStrokes` until there are two classes; `TrainingStarted`; `StrokesJoined`, `BatchFinished`,
        `LivePart` and `Looked`; `Paused` and `Resting` while it waits; `StoppedEarly` when numbers became invalid.

    Returns
    -------
    Model or None
        The mean of the last states; None if nothing was learned. Its scores say at which step which strokes joined
        and how right the prediction was on each before it was learned.

    Raises
    ------
    UserError
        Those of building the network.
    TrainingInterrupted
        If memory runs out or anything else fails; it carries what was learned until then.
    """
    use_all_cores()
    trainer = _Trainer(source, request, choose_device(request.settings.device))
    yield from trainer.wait_for_two_classes(stop)
    if trainer.network is None:
        return None
    yield trainer.started()
    try:
        yield from trainer.go_on_until(stop, pause)
    except Exception as error:
        free_memory(trainer.network.device)  # it may have run out
        raise TrainingInterrupted(trainer.model("failed"), 0) from error
    return trainer.model(trainer.ended_by)


class _Trainer:
    """What lasts from one step to the next."""

    def __init__(self, source: LiveSource, request: LiveRequest, device: torch.device) -> None:
        self._source, self._request, self._device = source, request, device
        self._crops = PaintedCrops(request.patch_size, request.channels, request.normalisation)
        self._version: Hashable = None
        self._batches: Iterator[tuple[Tensor, Tensor]] = iter(())
        self._random = torch.Generator().manual_seed(request.settings.seed)
        self._augmentation = AugmentationSettings.of(request.settings)
        self._clock = Clock()
        self._looks = Looks(
            source, len(request.channels), request.normalisation, device, self._clock
        )
        self._joined: list[dict[str, Any]] = []
        self._waiting: list[PaintedPart] = []  # new strokes, until there are two classes
        self.network: LiveNetwork | None = None
        self.ended_by, self._problem = "stopped", ""

    def go_on_until(
        self, stop: threading.Event, pause: threading.Event | None
    ) -> Iterator[Progress]:
        """Learn, look and wait, in turns."""
        while not stop.is_set():
            yield from self._wait(stop, pause)
            if stop.is_set():
                return
            yield from self._take_up_strokes()
            is_resting = self.network.rests()
            is_look_due = self._looks.is_due(self.network)
            if is_resting and not is_look_due:
                yield Resting(**self.where("resting until the next stroke"))
                stop.wait(_WAIT)
            elif not is_resting:
                step = self._take_step()
                yield step
                if isinstance(step, StoppedEarly):
                    return
            if is_look_due and not stop.is_set():
                yield from self._looks.look(self.network, self.where, stop)

    # Strokes ------------------------------------------------------------------------------------

    def wait_for_two_classes(self, stop: threading.Event) -> Iterator[Progress]:
        """Wait until there is something to tell apart."""
        while not stop.is_set():
            yield from self._take_up_strokes()
            if self.network is not None:
                return
            text = "paint at least two classes; training begins by itself"
            yield WaitingForStrokes(done=0, total=0, text=text)
            stop.wait(_WAIT)

    def _take_up_strokes(self) -> Iterator[Progress]:
        """Learn from what was painted since the last step; first see how right the prediction was there."""
        version = self._source.version
        if version == self._version:
            return
        self._version = version
        strokes = self._source.read()
        self._waiting += self._crops.update(strokes)
        samples = self._crops.samples(strokes)
        if samples is None:  # nothing yet, or everything was undone: what was learned stays
            return
        new, self._waiting = self._waiting, []
        rights: tuple[tuple[int, int], ...] = ()
        if self.network is None:
            self.network = LiveNetwork(self._request, samples, self._device)
        else:
            if self.network.knows(samples.classes):
                rights = self._looks.count_right(new, strokes)
            else:  # class values mean something else now
                self._looks.forget()
            self.network.learn_from(samples)
        self._batches = iter(())
        self._looks.expect_news()
        n_pixels = sum(int(np.count_nonzero(part.labels)) for part in new)
        event = StrokesJoined(
            **self.where("learning"), seconds=self._clock.seconds, n_pixels=n_pixels,
            n_images=self._crops.n_planes, rights=rights, notes=self._crops.notes,
            n_scored=sum(n for n, _ in rights), n_right=sum(right for _, right in rights),
        )  # fmt: skip
        if new:
            self._joined.append({
                "step": event.done, "seconds": round(event.seconds, 2), "pixels": n_pixels,
                "scored": event.n_scored, "right": event.n_right, "by_class": [list(pair) for pair in rights],
            })  # fmt: skip
        yield event

    # Steps --------------------------------------------------------------------------------------

    def where(self, doing: str) -> dict[str, Any]:
        """Return what every event tells: steps, of which there is no last, and what is going on."""
        step = self.network.step if self.network else 0
        return {"done": step, "total": 0, "text": f"live, step {step:,}: {doing}"}

    def started(self) -> TrainingStarted:
        """Say what is trained."""
        samples = self.network.samples
        return TrainingStarted(
            **self.where("learning"), device=str(self._device), n_validation=0,
            n_parameters=count_parameters(self.network.module), n_training=samples.n_training,
            batches_per_epoch=samples.batches_per_epoch(self._request.settings.batch_size),
        )  # fmt: skip

    def _wait(self, stop: threading.Event, pause: threading.Event | None) -> Iterator[Progress]:
        """Stand still while a pause is asked for."""
        if pause is None or not pause.is_set():
            return
        self._clock.pause()
        while pause.is_set() and not stop.is_set():
            yield Paused(**self.where("paused"))
            stop.wait(_WAIT)
        self._clock.go_on()

    def _take_step(self) -> BatchFinished | StoppedEarly:
        """Learn from one batch."""
        inputs, targets = self._next_batch()
        try:
            loss, rate = self.network.take(inputs, targets)
        except UserError as error:
            self.ended_by, self._problem = "invalid numbers", error.message
            return StoppedEarly(**self.where("stopped"), reason=error.message)
        return BatchFinished(**self.where("learning"), epoch=1, loss=loss, learning_rate=rate)

    def _next_batch(self) -> tuple[Tensor, Tensor]:
        batch = next(self._batches, None)
        if batch is None:
            samples: SegmentationSet = self.network.samples
            self._batches = samples.training_batches(
                self._request.settings.batch_size, self._random, augment=self._augmentation
            )
            batch = next(self._batches)
        return batch

    # The end --------------------------------------------------------------------------------------

    def model(self, ended_by: str) -> Model:
        """Return what was learned, and how it came about."""
        samples = self.network.samples
        last = [each for each in self._joined if each["scored"]]
        return self.network.model({
            "measured_on": samples.description,
            "warning": f"{self._problem} {_remark(last)}".strip(),
            "steps": self.network.step,
            "ended_by": ended_by,
            "seconds": round(self._clock.seconds, 2),
            "batch_size": self._request.settings.batch_size,
            "patch_size": samples.patch_size,
            "live": {"joined": self._joined},
        })  # fmt: skip


def _remark(scored: list[dict[str, Any]]) -> str:
    """Say what is known of a model that was trained on everything that was painted."""
    if not scored:
        return "It learned from all strokes while they were painted: there is no score, as nothing was held out."
    recent = scored[-RECENT_STROKES:]
    n, right = sum(each["scored"] for each in recent), sum(each["right"] for each in recent)
    return (
        f"It learned from all strokes while they were painted. Before the last {len(recent)} of them were learned, the "
        f"prediction was right on {right / n:.1%} of their {n:,} pixels. People paint where it is wrong, so elsewhere "
        "it is usually better."
    )
