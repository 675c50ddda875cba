"""torchvision's classifiers with a new last layer, for any number of channels, with or without ImageNet weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torchvision
from torch import Tensor, nn

from napari_convnet.errors import UserError

#: torchvision's name of the last layer that maps features to classes, by network.
_HEAD = {
    "resnet18": "fc",
    "resnet34": "fc",
    "resnet50": "fc",
    "mobilenet_v2": "classifier.1",
    "squeezenet1_1": "classifier.1",
}
BACKBONES = tuple(_HEAD)


def build_backbone(network_id: str, in_channels: int, n_classes: int) -> nn.Module:
    """Build a torchvision network with random weights, ``in_channels`` inputs and ``n_classes`` outputs."""
    network = torchvision.models.get_model(network_id, weights=None, num_classes=n_classes)
    if in_channels != 3:
        name, first = _first_convolution(network)
        _replace(network, name, _like(first, in_channels))
    return network


@dataclass(frozen=True)
class DownloadableWeights:
    """What a person should know before ImageNet weights are downloaded."""

    name: str
    megabytes: float
    source: str
    licence: str


def describe_weights(network_id: str) -> DownloadableWeights:
    """Return name, size and licence of torchvision's default weights of a backbone."""
    weights = torchvision.models.get_model_weights(network_id).DEFAULT
    return DownloadableWeights(
        name=str(weights),
        megabytes=float(weights.meta["_file_size"]),
        source=weights.url,
        licence="torchvision (BSD-3-Clause); trained on ImageNet, whose terms allow research use",
    )


def download_weights(network_id: str) -> dict[str, Tensor]:
    """Fetch torchvision's default ImageNet weights through torchvision, which caches them and checks their hash.

    Raises
    ------
    UserError
        If they cannot be fetched; says what to do without a network.
    """
    weights = torchvision.models.get_model_weights(network_id).DEFAULT
    try:
        return dict(weights.get_state_dict(progress=False, check_hash=True))
    except (OSError, RuntimeError) as error:
        raise UserError(
            "CN-110",
            f"The ImageNet weights of {network_id} could not be downloaded. Nothing was changed. "
            "Check the connection, choose a weights file (.safetensors), or train without pretrained weights.",
            details=str(error),
        ) from error


def adapt_weights(network: nn.Module, weights: Mapping[str, Tensor]) -> tuple[str, ...]:
    """Copy pretrained weights into a network wherever they fit.

    The first convolution is adapted to the number of channels: its kernels are averaged over the
    pretrained channels, repeated, and scaled by ``pretrained channels / channels`` so that the
    responses keep their size. The last layer is left at its random start when the number of classes
    differs.

    Parameters
    ----------
    network
        Changed in place.
    weights
        A state dict, float16 or float32.

    Returns
    -------
    tuple of str
        Names of the parameters that were not found or did not fit, and so start at random.

    Raises
    ------
    UserError
        CN-111 if fewer than half of the parameters fit: these weights belong to another network.
    """
    own = network.state_dict()
    first_name = _first_convolution(network)[0] + ".weight"
    fitting: dict[str, Tensor] = {}
    for name, tensor in own.items():
        given = weights.get(name)
        if name == first_name and given is not None and given.ndim == 4:
            given = _for_channels(given, tensor.shape[1])
        if given is not None and given.shape == tensor.shape:
            fitting[name] = given
    if len(fitting) * 2 < len(own):
        raise UserError(
            "CN-111",
            f"These weights do not belong to this network: {len(fitting)} of {len(own)} parts fit. "
            "Choose the network that they were trained with.",
        )
    for name, given in fitting.items():
        own[name].copy_(given)
    return tuple(name for name in own if name not in fitting)


def _for_channels(kernels: Tensor, in_channels: int) -> Tensor:
    """Bring kernels ``(out, in, Y, X)`` to another number of input channels."""
    if kernels.shape[1] == in_channels:
        return kernels
    mean = kernels.float().mean(1, keepdim=True) * (kernels.shape[1] / in_channels)
    return mean.expand(-1, in_channels, -1, -1)


def freeze_all_but_head(network: nn.Module, network_id: str) -> None:
    """Keep everything as it is except the last layer (batch norms then also keep their statistics)."""
    head = network.get_submodule(head_name(network, network_id))
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    for parameter in head.parameters():
        parameter.requires_grad_(True)


def head_name(network: nn.Module, network_id: str) -> str:
    """Return the name of the layer that makes the logits."""
    if network_id in _HEAD:
        return _HEAD[network_id]
    return [
        name
        for name, module in network.named_modules()
        if isinstance(module, nn.Linear | nn.Conv2d)
    ][-1]


def _first_convolution(network: nn.Module) -> tuple[str, nn.Conv2d]:
    return next((n, m) for n, m in network.named_modules() if isinstance(m, nn.Conv2d))


def _like(layer: nn.Conv2d, in_channels: int) -> nn.Conv2d:
    return nn.Conv2d(
        in_channels,
        layer.out_channels,
        layer.kernel_size,
        layer.stride,
        layer.padding,
        bias=layer.bias is not None,
    )


def _replace(network: nn.Module, name: str, layer: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(network.get_submodule(parent) if parent else network, child, layer)


def is_frozen(module: nn.Module) -> bool:
    """Return whether a module has parameters and none of them learns."""
    parameters = list(module.parameters(recurse=False))
    return bool(parameters) and not any(p.requires_grad for p in parameters)


def learning_batch_norms(network: nn.Module) -> list[nn.modules.batchnorm._BatchNorm]:
    """Return the batch norms that are not frozen."""
    return [module for module in _batch_norms(network) if not is_frozen(module)]


def set_training_mode(network: nn.Module) -> None:
    """Switch to training, but leave frozen batch norms with the statistics they came with."""
    network.train()
    for module in _batch_norms(network):
        if is_frozen(module):
            module.eval()


def _batch_norms(network: nn.Module) -> list[nn.modules.batchnorm._BatchNorm]:
    return [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]


def count_parameters(network: nn.Module) -> int:
    """Return the number of learnable numbers (frozen ones included)."""
    return sum(parameter.numel() for parameter in network.parameters())
