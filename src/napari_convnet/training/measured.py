"""What a measurement on held-out samples says, and how far chance may have moved it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from napari_convnet.scores import Scores

#: With fewer held-out places of a class than this its score is a rough guess.
_ENOUGH_PLACES = 5


class Measured(Protocol):
    """Loss and scores on the held-out samples, of any task.

    ``loss`` is the mean over samples or pixels.
    """

    loss: float

    @property
    def score(self) -> float:
        """What epochs are compared by: a finite number, higher is better."""

    @property
    def standard_error(self) -> float:
        """How far the score may be off by chance."""

    @property
    def accuracy(self) -> float:
        """What the curves show beside the training accuracy."""

    @property
    def warning(self) -> str:
        """Why the score may not mean much, or ""."""

    def as_dict(self) -> dict[str, Any]:
        """Return all scores as JSON values."""


@dataclass(frozen=True)
class MeasuredClasses:
    """Loss and scores of classes.

    ``spots`` counts, for each class, the held-out places that go right or wrong on their own;
    ``names`` are the classes'.
    """

    loss: float
    scores: Scores
    task: str
    spots: np.ndarray
    names: tuple[str, ...] = ()

    @property
    def score(self) -> float:
        """Mean IoU to segment, balanced accuracy to classify."""
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

    @property
    def accuracy(self) -> float:
        """Share of samples or pixels that are right."""
        return self.scores.accuracy

    @property
    def warning(self) -> str:
        """Warn where strokes are held out in so few places that their score says little."""
        fewest = int(self.spots.min())
        if self.task != "segment" or fewest >= _ENOUGH_PLACES:
            return ""
        return f"Only {fewest} held-out places of one class: the score is a rough guess."

    def as_dict(self) -> dict[str, Any]:
        """Return all scores as JSON values."""
        return self.scores.as_dict(list(self.names))
