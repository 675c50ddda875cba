"""Steps that hold on to what is known where nothing is painted: strokes show no borders, and a starter knows them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from napari_convnet.training.stepper import Stepper


class ConsistentStepper(Stepper):
    """A stepper whose network also learns, on pixels without strokes, what the mean of its last states says there.

    Parameters
    ----------
    teacher
        The mean of the last states; it changes with every step, and no gradient goes through it.
    arguments
        Those of `Stepper`.

    References
    ----------
    Mean teacher: Tarvainen & Valpola 2017, https://arxiv.org/abs/1703.01780; soft pseudo-labels: Hinton, Vinyals &
    Dean 2015, https://arxiv.org/abs/1503.02531.
    """

    def __init__(self, teacher: nn.Module, *arguments: Any) -> None:
        self._teacher = teacher
        super().__init__(*arguments)

    def _loss(self, inputs: Tensor, targets: Tensor, step: int) -> tuple[Tensor, Tensor]:
        loss, outputs = super()._loss(inputs, targets, step)
        with torch.no_grad():
            expected = self._teacher.eval()(inputs).float().softmax(1)
        is_open = targets < 0
        if not is_open.any():
            return loss, outputs
        apart = -(expected * outputs.log_softmax(1)).sum(1)
        return loss + apart[is_open].mean(), outputs
