"""One training step: from a batch to changed weights."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from napari_convnet.memory import free_memory
from napari_convnet.settings import TrainingSettings
from napari_convnet.training.objectives import Objective
from napari_convnet.training.optimisers import AdaptiveMomentum, add_l1, make_optimiser
from napari_convnet.training.precision import autocast, uses_bfloat16
from napari_convnet.training.randomness import own_random, repeatable

#: A batch's loss of so many times the first one's is no number to go on from.
_EXPLODED = 1e4


class Stepper:
    """A network with its optimiser, and what was asked of each step.

    Parameters
    ----------
    module
        On the device; changed by every step.
    groups
        Parameters as the optimiser takes them; ``"factor"`` multiplies a group's learning rate.
    """

    def __init__(
        self,
        module: nn.Module,
        groups: list[dict[str, Any]],
        objective: Objective,
        settings: TrainingSettings,
        device: torch.device,
        layout: torch.memory_format,
    ) -> None:
        self.module, self.objective, self.settings = module, objective, settings
        self.device, self.layout = device, layout
        self.learning = [p for p in module.parameters() if p.requires_grad]
        self.uses_bfloat16 = uses_bfloat16(settings.mixed_precision, device)
        self.first_loss: float | None = None
        self._groups = groups
        self.begin_optimiser()

    def begin_optimiser(self) -> None:
        """Start with an optimiser that has seen nothing."""
        self.optimiser = make_optimiser([dict(group) for group in self._groups], self.settings)

    def to_device(self, inputs: Tensor) -> Tensor:
        """Bring a batch to where the network is."""
        return inputs.to(self.device, memory_format=self.layout, non_blocking=True)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the network's float32 outputs for a batch on its device."""
        with autocast(self.uses_bfloat16, self.device):
            outputs = self.module(inputs)
        return outputs.float()

    def take(
        self, inputs: Tensor, targets: Tensor, step: int, rate: float
    ) -> tuple[list[float] | None, float]:
        """Take a step.

        Returns
        -------
        numbers
            Loss, right answers, answers; None if they are not finite or have exploded, and then
            nothing was changed.
        factor
            What the rate shall be multiplied with from now on.
        """
        settings = self.settings
        for group in self.optimiser.param_groups:
            group["lr"] = rate * group.get("factor", 1.0)
        with repeatable(settings.deterministic):
            inputs = self.to_device(inputs)
            targets = targets.to(self.device, non_blocking=True)
            loss, outputs = self._loss(inputs, targets, step)
            self.optimiser.zero_grad(set_to_none=True)
            loss.backward()
            if settings.l1:
                add_l1(self.learning, settings.l1)
            longest = settings.gradient_clipping or math.inf
            norm = nn.utils.clip_grad_norm_(self.learning, longest)
            tally = self.objective.tally(outputs.detach(), targets)
            # One transfer from the device instead of four.
            numbers = torch.cat([torch.stack([loss.detach(), norm]), tally]).tolist()
            if not self._is_sound(numbers[0], numbers[1]):
                return None, 1.0  # one invalid step would spoil every weight
            self.optimiser.step()
            factor = 1.0
            if isinstance(self.optimiser, AdaptiveMomentum):
                with torch.no_grad():
                    after = self._loss(inputs, targets, step)[0].item()
                factor = self.optimiser.judge(numbers[0], after)
        return [numbers[0], *numbers[2:]], factor

    def _loss(self, inputs: Tensor, targets: Tensor, step: int) -> tuple[Tensor, Tensor]:
        with own_random(self.settings.seed, step, self.device):
            outputs = self.forward(inputs)
        return self.objective.loss(outputs, targets), outputs

    def _is_sound(self, loss: float, norm: float) -> bool:
        if not math.isfinite(loss) or not math.isfinite(norm):
            return False
        if self.first_loss is None:
            self.first_loss = loss
        return loss <= _EXPLODED * max(1.0, self.first_loss)

    def recover(self) -> None:
        """Let go of what a step held when memory ran out.

        The optimiser starts anew if its state was just being laid out.
        """
        kept = [set(state) for state in self.optimiser.state.values()]
        n_learned = sum(p.grad is not None for p in self.learning)
        if any(names != kept[0] for names in kept) or len(kept) < n_learned:
            self.begin_optimiser()
        self.optimiser.zero_grad(set_to_none=True)
        free_memory(self.device)
