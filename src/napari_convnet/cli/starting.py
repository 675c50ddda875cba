"""What a training begins with on the command line: random, starter or other weights, or a model of one's own."""

from __future__ import annotations

import threading
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from napari_convnet.cli.console import follow, say
from napari_convnet.errors import UserError
from napari_convnet.model_file import Model, load_model, read_weights
from napari_convnet.networks import (
    describe_weights,
    download_weights,
    fetch_weights,
    has_starter_weights,
    network_entry,
    read_starter_weights,
    starter_sha256,
)
from napari_convnet.progress import Progress
from napari_convnet.samples import TrainingSet
from napari_convnet.settings import TrainingSettings
from napari_convnet.training import train, train_on_features

if TYPE_CHECKING:
    from napari_convnet.cli.train import Options


def with_start(options: Mapping[str, Any]) -> dict[str, Any]:
    """Fill in what a model to start from decides: the network, and the size unless one is given.

    Raises
    ------
    UserError
        CN-508 for a model and pretrained weights at once; CN-10x for a file that is no model.
    """
    path: Path | None = options["start_from"]
    if path is None:
        return dict(options)
    if options["pretrained"] != "none":
        raise UserError("CN-508", "Give --start-from or --pretrained, not both.")
    model = load_model(path)
    size = options["size"] or model.card.input_size[0]
    return {**options, "network": model.card.network, "size": size, "start_model": model}


def training_steps(
    samples: TrainingSet,
    settings: TrainingSettings,
    options: Options,
    stop: threading.Event,
    name: str,
) -> Generator[Progress, None, Model | None]:
    """Return the job: all layers, or a logistic regression on the features of a frozen network."""
    job = {"none": train, "logistic": train_on_features}.get(options.features)
    if job is None:
        raise UserError("CN-508", f"--features {options.features}: give 'logistic' or 'none'.")
    network = None if options.start_model else options.network
    start = None
    if options.pretrained == "starter":
        start = {"kind": "starter", "sha256": starter_sha256()}
    return job(
        samples,
        network,
        settings,
        initial_weights=read_pretrained(options.pretrained, options.network),
        initial_model=options.start_model,
        stop=stop,
        name=name,
        start=start,
    )


def read_imagenet(network: str, network_settings: Mapping[str, Any] | None = None):
    """Return torchvision's weights, downloaded with a bar where they are not here, after saying what they are."""
    say(describe_weights(network, network_settings).text)
    follow(fetch_weights(network, network_settings), "downloading")
    return download_weights(network, network_settings)


def read_pretrained(source: str, network: str) -> dict[str, Tensor] | None:
    """Return pretrained weights: none, the package's, torchvision's own, or those in a file."""
    if source == "none":
        return None
    if source == "starter" and has_starter_weights(network):
        return read_starter_weights()
    if source.endswith(".safetensors"):
        return read_weights(source)
    if source != "imagenet" or not network_entry(network).has_pretrained_weights:
        raise UserError(
            "CN-508",
            f"--pretrained {source}: give 'none', a .safetensors file, for the unet 'starter' or, for torchvision's "
            "networks, 'imagenet'.",
        )
    return read_imagenet(network)
