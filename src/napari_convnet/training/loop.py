"""The loop over epochs and batches, and what it remembers: the best network so far."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Generator, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from napari_convnet.errors import UserError
from napari_convnet.networks import set_training_mode
from napari_convnet.progress import Progress
from napari_convnet.samples import AugmentationSettings, TrainingSet
from napari_convnet.settings import TrainingSettings
from napari_convnet.training.batch_norm import ENOUGH_STEPS, remeasure_batch_norms
from napari_convnet.training.events import BatchFinished, EpochFinished, StoppedEarly
from napari_convnet.training.measured import Measured
from napari_convnet.training.objectives import objective_of
from napari_convnet.training.randomness import own_random

#: The learning rate grows over these first steps, while Adam's averages find their feet.
_WARM_UP_STEPS = 20
#: Gradients are shortened to this length: rarely reached, it takes the edge off a freak batch.
_LONGEST_GRADIENT = 5.0


class TrainingLoop:
    """One training: everything that changes from batch to batch."""

    def __init__(
        self,
        samples: TrainingSet,
        module: nn.Module,
        settings: TrainingSettings,
        device: torch.device,
    ) -> None:
        self.started = time.monotonic()
        self.samples, self.settings, self.device = samples, settings, device
        # Channels last makes convolutions on a CPU a quarter faster (benchmarks/training_speed.py).
        is_cpu = device.type == "cpu"
        self.layout = torch.channels_last if is_cpu else torch.contiguous_format
        self.module = module.to(device).to(memory_format=self.layout)
        self.learning = [p for p in module.parameters() if p.requires_grad]
        self.optimiser = torch.optim.AdamW(
            self.learning, lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        self.objective = objective_of(samples, settings, device)
        self.augmentation = AugmentationSettings.of(settings)
        self.random = torch.Generator().manual_seed(settings.seed)
        self.steps_per_epoch = samples.batches_per_epoch(settings.batch_size)
        self.total_steps = self.steps_per_epoch * settings.epochs
        self.step = 0
        self.epochs_trained = 0
        self.validation_seconds = 0.0
        self.best_weights = _copy_weights(self.module)
        self.highest: Measured | None = None
        self.best_measured: Measured | None = None
        self.best_epoch = 0
        self.stopped_because = ""

    @property
    def seconds(self) -> float:
        """Time since the start."""
        return time.monotonic() - self.started

    @property
    def share_done(self) -> float:
        """Share of the training that is over, by steps or by the time limit, whichever is larger."""
        by_steps = self.step / self.total_steps
        if not self.settings.max_seconds:
            return by_steps
        # The last epoch has yet to be measured within the limit.
        limit = max(1e-3, self.settings.max_seconds - self.validation_seconds)
        return min(1.0, max(by_steps, self.seconds / limit))

    def run(self, stop: threading.Event) -> Iterator[Progress]:
        """Train until the last epoch, the time limit, a stop or invalid numbers."""
        for epoch in range(1, self.settings.epochs + 1):
            tally = [0.0, 0.0, 0.0]
            n_batches = 0
            set_training_mode(self.module)
            batches = self.samples.training_batches(
                self.settings.batch_size, self.random, augment=self.augmentation
            )
            for inputs, targets in batches:
                rate = self._set_learning_rate()
                counted = self._train_batch(inputs, targets)
                if counted is None:
                    yield self._give_up(epoch)
                    return
                n_batches += 1
                tally = [before + now for before, now in zip(tally, counted, strict=True)]
                yield BatchFinished(**self._where(epoch), epoch=epoch, loss=counted[0])
                if stop.is_set() or self.share_done >= 1:
                    break
            # A stopped epoch counts, too: its network may well be the best so far.
            means = tally[0] / n_batches, tally[1] / max(1.0, tally[2])
            yield (yield from self._finish_epoch(epoch, rate, *means))
            if self.stopped_because or stop.is_set() or self.share_done >= 1:
                return

    def _where(self, epoch: int, doing: str = "") -> dict[str, Any]:
        text = f"epoch {epoch} of {self.settings.epochs}{doing}"
        return {"done": self.step, "total": self.total_steps, "text": text}

    def _set_learning_rate(self) -> float:
        rate = self.settings.learning_rate * 0.5 * (1 + math.cos(math.pi * self.share_done))
        rate *= min(1.0, (self.step + 1) / min(_WARM_UP_STEPS, self.total_steps))
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        return rate

    def _train_batch(self, inputs: Tensor, targets: Tensor) -> list[float] | None:
        """Take one step; return loss, right answers and answers, or None if it is not finite."""
        inputs = inputs.to(self.device, memory_format=self.layout)
        targets = targets.to(self.device)
        self.step += 1
        with own_random(self.settings.seed, self.step, self.device):
            outputs = self.module(inputs)
        loss = self.objective.loss(outputs, targets)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.learning, _LONGEST_GRADIENT)
        tally = self.objective.tally(outputs.detach(), targets)
        # One transfer from the device instead of four.
        numbers = torch.cat([torch.stack([loss.detach(), norm]), tally]).tolist()
        if not math.isfinite(numbers[0]) or not math.isfinite(numbers[1]):
            return None  # one invalid step would spoil every weight
        self.optimiser.step()
        return [numbers[0], *numbers[2:]]

    def _give_up(self, epoch: int) -> StoppedEarly:
        """End with the best network so far.

        Raises
        ------
        UserError
            CN-202 when there is none yet.
        """
        rate = self.settings.learning_rate
        advice = f"Usual cause: learning rate {rate:g} is too high; try {rate / 10:g}."
        stopped = f"Training stopped: the numbers became invalid in epoch {epoch}."
        if not self.best_epoch:
            raise UserError("CN-202", f"{stopped} Your annotations are safe. {advice}")
        kept = f"The model of epoch {self.best_epoch} is kept."
        self.stopped_because = f"{stopped} {kept} {advice}"
        return StoppedEarly(**self._where(epoch, ": stopped"), reason=self.stopped_because)

    def _finish_epoch(
        self, epoch: int, rate: float, loss: float, accuracy: float
    ) -> Generator[Progress, None, Progress]:
        """Measure the network and remember it if it is the best; returns the closing event."""
        self._refresh_batch_norms()
        measured = None
        if self.samples.n_validation:
            measured = yield from self._measure(epoch)
            if not math.isfinite(measured.loss):
                return self._give_up(epoch)
        is_best = self._is_best(measured)
        if is_best:
            self.best_measured, self.best_epoch = measured, epoch
            self.best_weights = _copy_weights(self.module)
        self.epochs_trained = epoch
        return EpochFinished(
            **self._where(epoch),
            epoch=epoch,
            training_loss=loss,
            training_accuracy=accuracy,
            validation_loss=measured.loss if measured else None,
            validation_accuracy=measured.accuracy if measured else None,
            score=measured.score if measured else None,
            learning_rate=rate,
            is_best=is_best,
            seconds=self.seconds,
        )

    def _is_best(self, measured: Measured | None) -> bool:
        """Decide by the one-standard-error rule: later wins unless it is clearly worse.

        Later networks have seen more, at a smaller learning rate. The highest of many scores on a few
        held-out cells or strokes is mostly luck.
        """
        if measured is None:
            return True
        if self.highest is None or measured.score >= self.highest.score:
            self.highest = measured
        return measured.score >= self.highest.score - self.highest.standard_error

    def _refresh_batch_norms(self) -> None:
        """Bring batch norms' statistics up to date where running averages cannot be."""
        if min(self.step, self.steps_per_epoch) >= ENOUGH_STEPS:
            return
        # Draws of its own, so that measuring does not change what is trained on next.
        random = torch.Generator().manual_seed(self.settings.seed)
        batches = self.samples.training_batches(
            self.settings.batch_size, random, augment=self.augmentation
        )
        inputs = (batch.to(self.device, memory_format=self.layout) for batch, _ in batches)
        remeasure_batch_norms(self.module, inputs)

    def _measure(self, epoch: int) -> Generator[Progress, None, Measured]:
        began = time.monotonic()
        measurement = self.objective.measurement()
        self.module.eval()
        for inputs, targets in self.samples.validation_batches(4 * self.settings.batch_size):
            with torch.inference_mode():
                measurement.add(self.module(inputs.to(self.device)).float(), targets)
            yield Progress(**self._where(epoch, ", measuring"))
        self.validation_seconds = time.monotonic() - began
        return measurement.result

    def best_network(self) -> nn.Module:
        """Return the best epoch's network, on the CPU and in evaluation mode."""
        self.module.load_state_dict(self.best_weights)
        return self.module.cpu().to(memory_format=torch.contiguous_format).eval()

    def describe_scores(self) -> dict[str, Any]:
        """Return the best epoch's scores and what they were measured on, as JSON values."""
        rough = self.best_measured.warning if self.best_measured else ""
        warnings = (self.stopped_because, self.samples.warning, rough)
        described: dict[str, Any] = {
            "measured_on": self.samples.description,
            "warning": " ".join(filter(None, warnings)),
            "best_epoch": self.best_epoch,
            "epochs_trained": self.epochs_trained,
            "seconds": round(self.seconds, 2),
        }
        if self.best_measured is not None:
            described["validation"] = self.best_measured.as_dict()
        return described


def _copy_weights(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}
