"""A recipe: what a training was made of, so that it can be built, described, resumed and repeated."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from napari_convnet import __version__
from napari_convnet.classes import background_index
from napari_convnet.errors import UserError
from napari_convnet.model_file import (
    DEPTH,
    ClassCard,
    ModelCard,
    NormalisationCard,
    format_version_of,
)
from napari_convnet.networks import adapt_weights, begin_head, build_network, freeze
from napari_convnet.samples import TrainingSet, WholeObjectSet
from napari_convnet.settings import TrainingSettings
from napari_convnet.training.locating import locate_card
from napari_convnet.training.objectives import output_count
from napari_convnet.training.randomness import own_random


@dataclass(frozen=True, eq=False)
class Recipe:
    """Samples, network, settings and first weights of a training, and from which model they came.

    ``start`` says where the first weights are from; ``before`` is the recipe of a training that goes on, whose
    first weights may be gone by now.
    """

    samples: TrainingSet
    network: str
    network_settings: dict[str, Any]
    settings: TrainingSettings
    initial_weights: Mapping[str, Tensor] | None
    name: str
    started_from: Mapping[str, Any] | None = None
    start: Mapping[str, Any] | None = None
    before: Mapping[str, Any] = field(default_factory=dict)

    def build(self, is_resumed: bool = False) -> nn.Module:
        """Return the network as the training begins with it.

        Raises
        ------
        UserError
            CN-510 if layers shall keep weights that they do not have.
        """
        settings = self.settings
        is_frozen = settings.freeze_backbone or self.network == "vgg16_frozen"
        if is_frozen and self.initial_weights is None and not is_resumed:
            raise UserError(
                "CN-510",
                "Only the last layer was to be trained, but the layers before it have no pretrained "
                "weights, so they know nothing. Nothing was changed. Choose pretrained weights, or train "
                "all layers.",
            )
        module = self.random_network()
        if self.initial_weights is not None:
            adapt_weights(module, self.initial_weights)
            if self.samples.task == "segment":
                classes = self.samples.classes
                begin_head(module, self.initial_weights, len(classes), background_index(classes))
        if settings.freeze_backbone:
            freeze(module, self.network, settings.unfreeze_last_blocks)
        return module

    def random_network(self) -> nn.Module:
        """Return the network with random weights, which the seed draws."""
        samples = self.samples
        with own_random(self.settings.seed, 0, torch.device("cpu")):
            return build_network(
                self.network,
                samples.in_channels,
                output_count(samples),
                samples.input_size,
                **self.network_settings,
            )

    def card(self, scores: dict[str, Any]) -> ModelCard:
        """Return the card of the model that was trained."""
        samples = self.samples
        if self.started_from is not None:
            scores = {**scores, "started_from": dict(self.started_from)}
        segments = samples.task == "segment"
        background = background_index(samples.classes) if segments else -1
        objects_from = DEPTH if isinstance(samples, WholeObjectSet) else "components"
        return ModelCard(
            format_version=format_version_of(samples.task, objects_from=objects_from),
            name=self.name,
            task=samples.task,
            network=self.network,
            network_settings=self.network_settings,
            channels=samples.channels,
            classes=tuple(
                ClassCard(name=info.name, colour=info.colour, is_background=index == background)
                for index, info in enumerate(samples.classes)
            ),
            input_size=samples.input_size,
            patch_size=samples.patch_size,
            normalisation=NormalisationCard(**asdict(samples.normalisation)),
            objects_from=objects_from if segments else None,
            locate=locate_card(samples, self.settings, scores),
            training=asdict(self.settings),
            scores=scores,
            versions={"napari-convnet": __version__, "torch": torch.__version__},
            created=datetime.now(UTC).isoformat(timespec="seconds"),
        )

    def as_dict(self) -> dict[str, Any]:
        """Return everything as JSON values, samples and weights by their hashes."""
        weights, before = self.initial_weights, self.before
        return {
            "network": self.network,
            "network_settings": self.network_settings,
            "settings": asdict(self.settings),
            "data_sha256": fingerprint(self.samples),
            "normalisation": NormalisationCard(**asdict(self.samples.normalisation)).model_dump(
                mode="json"
            ),
            "weights_sha256": before.get("weights_sha256")
            if weights is None
            else fingerprint(dict(weights)),
            "start": before.get("start") if self.start is None else dict(self.start),
            "threads": torch.get_num_threads(),
        }


def fingerprint(value: Any) -> str:
    """Return the SHA-256 of samples or weights: of every number, name and split in them."""
    digest = hashlib.sha256()
    _update(digest, value)
    return digest.hexdigest()


def _update(digest: Any, value: Any) -> None:
    digest.update(type(value).__name__.encode())
    if isinstance(value, Tensor):
        value = value.detach().cpu().numpy()
    if isinstance(value, np.ndarray):
        digest.update(f"{value.dtype.str}{value.shape}".encode())
        digest.update(np.ascontiguousarray(value).data)
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            _update(digest, getattr(value, field.name))
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            _update(digest, (key, inner))
    elif isinstance(value, list | tuple):
        for inner in value:
            _update(digest, inner)
    elif not callable(value):  # a function that reads pixels has no content of its own
        digest.update(repr(value).encode())
