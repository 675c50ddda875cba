"""Measuring the network that is being trained on what is held out."""

from __future__ import annotations

import time
from collections.abc import Generator

import torch

from napari_convnet.samples import TrainingSet
from napari_convnet.training.batch_norm import ENOUGH_STEPS, remeasure_batch_norms
from napari_convnet.training.best import Mark
from napari_convnet.training.feeder import Feeder
from napari_convnet.training.objectives import Objective
from napari_convnet.training.stepper import Stepper


class Examiner:
    """Measures a network in evaluation mode, with batch norms that know its present weights.

    ``seconds`` is how long the last measurement took, ``at_once`` how many samples it takes together.
    """

    def __init__(self, samples: TrainingSet, stepper: Stepper, feeder: Feeder) -> None:
        self.samples, self._stepper, self._feeder = samples, stepper, feeder
        self.seconds = 0.0
        self.is_measuring = False
        self.at_once = 0

    def measure(self, objective: Objective) -> Generator[int, None, Mark]:
        """Measure; yields the number of batches done."""
        began = time.monotonic()
        self.is_measuring = True
        measurement = objective.measurement()
        stepper = self._stepper
        stepper.module.eval()
        for done, (inputs, targets) in enumerate(
            self.samples.validation_batches(self.at_once), start=1
        ):
            with torch.inference_mode():
                measurement.add(stepper.forward(inputs.to(stepper.device)), targets)
            yield done
        self.is_measuring = False
        self.seconds = time.monotonic() - began
        return Mark.of(measurement.result)

    def halve(self) -> None:
        """Take half of the samples together from now on, after memory ran out."""
        self.at_once //= 2
        self.is_measuring = False

    def refresh_batch_norms(self, step: int, batch_size: int) -> None:
        """Bring batch norms' statistics up to date where running averages cannot be."""
        if min(step, self.samples.batches_per_epoch(batch_size)) >= ENOUGH_STEPS:
            return
        batches = self._feeder.measuring_batches(batch_size)
        inputs = (self._stepper.to_device(batch) for batch in batches)
        remeasure_batch_norms(self._stepper.module, inputs)
