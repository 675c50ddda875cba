"""Which network a training gives in the end."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor, nn

from napari_convnet.training.measured import Measured


@dataclass(frozen=True)
class Mark:
    """What is remembered of a measurement: plain values that a checkpoint can hold."""

    loss: float
    score: float
    standard_error: float
    accuracy: float
    warning: str
    scores: dict[str, Any]

    @classmethod
    def of(cls, measured: Measured) -> Mark:
        """Return what is remembered of a measurement."""
        return cls(
            measured.loss, measured.score, measured.standard_error, measured.accuracy,
            measured.warning, measured.as_dict(),
        )  # fmt: skip


class Best:
    """The best network so far, by one of three rules.

    - ``"best_score_one_standard_error"``: the last one whose score lies within one standard error of
      the highest. Later networks have seen more, at a smaller learning rate, and the highest of many
      scores on a few held-out cells or strokes is mostly luck.
    - ``"best"``: the one with the highest score; of equal scores, the one with the lower loss.
    - ``"last"``.

    As long as nothing was measured, the last network is the best one.
    """

    def __init__(self, rule: str, module: nn.Module) -> None:
        self.rule = rule
        self.weights = copy_weights(module)
        self.mark: Mark | None = None
        self.highest: Mark | None = None
        self.epoch = 0
        self.step = 0
        self.lowest_loss = math.inf
        self.without_lower_loss = 0

    def consider(self, module: nn.Module, mark: Mark | None, epoch: int, step: int) -> bool:
        """Keep the network if it is the best one now; returns whether it is."""
        is_better = self._is_better(mark)
        if mark is not None:
            self._count_patience(mark.loss)
        if is_better:
            self.weights, self.mark = copy_weights(module), mark
            self.epoch, self.step = epoch, step
        return is_better

    def _is_better(self, mark: Mark | None) -> bool:
        if mark is None:
            return self.highest is None or self.rule == "last"
        if self.highest is None:
            self.highest = mark
            return True
        highest = self.highest
        if self.rule == "best":
            is_better = (mark.score, -mark.loss) > (highest.score, -highest.loss)
            self.highest = mark if is_better else highest
            return is_better
        if mark.score >= highest.score:
            self.highest = highest = mark
        return self.rule == "last" or mark.score >= highest.score - highest.standard_error

    def _count_patience(self, loss: float) -> None:
        """Count, as MATLAB's ValidationPatience, the losses that are not below the smallest one."""
        if loss < self.lowest_loss:
            self.lowest_loss, self.without_lower_loss = loss, 0
        else:
            self.without_lower_loss += 1

    def state(self) -> dict[str, Any]:
        """Return everything but the weights, as JSON values."""
        marks = {name: mark and asdict(mark) for name, mark in self._marks().items()}
        return {
            **marks, "epoch": self.epoch, "step": self.step,
            "lowest_loss": self.lowest_loss, "without_lower_loss": self.without_lower_loss,
        }  # fmt: skip

    def restore(self, state: dict[str, Any], weights: dict[str, Tensor]) -> None:
        """Go on from a state and the best network's weights, which are taken over."""
        self.weights = weights
        self.mark, self.highest = (
            Mark(**state[name]) if state[name] else None for name in ("mark", "highest")
        )
        self.epoch, self.step = state["epoch"], state["step"]
        self.lowest_loss = state["lowest_loss"]
        self.without_lower_loss = state["without_lower_loss"]

    def _marks(self) -> dict[str, Mark | None]:
        return {"mark": self.mark, "highest": self.highest}


def copy_weights(module: nn.Module) -> dict[str, Tensor]:
    """Return copies of all weights and statistics, where they are."""
    return {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}
