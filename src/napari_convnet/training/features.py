"""Features of a frozen network to a logistic regression, which becomes the network's own last layer."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from napari_convnet.devices import choose_device, use_all_cores
from napari_convnet.errors import UserError
from napari_convnet.model_file import Model
from napari_convnet.networks import network_entry
from napari_convnet.networks.transfer import head_names
from napari_convnet.progress import Progress
from napari_convnet.samples import ClassificationSet, held_out_sha256
from napari_convnet.settings import TrainingSettings
from napari_convnet.training.final import final_scores
from napari_convnet.training.fine_tuning import as_network, check_same_network, start_from_model
from napari_convnet.training.logistic import LinearClassifier, fit_logistic
from napari_convnet.training.recipe import Recipe

_BATCH = 64


@dataclass(frozen=True, eq=False)
class Features:
    """What a network's last layer is given.

    Parameters
    ----------
    values
        ``(N, F)`` float32, of all samples in order; means over positions where the last layer is a convolution.
    largest
        ``(F,)`` largest absolute value of each at any position.
    """

    values: np.ndarray
    largest: np.ndarray


def extract_features(
    samples: ClassificationSet | Tensor,
    network: Model | nn.Module,
    *,
    network_id: str = "",
    device: str = "auto",
    stop: threading.Event | None = None,
) -> Generator[Progress, None, Features | None]:
    """Compute what a network gives to its last layer, in one pass without augmentation.

    Parameters
    ----------
    samples
        A training set, or inputs ``(N, C, Y, X)`` float32, normalised.
    network
        A model, or a network with its name in the catalogue as ``network_id``.

    Returns
    -------
    Features or None
        None if it was told to stop before the end.

    Raises
    ------
    UserError
        CN-538 if the last layer is not a linear one.
    """
    module = network.network if isinstance(network, Model) else network
    network_id = network.card.network if isinstance(network, Model) else network_id
    inputs = samples.patches if isinstance(samples, ClassificationSet) else samples
    use_all_cores()
    chosen = choose_device(device)
    seen: list[Tensor] = []
    hook = last_layer(module, network_id).register_forward_pre_hook(
        lambda _layer, given: seen.append(given[0].float())
    )
    values, largest = [], torch.zeros(1)
    try:
        module.to(chosen).eval()
        for start in range(0, len(inputs), _BATCH):
            if stop is not None and stop.is_set():
                return None
            with torch.inference_mode():
                module(inputs[start : start + _BATCH].to(chosen))
            found = seen.pop().flatten(2) if seen[-1].ndim > 2 else seen.pop()[:, :, None]
            largest = torch.maximum(largest, found.abs().amax((0, 2)).cpu())
            values.append(found.mean(2).cpu())
            done = min(start + _BATCH, len(inputs))
            yield Progress(done=done, total=len(inputs), text=f"features of {done:,} samples")
    finally:
        hook.remove()
        module.cpu()
    return Features(torch.cat(values).numpy(), largest.numpy())


def train_on_features(
    samples: ClassificationSet,
    network: str | None = None,
    settings: TrainingSettings | None = None,
    *,
    network_settings: Mapping[str, Any] | None = None,
    initial_weights: Mapping[str, Tensor] | None = None,
    initial_model: Model | None = None,
    stop: threading.Event | None = None,
    name: str = "model",
    start: Mapping[str, Any] | None = None,
) -> Generator[Progress, None, Model | None]:
    """Fit a logistic regression to the features of a pretrained network; the result is an ordinary model.

    The features are standardised, and how strongly large weights are discouraged is chosen by cross-validation
    within the training samples, whose groups stay together. Both end up in the network's last layer, so the
    model file and prediction need nothing new. Takes seconds where training all layers takes minutes.

    Parameters
    ----------
    samples, network, settings, network_settings, initial_weights, initial_model, name, start
        As for `train`; of the settings only seed, balance and device matter.
    stop
        Looked at after every batch and every fit.

    Returns
    -------
    Model or None
        None if it was told to stop before all features were there.

    Raises
    ------
    UserError
        CN-510 without pretrained weights; CN-538 for another task, or a network whose last layer is not linear.
    """
    began = time.monotonic()
    if not isinstance(samples, ClassificationSet):
        raise _refusal(f"a logistic regression classifies; this is training to {samples.task}")
    settings = replace(settings or TrainingSettings(), freeze_backbone=True)
    if initial_model is not None:
        check_same_network(initial_model, network, network_settings, initial_weights)
        begin = start_from_model(samples, initial_model, settings)
        samples, network, network_settings = begin.samples, begin.network, begin.network_settings
        initial_weights = begin.weights
        facts: Mapping[str, Any] | None = begin.facts
    else:
        network, facts = network or "mobilenet_v2", None
    network_entry(network, "classify")
    recipe = Recipe(
        samples, network, dict(network_settings or {}), settings, initial_weights, name, facts, start=start
    )  # fmt: skip
    module = recipe.build()
    layer = last_layer(module, network)
    features = yield from extract_features(
        samples, module, network_id=network, device=settings.device, stop=stop
    )
    if features is None:
        return None
    inside, groups = samples.split.training, samples.split.groups
    fitted = yield from fit_logistic(
        features.values[inside], samples.targets[inside].numpy(), len(samples.classes),
        groups=None if groups is None else groups[inside], balance=settings.balance, seed=settings.seed, stop=stop,
    )  # fmt: skip
    put_into(layer, fitted, features)
    _check_folded(module, samples.patches[:8], fitted, features.values[:8])
    scores = {
        "measured_on": samples.description,
        "warning": samples.warning,
        "features": {"count": features.values.shape[1], **fitted.as_dict()},
        "held_out_sha256": held_out_sha256(samples),
        "seconds": round(time.monotonic() - began, 2),
        "repeat": {**recipe.as_dict(), "features": "logistic"},
    }
    scores, temperature = final_scores(module, samples, scores, choose_device(settings.device))
    card = recipe.card(scores).model_copy(update={"temperature": temperature})
    return Model(card, module, samples.sample_input())


def last_layer(network: nn.Module, network_id: str) -> nn.Linear | nn.Conv2d:
    """Return the layer that turns features into logits (CN-538 if there is none of a kind that is linear)."""
    names = head_names(network, network_id)
    layer = network.get_submodule(names[-1])
    is_linear = isinstance(layer, nn.Linear) and len(names) == 1
    if not is_linear and network_id != "squeezenet1_1":
        raise _refusal(f"the last layer of '{network_id}' is not a single linear one")
    return layer


def put_into(layer: nn.Linear | nn.Conv2d, fitted: LinearClassifier, features: Features) -> None:
    """Let a last layer give the logits of a linear classifier.

    SqueezeNet's last layer is a convolution whose output passes a ReLU before the mean over positions: all its
    biases are raised by one number, which no probability depends on, so that nothing is cut off.
    """
    weight = torch.from_numpy(fitted.weight).float()
    bias = torch.from_numpy(fitted.bias).float()
    if isinstance(layer, nn.Conv2d):
        lowest = bias + (weight.clamp(max=0) * torch.from_numpy(features.largest)).sum(1)
        bias = bias - 2 * float(lowest.min().clamp(max=0))
        weight = weight[:, :, None, None]
    units = layer.weight.shape[0]
    with torch.no_grad():
        layer.weight.copy_(as_network(weight, units))
        layer.bias.copy_(as_network(bias, units))


def _check_folded(
    network: nn.Module, inputs: Tensor, fitted: LinearClassifier, values: np.ndarray
) -> None:
    """Refuse a network that does more to the last layer's output than it seems."""
    with torch.inference_mode():
        found = network.eval()(inputs).softmax(1).numpy()
    if not np.allclose(found, fitted.probabilities(values), atol=1e-3):
        raise _refusal("what comes after the last layer of this network changes its answers")


def _refusal(why: str) -> UserError:
    return UserError(
        "CN-538",
        f"Features and a logistic regression do not go together here: {why}. Nothing was changed. Choose "
        "mobilenet_v2, a resnet or another network that ends in one linear layer, or train its layers.",
    )
