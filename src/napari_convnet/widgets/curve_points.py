"""Points of a curve, as many as a screen can show."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

#: More than the pixels of a dock; thick dashes of 2,000 points take 130 ms to draw, those of 500 a quarter of it.
MOST_POINTS = 500


@dataclass
class CurvePoints:
    """Points of one curve; pairs are averaged into one when there are too many to draw."""

    steps: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    points_in_one: int = 1
    _waiting: list[tuple[float, float]] = field(default_factory=list)

    def add(self, step: float, value: float) -> None:
        """Add a point; it may wait for others to be averaged with."""
        self._waiting.append((step, value))
        if len(self._waiting) < self.points_in_one:
            return
        step, value = np.mean(self._waiting, axis=0)
        self._waiting.clear()
        self.steps.append(float(step))
        self.values.append(float(value))
        if len(self.steps) >= MOST_POINTS:
            self.steps = np.reshape(self.steps, (-1, 2)).mean(axis=1).tolist()
            self.values = np.reshape(self.values, (-1, 2)).mean(axis=1).tolist()
            self.points_in_one *= 2

    def stretch(self, factor: float) -> None:
        """Count steps of another length."""
        self.steps = [step * factor for step in self.steps]
        self._waiting = [(step * factor, value) for step, value in self._waiting]
