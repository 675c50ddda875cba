"""Objectives: what a task's network is taught and how it is measured; the loop knows nothing of it.

A new task is a class of the form of `Objective` and a line in `objective_of`; the set of samples says
which task it is. `ClassObjective` is the example to start from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from napari_convnet.samples import HeatMapSet, PositionSet, TrainingSet, WholeObjectSet
from napari_convnet.scores import Scores, confusion_matrix
from napari_convnet.settings import TrainingSettings
from napari_convnet.training.locating import HeatMapObjective, PositionObjective
from napari_convnet.training.losses import class_loss
from napari_convnet.training.measured import Measured, MeasuredClasses
from napari_convnet.training.whole_objects import ObjectObjective


class Measurement(Protocol):
    """Held-out samples being measured, batch by batch."""

    def add(self, outputs: Tensor, targets: Tensor) -> None:
        """Count a batch: the network's float32 outputs on its device, the targets on the CPU."""

    @property
    def result(self) -> Measured:
        """Loss and scores of everything that was added."""


class Objective(Protocol):
    """What a task's network is taught and how it is measured."""

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of a training batch, a scalar with a gradient; both on the network's device."""

    def tally(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return ``(2,)``: right answers and answers of a training batch; no gradient is needed.

        Their quotient over an epoch is what the curves call training accuracy.
        """

    def measurement(self) -> Measurement:
        """Begin to measure the held-out samples."""


def objective_of(
    samples: TrainingSet, settings: TrainingSettings, device: torch.device
) -> Objective:
    """Return what a set of samples teaches."""
    if isinstance(samples, PositionSet):
        return PositionObjective(samples)
    if isinstance(samples, HeatMapSet):
        return HeatMapObjective(samples)
    if not isinstance(samples, WholeObjectSet):
        return ClassObjective(samples, settings, device)
    # Whole objects show how frequent classes are, and patches show rare ones as often as others. With weights,
    # objects grow over the seams between them: on dsb2018, 1,472 steps, the AP50 of the bare mask was 0.61 with weights
    # and 0.64 without (benchmarks/whole_objects.py --steps 1472).
    return ObjectObjective(ClassObjective(samples, replace(settings, balance="off"), device))


def output_count(samples: TrainingSet) -> int:
    """Return how many channels the network's output has.

    Row and column of one position; else one a class, and one for the depth in whole objects.
    """
    if isinstance(samples, PositionSet):
        return 2
    return len(samples.classes) + isinstance(samples, WholeObjectSet)


class ClassObjective:
    """Classes of patches ``(N,)`` or of pixels ``(N, Y, X)``: the loss of the settings; -1 = not annotated.

    Parameters
    ----------
    samples
        Gives the classes and their counts.
    settings
        Which loss, and whether rare classes count more.
    device
        Where losses are computed.
    """

    def __init__(
        self, samples: TrainingSet, settings: TrainingSettings, device: torch.device
    ) -> None:
        self._samples, self._settings = samples, settings
        self._weights = None
        if settings.balance == "weighted_loss":
            self._weights = class_weights(samples.class_counts()).to(device)

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean loss over what is annotated, weighted by class."""
        kind, gamma = self._settings.loss, self._settings.focal_gamma
        return class_loss(kind, outputs, targets, self._weights, gamma)

    def tally(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return right answers and answers."""
        return torch.stack([(outputs.argmax(1) == targets).sum(), (targets >= 0).sum()])

    def measurement(self) -> _ClassMeasurement:
        """Begin to measure the held-out samples."""
        return _ClassMeasurement(self._samples, self._settings)


class _ClassMeasurement:
    """A confusion matrix and a loss that grow batch by batch."""

    def __init__(self, samples: TrainingSet, settings: TrainingSettings) -> None:
        n_classes = len(samples.classes)
        self._samples, self._settings = samples, settings
        self._confusion = np.zeros((n_classes, n_classes), np.int64)
        self._loss_sum = 0.0

    def add(self, outputs: Tensor, targets: Tensor) -> None:
        self._loss_sum += self._sum_of_losses(outputs, targets.to(outputs.device))
        predicted = outputs.argmax(1).cpu().numpy()
        self._confusion += confusion_matrix(targets.numpy(), predicted, len(self._confusion))

    def _sum_of_losses(self, outputs: Tensor, targets: Tensor) -> float:
        settings = self._settings
        if settings.loss == "cross_entropy":
            return F.cross_entropy(outputs, targets, ignore_index=-1, reduction="sum").item()
        mean = class_loss(settings.loss, outputs, targets, gamma=settings.focal_gamma)
        return mean.item() * int((targets >= 0).sum())

    @property
    def result(self) -> MeasuredClasses:
        """Mean loss over samples or pixels, and the scores."""
        n = max(1, int(self._confusion.sum()))
        return MeasuredClasses(
            self._loss_sum / n,
            Scores(self._confusion),
            self._samples.task,
            self._samples.validation_spots(),
            tuple(info.name for info in self._samples.classes),
        )


def class_weights(counts: Sequence[int] | np.ndarray) -> Tensor:
    """Weigh classes by the inverse root of their counts: rare ones count more but do not rule.

    Returns
    -------
    Tensor
        ``(K,)`` float32 with mean 1 over the classes that occur; the others have 0.
    """
    numbers = torch.as_tensor(counts, dtype=torch.float32)
    weights = torch.where(numbers > 0, numbers.clamp(min=1).rsqrt(), torch.zeros(()))
    return weights * (numbers > 0).sum() / weights.sum()
