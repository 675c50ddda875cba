"""The loop over epochs and batches: one for every task, resumable at every batch."""

from __future__ import annotations

import math
import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from napari_convnet.devices import memory_layout
from napari_convnet.errors import UserError
from napari_convnet.networks import set_training_mode
from napari_convnet.progress import Progress, told_as
from napari_convnet.samples import TrainingSet
from napari_convnet.settings import TrainingSettings
from napari_convnet.training.best import Best, Mark
from napari_convnet.training.clock import Clock, Pace
from napari_convnet.training.events import (
    BatchFinished,
    EpochFinished,
    Paused,
    StoppedEarly,
    Validated,
)
from napari_convnet.training.examiner import Examiner
from napari_convnet.training.feeder import Feeder
from napari_convnet.training.objectives import objective_of
from napari_convnet.training.overfitting import overfits_since
from napari_convnet.training.schedules import Schedule
from napari_convnet.training.smaller import can_take_less, take_less
from napari_convnet.training.stepper import Stepper

#: While a training waits it looks so often, in seconds, whether it shall go on.
_PAUSE_LOOK = 0.2


class TrainingLoop:
    """One training: everything that changes from batch to batch.

    Parameters
    ----------
    groups
        Parameters by how fast they learn, see `parameter_groups`; by default all learn alike.
    pace, last_step
        Of an earlier run that is repeated by steps: see `Pace`, and the step to end at.
    smallest_patch
        Smallest side in pixels that the network accepts.
    """

    def __init__(
        self,
        samples: TrainingSet,
        module: nn.Module,
        settings: TrainingSettings,
        device: torch.device,
        *,
        groups: list[dict[str, Any]] | None = None,
        pace: Sequence[int] | None = None,
        last_step: int = 0,
        smallest_patch: int = 1,
    ) -> None:
        self.smallest_patch, self.wanted_samples = smallest_patch, samples
        self.samples, self.settings, self.device = samples, settings, device
        layout = memory_layout(device, module)
        self.module = module.to(device).to(memory_format=layout)
        self.objective = objective_of(samples, settings, device)
        if groups is None:
            groups = [{"params": [p for p in module.parameters() if p.requires_grad]}]
        self.stepper = Stepper(self.module, groups, self.objective, settings, device, layout)
        self.schedule = Schedule(settings)
        self.best = Best(settings.weights_returned, self.module)
        self.clock, self.pace = Clock(), Pace(pace)
        self.is_timed = bool(settings.max_seconds) or pace is not None
        self.has_clock = bool(settings.max_seconds) and pace is None
        self.last_step = last_step
        self.feeder = Feeder(samples, settings, device)
        self.examiner = Examiner(samples, self.stepper, self.feeder)
        self.use_batches_of(settings.batch_size)
        self.step = self.batch = self.epochs_trained = 0
        self.tally, self.rate = [0.0, 0.0, 0.0], settings.learning_rate
        self.training_losses: list[float] = []
        self.validation_losses: list[float | None] = []
        self.stopped_because = self.ended_by = ""
        self.keep: Any = None  # a `Keeper`, which knows this module

    def use_batches_of(self, batch_size: int) -> None:
        """Take so many samples a step from now on."""
        self.batch_size, self.examiner.at_once = batch_size, 4 * batch_size
        self.steps_per_epoch = self.samples.batches_per_epoch(batch_size)
        self.total_steps = self.steps_per_epoch * self.settings.epochs

    def use_patches_of(self, patch_size: int) -> None:
        """Cut patches of another size from now on."""
        self.samples = replace(self.samples, patch_size=patch_size)
        self.objective = objective_of(self.samples, self.settings, self.device)
        self.stepper.objective = self.objective
        self.feeder.samples = self.examiner.samples = self.samples
        self.use_batches_of(self.batch_size)

    @property
    def share_done(self) -> float:
        """Share of the training that is over, by steps or by the time limit, whichever is larger."""
        by_steps = self.step / self.total_steps
        if not self.is_timed:
            return by_steps
        # The last epoch has yet to be measured within the limit.
        limit = self.settings.max_seconds - self.examiner.seconds
        return min(1.0, max(by_steps, self.pace.share(self.step, self.clock.seconds, limit)))

    def run(
        self, stop: threading.Event, pause: threading.Event | None = None
    ) -> Iterator[Progress]:
        """Train until the last epoch, the time limit, a stop, a goal or invalid numbers.

        Memory that runs out halves the batch, or then the patch, if the settings allow it, and begins the
        epoch again.
        """
        ran_out = ""
        while ran_out or not self.ended_by:
            ran_out = ""
            try:
                yield from self._train_epoch(stop, pause)
            except (RuntimeError, MemoryError) as error:
                if not can_take_less(self, error):
                    raise
                ran_out = str(error) or type(error).__name__
            if ran_out:  # outside of the handler, whose traceback holds on to the batch
                event = take_less(self, ran_out)
                if event is None:
                    raise MemoryError(ran_out)
                yield event
            elif not self.ended_by:
                self._end_if_over(stop)  # a stop that came while the epoch was measured
                self._keep_state()

    def _train_epoch(
        self, stop: threading.Event, pause: threading.Event | None
    ) -> Iterator[Progress]:
        if not self.ended_by:
            yield from self._train_batches(stop, pause)
        if not self.stopped_because:
            # A stopped epoch counts, too: its network may well be the best so far.
            yield (yield from self._finish_epoch(self.epochs_trained + 1))

    def _train_batches(
        self, stop: threading.Event, pause: threading.Event | None
    ) -> Iterator[Progress]:
        epoch = self.epochs_trained + 1
        set_training_mode(self.module)
        with closing(self.feeder.batches(self.batch_size, self.batch)) as batches:
            for inputs, targets in batches:
                yield from self._wait(stop, pause)
                self.rate = self.schedule.rate(self.share_done, epoch, self.step, self.total_steps)
                counted, factor = self.stepper.take(inputs, targets, self.step + 1, self.rate)
                self.step += 1
                if counted is None:
                    yield self._give_up(epoch)
                    return
                self.schedule.adapt(factor)
                self.batch += 1
                self.tally = [before + now for before, now in zip(self.tally, counted, strict=True)]
                yield BatchFinished(
                    **self.where(epoch), epoch=epoch, loss=counted[0], learning_rate=self.rate
                )
                self._end_if_over(stop)
                is_within = self.samples.n_validation and self.batch < self.steps_per_epoch
                if is_within and not self.ended_by and self._is_due("iterations", self.step):
                    yield (yield from self._validate_within(epoch))
                self._keep_state()
                if self.ended_by:
                    return
        self._end_if_over(stop)  # a resumed epoch may have had no batch left
        self._keep_state()

    def _wait(self, stop: threading.Event, pause: threading.Event | None) -> Iterator[Progress]:
        """Stand still while a pause is asked for; what was trained is kept first."""
        if pause is None or not pause.is_set():
            return
        self.clock.pause()
        self._keep_state()
        while pause.is_set() and not stop.is_set():
            yield Paused(**self.where(self.epochs_trained + 1, ", paused"))
            stop.wait(_PAUSE_LOOK)
        self.clock.go_on()

    def _keep_state(self) -> None:
        """Keep what a resumed training needs, if there is a keeper and it finds it time to."""
        if self.keep:
            self.keep(self)

    def _end_if_over(self, stop: threading.Event) -> None:
        if stop.is_set():
            self.ended_by = "stopped"
        elif self.step == self.total_steps:
            self.ended_by = "all epochs"
        elif self.share_done >= 1 or (
            self.has_clock and self.clock.seconds >= self.settings.max_seconds
        ):
            self.ended_by = "time limit"
        elif self.step == self.last_step:
            self.ended_by = "as before"

    def where(self, epoch: int, doing: str = "") -> dict[str, Any]:
        """Return what every event tells: steps done, steps in all, and the epoch in words."""
        text = f"epoch {epoch} of {self.settings.epochs}{doing}"
        return {"done": self.step, "total": self.total_steps, "text": text}

    def _give_up(self, epoch: int) -> StoppedEarly:
        """End with the best network so far.

        Raises
        ------
        UserError
            CN-202 when there is none yet.
        """
        rate = self.settings.learning_rate
        advised = f"Usual cause: learning rate {rate:g} is too high; try {rate / 10:g}."
        stopped = f"Training stopped: the numbers became invalid in epoch {epoch}."
        if not self.best.epoch:
            raise UserError("CN-202", f"{stopped} Your annotations are safe. {advised}")
        kept = f"The model of epoch {self.best.epoch} is kept."
        self.stopped_because = f"{stopped} {kept} {advised}"
        self.ended_by = "invalid numbers"
        return StoppedEarly(**self.where(epoch, ": stopped"), reason=self.stopped_because)

    def _finish_epoch(self, epoch: int) -> Generator[Progress, None, Progress]:
        """Measure the network if it is time to, remember it if it is the best, and close the epoch."""
        mark = None
        is_due = self._is_due("epochs", epoch) or self._is_due("iterations", self.step)
        if self.samples.n_validation and (is_due or self.ended_by):
            mark = yield from self._measure(epoch)
            if not math.isfinite(mark.loss):
                return self._give_up(epoch)
        else:
            self.examiner.refresh_batch_norms(self.step, self.batch_size)
        loss = self.tally[0] / max(1, self.batch)
        is_best = self.best.consider(self.module, mark, epoch, self.step)
        self.schedule.end_epoch(mark.loss if mark else loss)
        self.epochs_trained = epoch
        accuracy = self.tally[1] / max(1.0, self.tally[2])
        self.batch, self.tally = 0, [0.0, 0.0, 0.0]
        self.feeder.end_epoch()
        self._end_if_good(loss)
        self.training_losses.append(loss)
        self.validation_losses.append(mark.loss if mark else None)
        return EpochFinished(
            **self.where(epoch),
            epoch=epoch,
            training_loss=loss,
            training_accuracy=accuracy,
            **_held_out(mark),
            learning_rate=self.rate,
            is_best=is_best,
            seconds=self.clock.seconds,
            overfits_since=overfits_since(self.training_losses, self.validation_losses),
        )

    def _end_if_good(self, training_loss: float) -> None:
        if self.ended_by:
            return
        if self.epochs_trained >= self.settings.epochs:
            self.ended_by = "all epochs"
        elif 0 < self.settings.loss_goal >= training_loss:
            self.ended_by = "loss goal"
        elif 0 < self.settings.patience <= self.best.without_lower_loss:
            self.ended_by = "patience"

    def _is_due(self, unit: str, count: int) -> bool:
        return self.settings.validate_unit == unit and count % self.settings.validate_every == 0

    def _measure(self, epoch: int) -> Generator[Progress, None, Mark]:
        self.examiner.refresh_batch_norms(self.step, self.batch_size)
        where = self.where(epoch, ", measuring")
        measuring = self.examiner.measure(self.objective)
        return (yield from told_as(measuring, lambda _event: Progress(**where)))

    def _validate_within(self, epoch: int) -> Generator[Progress, None, Progress]:
        """Measure in the middle of an epoch."""
        mark = yield from self._measure(epoch)
        set_training_mode(self.module)
        if not math.isfinite(mark.loss):
            return self._give_up(epoch)
        is_best = self.best.consider(self.module, mark, epoch, self.step)
        self._end_if_good(math.inf)
        return Validated(
            **self.where(epoch),
            epoch=epoch,
            **_held_out(mark),
            is_best=is_best,
        )


def _held_out(mark: Mark | None) -> dict[str, Any]:
    names = {"validation_loss": "loss", "validation_accuracy": "accuracy", "score": "score"}
    return {name: getattr(mark, key) if mark else None for name, key in names.items()}
