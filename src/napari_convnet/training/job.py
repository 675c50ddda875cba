"""A whole training: from a training set and settings to a model with its card."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from napari_convnet.devices import choose_device, use_all_cores
from napari_convnet.errors import UserError
from napari_convnet.images import Normalisation
from napari_convnet.model_file import Model
from napari_convnet.networks import count_parameters, network_entry, parameter_groups
from napari_convnet.progress import Progress
from napari_convnet.samples import TrainingSet, held_out_sha256
from napari_convnet.settings import TrainingSettings
from napari_convnet.training.checkpoint import Checkpoint, Keeper, check_same, restore
from napari_convnet.training.defaults import check_dimensions, default_network, network_task
from napari_convnet.training.events import TrainingStarted
from napari_convnet.training.final import final_scores
from napari_convnet.training.fine_tuning import (
    check_same_network,
    start_from_model,
    with_normalisation,
)
from napari_convnet.training.loop import TrainingLoop
from napari_convnet.training.outcome import best_network, describe_scores, is_reduced
from napari_convnet.training.recipe import Recipe
from napari_convnet.training.room import check_room


class TrainingInterrupted(Exception):  # noqa: N818 - named like KeyboardInterrupt
    """A training that broke off, with the best model until then; ``__cause__`` is what happened.

    Parameters
    ----------
    model
        The network of the best epoch.
    epoch
        Which one that was.
    """

    def __init__(self, model: Model, epoch: int) -> None:
        super().__init__(f"training broke off; the best model (epoch {epoch}) was kept")
        self.model = model
        self.epoch = epoch


@dataclass(frozen=True)
class Replay:
    """How far an earlier run went.

    Parameters
    ----------
    steps
        Training steps in all.
    pace
        How a time limit led the schedule, see `Pace`; None where there was none.
    threads
        Of the CPU: another number rounds differently.
    """

    steps: int
    pace: Sequence[int] | None
    threads: int


def train(
    samples: TrainingSet,
    network: str | None = None,
    settings: TrainingSettings | None = None,
    *,
    network_settings: Mapping[str, Any] | None = None,
    initial_weights: Mapping[str, Tensor] | None = None,
    initial_model: Model | None = None,
    stop: threading.Event | None = None,
    pause: threading.Event | None = None,
    name: str = "model",
    resume_from: Checkpoint | None = None,
    keep: Callable[[Checkpoint], None] | None = None,
    keep_seconds: float = 60.0,
    replay: Replay | None = None,
    start: Mapping[str, Any] | None = None,
) -> Generator[Progress, None, Model]:
    """Train a network of the catalogue.

    Parameters
    ----------
    samples
        Training set; also says what is held out.
    network
        Name in the catalogue; by default see `default_network`.
    settings
        How to train.
    network_settings
        Settings of the network, see the catalogue.
    initial_weights
        Pretrained state dict; see `napari_convnet.networks.adapt_weights`.
    initial_model
        Model to go on from instead, whose network is taken; see `start_from_model`.
    stop
        Looked at after every batch; once set, the epoch is measured as it is and the best model so
        far is returned.
    pause
        Looked at before every batch; while it is set the training waits, and that time does not count.
    name
        Name that the model carries.
    resume_from
        State of an earlier training of the same network on the same samples, to go on from: on a CPU
        as if it had never ended. Its settings hold unless others are given.
    keep
        Stores the state from time to time, and when the training pauses or is stopped.
    keep_seconds
        Time between two states.
    replay
        How far an earlier run went, see `repeat_run`.
    start
        Where the first weights are from, as JSON values: kept in the record for whoever repeats it.

    Yields
    ------
    Progress
        `TrainingStarted`; then `BatchFinished` and `EpochFinished`, and plain `Progress` while
        held-out samples are measured; `Validated` where that is wanted within epochs; `Paused`;
        `BatchSizeReduced` or `PatchSizeReduced` when memory ran out; `StoppedEarly` when the numbers became invalid.

    Returns
    -------
    Model
        The best network, by default the last one whose score on held-out samples lies within one
        standard error of the highest; simply the last one when nothing is held out.

    Raises
    ------
    UserError
        CN-202 if the numbers are no longer finite in the first epoch; CN-510 if only the last layer
        shall learn and there are no weights for the others; CN-204 if a state belongs to another
        training; CN-206 if the memory is too small for the network;
        CN-106, CN-536 and CN-537 if the model to start from does not fit; CN-111, CN-203 and
        CN-50x for weights, a device or settings that do not fit.
    TrainingInterrupted
        If memory runs out or anything else fails after the first epoch; it carries the best model.

    References
    ----------
    AdamW: Loshchilov & Hutter 2019, https://arxiv.org/abs/1711.05101; cosine schedule: Loshchilov &
    Hutter 2017, https://arxiv.org/abs/1608.03983; one-standard-error rule: Hastie, Tibshirani &
    Friedman 2009, https://doi.org/10.1007/978-0-387-84858-7, section 7.10.
    """
    use_all_cores()
    if replay:
        torch.set_num_threads(replay.threads)
    recipe = _recipe(
        samples, network, settings, network_settings, initial_weights, name, resume_from,
        initial_model, start,
    )  # fmt: skip
    samples = recipe.samples
    loop = _begin(recipe, resume_from, replay)
    if keep:
        loop.keep = Keeper(keep, recipe.as_dict(), keep_seconds)
    yield TrainingStarted(
        done=loop.step,
        total=loop.total_steps,
        text=f"training {recipe.network} on {loop.device.type}",
        device=str(loop.device),
        n_parameters=count_parameters(loop.module),
        n_training=samples.n_training,
        n_validation=samples.n_validation,
        batches_per_epoch=loop.steps_per_epoch,
    )
    try:
        yield from loop.run(stop or threading.Event(), pause)
    except Exception as error:
        if isinstance(error, UserError) or not loop.epochs_trained:
            raise
        raise TrainingInterrupted(_best_model(recipe, loop), loop.best.epoch) from error
    return _best_model(recipe, loop)


def _recipe(
    samples: TrainingSet,
    network: str | None,
    settings: TrainingSettings | None,
    network_settings: Mapping[str, Any] | None,
    initial_weights: Mapping[str, Tensor] | None,
    name: str,
    resume_from: Checkpoint | None,
    initial_model: Model | None,
    start: Mapping[str, Any] | None,
) -> Recipe:
    """Fill what was not given: from the training that is resumed, else by default."""
    before = resume_from.recipe if resume_from else {}
    if "normalisation" in before:  # of a model that it started from
        samples = with_normalisation(samples, _normalisation(before["normalisation"]))
    if settings is None:
        settings = TrainingSettings.from_record(before.get("settings", {}))
    if initial_model is not None:
        check_same_network(initial_model, network, network_settings, initial_weights)
        begin = start_from_model(samples, initial_model, settings)
        check_dimensions(network_entry(begin.network), begin.samples)
        return Recipe(
            begin.samples, begin.network, begin.network_settings, settings, begin.weights, name, begin.facts,
            start=start, before=before,
        )  # fmt: skip
    network = network or before.get("network") or default_network(samples)
    check_dimensions(network_entry(network, network_task(samples)), samples)
    if network_settings is None:
        network_settings = before.get("network_settings", {})
    return Recipe(
        samples, network, dict(network_settings), settings, initial_weights, name, start=start, before=before
    )  # fmt: skip


def _normalisation(record: Mapping[str, Any]) -> Normalisation:
    return Normalisation(record["mode"], tuple(record["mean"]), tuple(record["std"]))


def _begin(recipe: Recipe, resume_from: Checkpoint | None, replay: Replay | None) -> TrainingLoop:
    settings = recipe.settings
    device = choose_device(settings.device)
    if resume_from:
        check_same(resume_from, recipe.as_dict())
    check_room(recipe, device)
    module = recipe.build(is_resumed=resume_from is not None)
    groups = parameter_groups(
        module,
        recipe.network,
        settings.backbone_learning_rate_factor,
        settings.bias_learning_rate_factor,
    )
    pace, last_step = (replay.pace, replay.steps) if replay else (None, 0)
    loop = TrainingLoop(
        recipe.samples, module, settings, device, groups=groups, pace=pace, last_step=last_step,
        smallest_patch=network_entry(recipe.network).smallest_size,
    )  # fmt: skip
    if resume_from:
        restore(loop, resume_from)
    return loop


def _best_model(recipe: Recipe, loop: TrainingLoop) -> Model:
    scores = describe_scores(loop)
    pace = loop.pace.steps if loop.is_timed else None
    scores["repeat"] = {**recipe.as_dict(), "steps": loop.step, "pace": pace}
    scores["repeat"]["is_reduced"] = is_reduced(loop)
    recipe = replace(recipe, samples=loop.samples)  # whose patches may be smaller now
    scores["held_out_sha256"] = held_out_sha256(recipe.samples)
    network = best_network(loop)
    scores, temperature = final_scores(network, recipe.samples, scores, loop.device)
    card = recipe.card(scores).model_copy(update={"temperature": temperature})
    return Model(card, network, recipe.samples.sample_input())
