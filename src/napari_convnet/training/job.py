"""A whole training: from a training set and settings to a model with its card."""

from __future__ import annotations

import threading
from collections.abc import Generator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from napari_convnet import __version__
from napari_convnet.classes import background_index
from napari_convnet.devices import choose_device, use_all_cores
from napari_convnet.errors import UserError
from napari_convnet.model_file import ClassCard, Model, ModelCard, NormalisationCard
from napari_convnet.networks import (
    adapt_weights,
    build_network,
    count_parameters,
    freeze_all_but_head,
    network_entry,
)
from napari_convnet.progress import Progress
from napari_convnet.samples import TrainingSet
from napari_convnet.settings import TrainingSettings
from napari_convnet.training.events import TrainingStarted
from napari_convnet.training.loop import TrainingLoop
from napari_convnet.training.objectives import output_count
from napari_convnet.training.randomness import own_random

Result = TypeVar("Result")


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


def run(steps: Generator[Any, None, Result]) -> Result:
    """Exhaust a job's generator and return its result."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def train(
    samples: TrainingSet,
    network: str | None = None,
    settings: TrainingSettings | None = None,
    *,
    network_settings: Mapping[str, Any] | None = None,
    initial_weights: Mapping[str, Tensor] | None = None,
    stop: threading.Event | None = None,
    name: str = "model",
) -> Generator[Progress, None, Model]:
    """Train a network of the catalogue.

    Parameters
    ----------
    samples
        Training set; also says what is held out.
    network
        Name in the catalogue; by default ``"convnet"`` or ``"unet"``.
    settings
        How to train.
    network_settings
        Settings of the network, see the catalogue.
    initial_weights
        Pretrained state dict; see `napari_convnet.networks.adapt_weights`.
    stop
        Looked at after every batch; once set, the epoch is measured as it is and the best model so
        far is returned.
    name
        Name that the model carries.

    Yields
    ------
    Progress
        `TrainingStarted`; then `BatchFinished` and `EpochFinished`, and plain `Progress` while
        held-out samples are measured; `StoppedEarly` when the numbers became invalid.

    Returns
    -------
    Model
        The network of the best epoch: the last one whose score on held-out samples lies within one
        standard error of the highest, or simply the last one when nothing is held out.

    Raises
    ------
    UserError
        CN-202 if the numbers are no longer finite in the first epoch; CN-510 if only the last layer
        shall learn and there are no weights for the others; CN-111, CN-203 and CN-50x for weights, a
        device or settings that do not fit.
    TrainingInterrupted
        If memory runs out or torch fails after the first epoch; it carries the best model.

    References
    ----------
    AdamW: Loshchilov & Hutter 2019, https://arxiv.org/abs/1711.05101; cosine schedule: Loshchilov &
    Hutter 2017, https://arxiv.org/abs/1608.03983; one-standard-error rule: Hastie, Tibshirani &
    Friedman 2009, https://doi.org/10.1007/978-0-387-84858-7, section 7.10.
    """
    settings = settings or TrainingSettings()
    network = network or ("unet" if samples.task == "segment" else "convnet")
    network_entry(network, samples.task)
    network_settings = dict(network_settings or {})
    use_all_cores()
    device = choose_device(settings.device)
    module = _build(samples, network, network_settings, settings, initial_weights)
    loop = TrainingLoop(samples, module, settings, device)
    yield TrainingStarted(
        done=0,
        total=loop.total_steps,
        text=f"training {network} on {device.type}",
        device=str(device),
        n_parameters=count_parameters(module),
        n_training=samples.n_training,
        n_validation=samples.n_validation,
        batches_per_epoch=loop.steps_per_epoch,
    )

    def best_model() -> Model:
        trained, scores = loop.best_network(), loop.describe_scores()
        card = _make_card(samples, network, network_settings, name, settings, scores)
        return Model(card, trained, samples.sample_input())

    try:
        yield from loop.run(stop or threading.Event())
    except (RuntimeError, MemoryError, OSError) as error:
        if not loop.epochs_trained:
            raise
        raise TrainingInterrupted(best_model(), loop.best_epoch) from error
    return best_model()


def _build(
    samples: TrainingSet,
    network: str,
    network_settings: Mapping[str, Any],
    settings: TrainingSettings,
    initial_weights: Mapping[str, Tensor] | None,
) -> nn.Module:
    if settings.freeze_backbone and initial_weights is None:
        raise UserError(
            "CN-510",
            "Only the last layer was to be trained, but the layers before it have no pretrained "
            "weights, so they know nothing. Nothing was changed. Choose pretrained weights, or train "
            "all layers.",
        )
    with own_random(settings.seed, 0, torch.device("cpu")):
        module = build_network(
            network,
            samples.in_channels,
            output_count(samples),
            samples.input_size,
            **network_settings,
        )
    if initial_weights is not None:
        adapt_weights(module, initial_weights)
    if settings.freeze_backbone:
        freeze_all_but_head(module, network)
    return module


def _make_card(
    samples: TrainingSet,
    network: str,
    network_settings: dict[str, Any],
    name: str,
    settings: TrainingSettings,
    scores: dict[str, Any],
) -> ModelCard:
    background = background_index(samples.classes) if samples.task == "segment" else -1
    return ModelCard(
        name=name,
        task=samples.task,
        network=network,
        network_settings=network_settings,
        channels=samples.channels,
        classes=tuple(
            ClassCard(name=info.name, colour=info.colour, is_background=index == background)
            for index, info in enumerate(samples.classes)
        ),
        input_size=samples.input_size,
        patch_size=samples.patch_size,
        normalisation=NormalisationCard(**asdict(samples.normalisation)),
        objects_from="components" if samples.task == "segment" else None,
        training=asdict(settings),
        scores=scores,
        versions={"napari-convnet": __version__, "torch": torch.__version__},
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def suggest_epochs(samples: TrainingSet, batch_size: int) -> int:
    """Choose a number of epochs from the size of the training set: small sets are shown more often."""
    steps, low, high = (240, 10, 60) if samples.task == "segment" else (1500, 10, 80)
    return min(high, max(low, round(steps / samples.batches_per_epoch(batch_size))))
