"""Measuring a network on what is held out."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from napari_convnet.samples import TrainingSet
from napari_convnet.scores import Scores, confusion_matrix


@dataclass(frozen=True)
class Measured:
    """Loss and scores on the held-out samples.

    ``spots`` counts, for each class, the held-out places that go right or wrong on their own.
    """

    loss: float
    scores: Scores
    task: str
    spots: np.ndarray

    @property
    def score(self) -> float:
        """What epochs are compared by: mean IoU to segment, balanced accuracy to classify."""
        value = self.scores.mean_iou if self.task == "segment" else self.scores.balanced_accuracy
        return value if math.isfinite(value) else 0.0

    @property
    def standard_error(self) -> float:
        """How far the score may be off by chance: the fewer held-out places, the farther.

        Pixels of one stroke go right or wrong together, so what counts is the number of places, not
        of pixels. Shares are drawn towards one half as Agresti & Coull do
        (https://doi.org/10.1080/00031305.1998.10480550), so that 4 right of 4 are not taken for
        certain.
        """
        n = self.spots[self.spots > 0]
        share = (self.scores.recall[self.spots > 0] * n + 1) / (n + 2)
        return float(np.sqrt((share * (1 - share) / (n + 2)).sum()) / max(1, len(n)))


class Validation:
    """One measurement, batch by batch; `result` is complete once the iterator is exhausted."""

    def __init__(self, samples: TrainingSet) -> None:
        n_classes = len(samples.classes)
        self.samples = samples
        self.confusion = np.zeros((n_classes, n_classes), np.int64)
        self.loss_sum = 0.0

    def steps(self, module: nn.Module, device: torch.device, batch_size: int) -> Iterator[int]:
        """Measure a network in evaluation mode; yields the number of batches done."""
        module.eval()
        batches = self.samples.validation_batches(batch_size)
        for done, (inputs, targets) in enumerate(batches, start=1):
            with torch.inference_mode():
                logits = module(inputs.to(device)).float()
                loss = F.cross_entropy(logits, targets.to(device), ignore_index=-1, reduction="sum")
                predicted = logits.argmax(1).cpu().numpy()
            self.loss_sum += loss.item()
            self.confusion += confusion_matrix(targets.numpy(), predicted, len(self.confusion))
            yield done

    @property
    def result(self) -> Measured:
        """Mean loss over samples or pixels, and the scores."""
        n = max(1, int(self.confusion.sum()))
        scores = Scores(self.confusion)
        return Measured(
            self.loss_sum / n, scores, self.samples.task, self.samples.validation_spots()
        )
