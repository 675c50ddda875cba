"""Schedules: how the learning rate goes from the first step to the last."""

from __future__ import annotations

import math
from typing import Any

from napari_convnet.settings import TrainingSettings

#: A loss must be lower by this share of the lowest one to count as lower (torch's ReduceLROnPlateau).
_LOWER = 1e-4


class Schedule:
    """The learning rate of every step.

    - constant: eta0;
    - step: eta0 times the drop factor to the power of the drops until then, one each drop period;
    - cosine: ``eta(t) = eta0 / 2 (1 + cos(pi t / T))``, t / T the share of the training that is over;
    - plateau: a drop after each drop period of epochs without a lower loss (of the held-out samples,
      where there are any).

    All of them start with a warm-up. The solver traingdx adapts its rate by itself instead.

    References
    ----------
    Loshchilov & Hutter 2017, https://arxiv.org/abs/1608.03983.
    """

    def __init__(self, settings: TrainingSettings) -> None:
        self._settings = settings
        self._factor = 1.0
        self._lowest = math.inf
        self._epochs_without = 0

    def rate(self, share_done: float, epoch: int, step: int, total_steps: int) -> float:
        """Return the learning rate of a step (from 0) in an epoch (from 1)."""
        settings = self._settings
        rate = settings.learning_rate * self._factor
        if settings.solver == "traingdx":
            return rate
        if settings.schedule == "cosine":
            rate *= 0.5 * (1 + math.cos(math.pi * share_done))
        elif settings.schedule == "step":
            rate *= settings.drop_factor ** ((epoch - 1) // settings.drop_period)
        warm_up = min(settings.warm_up_steps, total_steps)
        return rate * min(1.0, (step + 1) / warm_up) if warm_up else rate

    def adapt(self, factor: float) -> None:
        """Multiply the rate of all later steps."""
        self._factor *= factor

    def end_epoch(self, loss: float) -> None:
        """Look at the loss that an epoch ended with."""
        if loss < self._lowest * (1 - _LOWER):
            self._lowest, self._epochs_without = loss, 0
            return
        self._epochs_without += 1
        is_used = self._settings.schedule == "plateau" and self._settings.solver != "traingdx"
        if is_used and self._epochs_without >= self._settings.drop_period:
            self._factor *= self._settings.drop_factor
            self._epochs_without = 0

    def state(self) -> list[float]:
        """Return everything that changes, as JSON values."""
        return [self._factor, self._lowest, self._epochs_without]

    def restore(self, state: list[Any]) -> None:
        """Go on from a state."""
        self._factor, self._lowest, self._epochs_without = state
