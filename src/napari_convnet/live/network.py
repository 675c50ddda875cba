"""The network that learns while strokes join: one that takes steps, and the mean of its last states, which is shown."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from napari_convnet.classes import ClassInfo
from napari_convnet.devices import memory_layout
from napari_convnet.errors import UserError
from napari_convnet.images import Normalisation
from napari_convnet.live.consistency import ConsistentStepper
from napari_convnet.live.looking import agreement
from napari_convnet.model_file import Model
from napari_convnet.networks import (
    STARTER_HEAD,
    learning_batch_norms,
    network_entry,
    parameter_groups,
    set_training_mode,
)
from napari_convnet.samples import SegmentationSet
from napari_convnet.settings import TrainingSettings
from napari_convnet.training.defaults import check_dimensions, suggest_epochs
from napari_convnet.training.fine_tuning import start_from_model
from napari_convnet.training.objectives import ClassObjective
from napari_convnet.training.recipe import Recipe
from napari_convnet.training.stepper import Stepper

#: Share of the mean that a step leaves as it was: about the last 50 steps count.
_DECAY = 0.98
#: Layers that begin with starter weights learn so much slower than the last one: strokes show no borders of objects,
#: and the starter weights know them.
_STARTER_FACTOR = 0.1
#: Share of a step in the statistics of batch norms that begin with starter weights; the patches around strokes are not
#: like whole images.
_STARTER_MOMENTUM = 0.02
_MOMENTUM = 0.1
#: Where starter weights are right on such a share of the strokes, they are held on to, until strokes come on which they
#: are not; elsewhere they are only a start.
_MOSTLY, _N_ASKED = 0.9, 32
#: After so many steps without a new stroke, or more where there are many, the training rests; in the last two thirds
#: of them the rate falls to a share of it. A few strokes are soon known by heart, and what is not painted gets worse.
REST_STEPS, _COLDEST = 450, 0.05
#: It does not rest before the mean of the last states is right on such a share of the strokes, or after so many rounds.
_LEARNED, _MOST_ROUNDS = 0.97, 6
#: Numbers that became invalid so many times in a row end the training.
_MOST_FAILURES = 3


@dataclass(frozen=True, eq=False)
class LiveRequest:
    """What is trained live.

    Parameters
    ----------
    network, network_settings
        Of the catalogue.
    settings
        The learning rate stays as it is after the warm-up; epochs, limits and validation have no meaning here.
    channels
        Names of the images' channels.
    patch_size
        Side in pixels of training patches.
    name
        Name that the model carries.
    initial_weights, initial_model
        Where it begins, as in `napari_convnet.train`.
    start
        Where the first weights are from, as JSON values.
    """

    network: str
    settings: TrainingSettings
    channels: tuple[str, ...]
    patch_size: int
    name: str = "live"
    network_settings: dict[str, Any] = field(default_factory=dict)
    initial_weights: dict[str, Tensor] | None = None
    initial_model: Model | None = None
    start: dict[str, Any] | None = None

    @property
    def begins_with_starter(self) -> bool:
        """Whether it begins with starter weights."""
        return self.initial_weights is not None and STARTER_HEAD in self.initial_weights

    @property
    def normalisation(self) -> Normalisation:
        """How images are normalised: as the model expects it that it begins with, else by percentiles."""
        if self.initial_model is not None:
            return Normalisation(**self.initial_model.card.normalisation.model_dump())
        return Normalisation("percentiles")


class LiveNetwork:
    """A network in training whose classes and samples may change between two steps.

    The mean of its weights over the last steps is what is shown and kept: at a constant learning rate it is better
    than any of them.

    Parameters
    ----------
    request
        What to train.
    samples
        The strokes of the beginning.
    device
        Where to compute.

    References
    ----------
    Averaging: Polyak & Juditsky 1992, https://doi.org/10.1137/0330046; Tarvainen & Valpola 2017,
    https://arxiv.org/abs/1703.01780.
    """

    def __init__(
        self, request: LiveRequest, samples: SegmentationSet, device: torch.device
    ) -> None:
        self.device, self.step, self.seconds = device, 0, 0.0
        self._request, self._n_failures, self._rate_factor = request, 0, 1.0
        self._recipe = self._first_recipe(samples)
        self._begin(self._recipe.build(is_resumed=request.initial_model is not None))

    @property
    def samples(self) -> SegmentationSet:
        """What it learns."""
        return self._recipe.samples

    @property
    def averaged(self) -> nn.Module:
        """The mean of the last states, in evaluation mode; it changes with every step."""
        return self._averaged.module.eval()

    def _first_recipe(self, samples: SegmentationSet) -> Recipe:
        request = self._request
        if request.initial_model is None:
            return Recipe(
                samples, request.network, dict(request.network_settings), request.settings,
                request.initial_weights, request.name, start=request.start,
            )  # fmt: skip
        begin = start_from_model(samples, request.initial_model, request.settings)
        check_dimensions(network_entry(begin.network), samples)
        return Recipe(
            samples, begin.network, begin.network_settings, request.settings, begin.weights, request.name,
            begin.facts, start=request.start,
        )  # fmt: skip

    def _begin(self, module: nn.Module) -> None:
        layout = memory_layout(self.device)
        self.module = module.to(self.device).to(memory_format=layout)
        holds_on = self._request.begins_with_starter and self._is_mostly_right(self.module)
        self._begin_to_learn(layout, holds_on)

    def _begin_to_learn(self, layout: torch.memory_format, holds_on: bool) -> None:
        request, samples, module = self._request, self.samples, self.module
        factor = request.settings.backbone_learning_rate_factor
        if holds_on:
            factor *= _STARTER_FACTOR
        if request.begins_with_starter:
            for norm in learning_batch_norms(module):
                norm.momentum = _STARTER_MOMENTUM if holds_on else _MOMENTUM
        groups = parameter_groups(
            module, self._recipe.network, factor, request.settings.bias_learning_rate_factor
        )
        objective = ClassObjective(samples, request.settings, self.device)
        self._averaged = AveragedModel(self.module, avg_fn=_mean_with, use_buffers=True)
        parts = (self.module, groups, objective, request.settings, self.device, layout)
        self._stepper = ConsistentStepper(*parts) if holds_on else Stepper(*parts)
        self._begun_at = self.step
        self._begin_rounds()
        set_training_mode(self.module)

    def _is_mostly_right(self, network: nn.Module) -> bool:
        """Return whether a network that has learned no strokes is right on them, all classes counted alike."""
        random = torch.Generator().manual_seed(self._request.settings.seed)
        batches = self.samples.training_batches(_N_ASKED, random, augment=None)
        inputs, targets = (part.to(self.device) for part in next(batches))
        with torch.inference_mode():
            found = network.eval()(inputs).argmax(1)
        shares = [
            (found[targets == k] == k).float().mean().item()
            for k in range(len(self.samples.classes))
            if (targets == k).any()
        ]
        return sum(shares) / len(shares) >= _MOSTLY

    def knows(self, classes: Sequence[ClassInfo]) -> bool:
        """Return whether its class values still mean the same: classes were renamed or added at most."""
        before = [info.name for info in self.samples.classes]
        now = [info.name for info in classes]
        if len(now) == len(before):  # a name that is elsewhere now has moved
            return all(
                new == old or (new not in before and old not in now)
                for old, new in zip(before, now, strict=True)
            )
        return now[: len(before)] == before

    def learn_from(self, samples: SegmentationSet) -> None:
        """Take other strokes, perhaps of other classes: known ones keep what was learned."""
        self._begin_rounds()
        if self.knows(samples.classes) and len(samples.classes) == len(self.samples.classes):
            self._recipe = replace(self._recipe, samples=samples)
            held = self._stepper.teacher if isinstance(self._stepper, ConsistentStepper) else None
            if held is not None and not self._is_mostly_right(held):  # new strokes tell otherwise
                self._begin_to_learn(self._stepper.layout, holds_on=False)
                return
            objective = ClassObjective(samples, self._request.settings, self.device)
            self._stepper.objective = objective
            return
        begin = start_from_model(samples, self.model({}), self._request.settings)
        self._recipe = replace(self._recipe, samples=samples, initial_weights=begin.weights)
        self._begin(self._recipe.build(is_resumed=True))

    def take(self, inputs: Tensor, targets: Tensor) -> tuple[float, float]:
        """Take a step; returns the loss and the learning rate.

        Raises
        ------
        UserError
            CN-202 when the numbers became invalid again and again.
        """
        settings = self._request.settings
        since = self.step - self._begun_at
        warm = min(1.0, (since + 1) / max(1, settings.warm_up_steps))
        rate = settings.learning_rate * self._rate_factor * warm * self._cooling
        numbers, _ = self._stepper.take(inputs, targets, self.step + 1, rate)
        self.step += 1
        if numbers is None:
            self._step_back()
            return float("nan"), rate
        self._n_failures = 0
        self._averaged.update_parameters(self.module)
        return numbers[0], rate

    def rests(self) -> bool:
        """Return whether what is painted was learned long enough; what was not learned gets another round of steps."""
        if self.step - self._round_began < self._steps_to_rest:
            return False
        if not self._is_learned:
            is_right = agreement(self.averaged, self.samples, self.device) >= _LEARNED
            self._is_learned = is_right or self._n_rounds == _MOST_ROUNDS
        if not self._is_learned:
            self._round_began, self._n_rounds = self.step, self._n_rounds + 1
        return self._is_learned

    def _begin_rounds(self) -> None:
        """Take as many steps as new strokes need."""
        self._round_began, self._n_rounds, self._is_learned = self.step, 1, False

    @property
    def _steps_to_rest(self) -> int:
        """As many steps as *Train* would take for these strokes, but not too few."""
        batch_size = self._request.settings.batch_size
        per_epoch = self.samples.batches_per_epoch(batch_size)
        return max(REST_STEPS, per_epoch * suggest_epochs(self.samples, batch_size))

    @property
    def _cooling(self) -> float:
        """Factor of the learning rate: it falls when no stroke has come for a while, and is back with the next one."""
        warm = self._steps_to_rest // 3
        share = (self.step - self._round_began - warm) / max(1, self._steps_to_rest - warm)
        return _COLDEST + (1 - _COLDEST) * (1 + math.cos(math.pi * min(1.0, max(0.0, share)))) / 2

    def _step_back(self) -> None:
        """Go on from the mean of the last states at half of the rate, after invalid numbers."""
        self._n_failures += 1
        if self._n_failures > _MOST_FAILURES:
            raise UserError(
                "CN-202",
                f"Live training stopped: the numbers became invalid at step {self.step}. Your annotations are safe. "
                f"Usual cause: learning rate {self._request.settings.learning_rate:g} is too high; try a tenth of it.",
            )
        self._rate_factor /= 2
        self.module.load_state_dict(self._averaged.module.state_dict())
        self._stepper.begin_optimiser()

    def snapshot(self) -> nn.Module:
        """Return a copy of the mean of the last states, in evaluation mode."""
        return copy.deepcopy(self._averaged.module).eval()

    def model(self, scores: dict[str, Any]) -> Model:
        """Return the mean of the last states as a model on the CPU, with its card."""
        network = self.snapshot().cpu().to(memory_format=torch.contiguous_format)
        card = self._recipe.card(scores)
        return Model(card, network, self.samples.sample_input())


def _mean_with(averaged: Tensor, now: Tensor, n_averaged: Tensor) -> Tensor:
    """Return the mean with one more state; the first ones, which are soon outdated, count less."""
    kept = min(_DECAY, (1 + int(n_averaged)) / (10 + int(n_averaged)))
    return averaged * kept + now * (1 - kept)
