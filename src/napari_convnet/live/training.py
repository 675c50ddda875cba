"""Training that goes on while strokes join it, and predicts what is looked at every few seconds."""

from __future__ import annotations

import math
import threading
from collections.abc import Generator, Hashable, Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from napari_convnet.devices import choose_device, use_all_cores
from napari_convnet.errors import UserError
from napari_convnet.live.crops import OpenPlane, PaintedCrops
from napari_convnet.live.events import (
    InView,
    LivePart,
    LiveSource,
    LiveStrokes,
    Looked,
    Resting,
    StrokesJoined,
    WaitingForStrokes,
)
from napari_convnet.live.looking import (
    agreement,
    classes_at,
    count_right,
    look_at,
    tiles_in_view,
)
from napari_convnet.live.network import LiveNetwork, LiveRequest
from napari_convnet.model_file import Model
from napari_convnet.networks import count_parameters
from napari_convnet.progress import Progress
from napari_convnet.samples import AugmentationSettings, SegmentationSet
from napari_convnet.training.clock import Clock
from napari_convnet.training.events import BatchFinished, Paused, TrainingStarted

#: Seconds between two looks at least, and as a multiple of how long a look takes.
_LOOK_SECONDS, _LOOK_SHARE = 2.0, 2.0
#: A prediction is shown from this agreement with the strokes on, or after so many seconds in any case.
_GOOD, _PATIENCE_SECONDS = 0.8, 8.0
#: One that agrees less than the one that is shown, by this much, is not shown.
_SLACK = 0.05
#: After so many steps without a new stroke the training rests.
REST_STEPS = 3000
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
        `LivePart` and `Looked`; `Paused` and `Resting` while it waits.

    Returns
    -------
    Model or None
        The mean of the last states; None if nothing was learned. Its scores say at which step which strokes joined
        and how right the prediction was on each before it was learned.

    Raises
    ------
    UserError
        CN-202 when numbers become invalid again and again; those of building the network.
    """
    use_all_cores()
    session = _LiveSession(source, request, choose_device(request.settings.device))
    yield from session.wait_for_two_classes(stop)
    if session.network is None:
        return None
    yield session.started()
    while not stop.is_set():
        yield from session.wait(stop, pause)
        yield from session.take_up_strokes()
        if stop.is_set():
            break
        if session.is_resting and not session.is_look_due:
            yield Resting(**session.where("resting until the next stroke"))
            stop.wait(_WAIT)
            continue
        if not session.is_resting:
            yield session.take_step()
        if session.is_look_due:
            yield from session.look(stop)
    return session.model("stopped")


class _LiveSession:
    """What lasts from one step to the next."""

    def __init__(self, source: LiveSource, request: LiveRequest, device: torch.device) -> None:
        self._source, self._request, self._device = source, request, device
        self._crops = PaintedCrops(request.patch_size, request.channels, request.normalisation)
        self._version: Hashable = None
        self._batches: Iterator[tuple[Tensor, Tensor]] = iter(())
        self._random = torch.Generator().manual_seed(request.settings.seed)
        self._augmentation = AugmentationSettings.of(request.settings)
        self._clock = Clock()
        self._plane: tuple[InView, OpenPlane] | None = None
        self._view: InView | None = None
        self._shown: nn.Module | None = None
        self._shown_agreement = 0.0
        self._looked_at, self._look_took = self._clock.seconds, 0.0
        self._joined_at_step, self._joined_at = 0, 0.0
        self._joined: list[dict[str, Any]] = []
        self.network: LiveNetwork | None = None

    # Strokes ------------------------------------------------------------------------------------

    def wait_for_two_classes(self, stop: threading.Event) -> Iterator[Progress]:
        """Wait until there is something to tell apart."""
        while not stop.is_set():
            yield from self.take_up_strokes()
            if self.network is not None:
                return
            text = "paint at least two classes; training begins by itself"
            yield WaitingForStrokes(done=0, total=0, text=text)
            stop.wait(_WAIT)

    def take_up_strokes(self) -> Iterator[Progress]:
        """Learn from what was painted since the last step; first see how right the prediction was there."""
        version = self._source.version
        if version == self._version:
            return
        self._version = version
        strokes = self._source.read()
        new = self._crops.update(strokes)
        samples = self._crops.samples(strokes)
        if samples is None:  # nothing yet, or everything was undone: what was learned stays
            return
        rights: tuple[tuple[int, int], ...] = ()
        if self.network is None:
            self.network = LiveNetwork(self._request, samples, self._device)
        else:
            if self.network.knows(samples.classes):
                rights = self._score(new, strokes)
            else:  # class values mean something else now
                self._shown = None
            self.network.learn_from(samples)
        self._batches = iter(())
        self._shown_agreement, self._joined_at = 0.0, self._clock.seconds
        self._joined_at_step = self.network.step
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

    def _score(self, new: list, strokes: LiveStrokes) -> tuple[tuple[int, int], ...]:
        """Count how right the network that was shown is on new strokes; classes that it does not know are left out."""
        n_classes = len(strokes.classes)
        if self._shown is None or self.network is None or not new:
            return ()
        n_known = len(self.network.samples.classes)
        found, painted = [], []
        for part in new:
            part_of_known = part.labels[(part.labels > 0)]
            said = classes_at(self._shown, self._open(part.image, strokes), part, self._device)
            is_known = part_of_known <= n_known
            found.append(said[is_known])
            painted.append(part_of_known[is_known])
        return count_right(found, painted, n_classes)

    def _open(self, key: Hashable, strokes: LiveStrokes) -> OpenPlane:
        if self._plane is not None and self._plane[0].key == key:
            return self._plane[1]
        return OpenPlane(strokes.images[key](), self._request.normalisation)

    # Steps --------------------------------------------------------------------------------------

    @property
    def is_resting(self) -> bool:
        """Whether what is painted was learned long enough."""
        return self.network.step - self._joined_at_step >= REST_STEPS

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

    def wait(self, stop: threading.Event, pause: threading.Event | None) -> Iterator[Progress]:
        """Stand still while a pause is asked for."""
        if pause is None or not pause.is_set():
            return
        self._clock.pause()
        while pause.is_set() and not stop.is_set():
            yield Paused(**self.where("paused"))
            stop.wait(_WAIT)
        self._clock.go_on()

    def take_step(self) -> BatchFinished:
        """Learn from one batch."""
        inputs, targets = self._next_batch()
        loss, rate = self.network.take(inputs, targets)
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

    # Looks --------------------------------------------------------------------------------------

    @property
    def is_look_due(self) -> bool:
        """Whether what is looked at should be predicted now."""
        view = self._source.view
        if view is None or self.network.step == 0:
            return False
        if view is not self._view and self._shown is not None:
            return True  # looking elsewhere waits for nothing
        wait = max(_LOOK_SECONDS, _LOOK_SHARE * self._look_took)
        is_news = self.network.step > 0 and not (self.is_resting and view is self._view)
        return is_news and self._clock.seconds - self._looked_at >= wait

    def look(self, stop: threading.Event) -> Iterator[Progress]:
        """Predict what is looked at, if the network is worth it."""
        began, view = self._clock.seconds, self._source.view
        if view is None:
            return
        is_elsewhere = view is not self._view
        agreed = agreement(self.network.averaged, self.network.samples, self._device)
        if self._is_good(agreed):
            self._shown, self._shown_agreement = self.network.snapshot(), agreed
        elif self._shown is None or not is_elsewhere:
            self._looked_at, self._look_took = self._clock.seconds, 0.0
            return
        with suppress(UserError):  # what cannot be read is not predicted; its layer says so itself
            yield from self._predict(view, stop)
        self._view, self._looked_at = view, self._clock.seconds
        self._look_took = self._clock.seconds - began
        yield Looked(**self.where("learning"), agreement=agreed)

    def _is_good(self, agreed: float) -> bool:
        is_late = self._clock.seconds - self._joined_at > _PATIENCE_SECONDS
        return math.isfinite(agreed) and (
            agreed >= max(_GOOD, self._shown_agreement - _SLACK)
            or (is_late and not self._shown_agreement)
        )

    def _predict(self, view: InView, stop: threading.Event) -> Iterator[Progress]:
        if self._plane is None or self._plane[0].key != view.key:
            self._plane = (view, OpenPlane(view.open(), self._request.normalisation))
        plane = self._plane[1]
        for tile in tiles_in_view(plane.shape, view.window, self._shown):
            if stop.is_set() or self._source.view is not view:
                return
            classes, uncertainty = look_at(self._shown, plane, tile, self._device)
            yield LivePart(
                **self.where("looking"), key=view.key, origin=(tile.write[0].start, tile.write[1].start),
                classes=classes, uncertainty=uncertainty,
            )  # fmt: skip

    # The end --------------------------------------------------------------------------------------

    def model(self, ended_by: str) -> Model:
        """Return what was learned, and how it came about."""
        samples = self.network.samples
        last = [each for each in self._joined if each["scored"]]
        return self.network.model({
            "measured_on": samples.description,
            "warning": _remark(last),
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
    recent = scored[-10:]
    n, right = sum(each["scored"] for each in recent), sum(each["right"] for each in recent)
    return (
        f"It learned from all strokes while they were painted. Before the last {len(recent)} of them were learned, the "
        f"prediction was right on {right / n:.1%} of their {n:,} pixels. People paint where it is wrong, so elsewhere "
        "it is usually better."
    )
