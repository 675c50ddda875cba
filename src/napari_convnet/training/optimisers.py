"""Optimisers: how gradients become steps."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from napari_convnet.settings import TrainingSettings

#: MATLAB's defaults of ``traingdx``: ``lr_inc``, ``lr_dec`` and ``max_perf_inc``.
_GROWTH, _SHRINKAGE, _LARGEST_RISE = 1.05, 0.7, 1.04


class AdaptiveMomentum(torch.optim.Optimizer):
    """Gradient descent with momentum whose rate adapts by itself: MATLAB's ``traingdx``.

    After each step the loss of the same samples is compared: where it fell, the rate grows by 5 %;
    where it rose by more than 4 %, the step is undone and the rate shrinks to 70 %.

    References
    ----------
    https://www.mathworks.com/help/deeplearning/ref/traingdx.html; there a step sees all samples, here
    it sees a batch, of whatever size.
    """

    def __init__(
        self, params: Iterable, lr: float, momentum: float = 0.9, weight_decay: float = 0.0
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        """Take a step along the gradients."""
        for parameter, group in self._learning():
            state = self.state[parameter]
            if not state:
                state["change"] = torch.zeros_like(parameter)
            state["before"] = parameter.detach().clone()
            gradient = parameter.grad + group["weight_decay"] * parameter
            scale = group["lr"] * group["momentum"] if group["momentum"] else group["lr"]
            state["change"].mul_(group["momentum"]).sub_(scale * gradient)
            parameter.add_(state["change"])

    @torch.no_grad()
    def judge(self, before: float, after: float) -> float:
        """Keep or undo the last step by the loss before and after it; returns the rate's factor."""
        if after > _LARGEST_RISE * before or after != after:
            for parameter, _ in self._learning():
                state = self.state[parameter]
                parameter.copy_(state["before"])
                state["change"].zero_()
            return _SHRINKAGE
        return _GROWTH if after < before else 1.0

    def _learning(self) -> Iterable[tuple[Tensor, dict[str, Any]]]:
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    yield parameter, group


def make_optimiser(
    groups: list[Tensor] | list[dict[str, Any]], settings: TrainingSettings
) -> torch.optim.Optimizer:
    """Return the solver of the settings for parameters or groups of parameters."""
    rate, decay, momentum = settings.learning_rate, settings.weight_decay, settings.momentum
    match settings.solver:
        case "adamw":
            return torch.optim.AdamW(groups, rate, betas=(momentum, 0.999), weight_decay=decay)
        case "adam":
            return torch.optim.Adam(groups, rate, betas=(momentum, 0.999), weight_decay=decay)
        case "sgdm":
            return torch.optim.SGD(groups, rate, momentum=momentum, weight_decay=decay)
        case "rmsprop":
            # MATLAB's squared gradient decay factor, which torch calls alpha.
            return torch.optim.RMSprop(groups, rate, alpha=0.9, weight_decay=decay)
    return AdaptiveMomentum(groups, rate, momentum, decay)


@torch.no_grad()
def add_l1(parameters: Iterable[Tensor], strength: float) -> None:
    """Add the gradient of ``strength * sum(|w|)`` over kernels and matrices; biases and norms go free."""
    for parameter in parameters:
        if parameter.grad is not None and parameter.ndim > 1:
            parameter.grad.add_(parameter.sign(), alpha=strength)
