"""ImageNet weights as tensors, and how they come into a network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torchvision
from torch import Tensor, nn

from napari_convnet.errors import UserError
from napari_convnet.networks.downloads import describe_weights, fetch_weights, weights_name
from napari_convnet.progress import run


def download_weights(
    network_id: str, network_settings: Mapping[str, Any] | None = None
) -> dict[str, Tensor]:
    """Return torchvision's default ImageNet weights; they are fetched if they are not on this computer.

    Raises
    ------
    UserError
        CN-110 if they cannot be fetched; says what to do without a network.
    """
    path = run(fetch_weights(network_id, network_settings))
    return torch.hub.load_state_dict_from_url(
        describe_weights(network_id, network_settings).source,
        model_dir=str(path.parent),
        map_location="cpu",
        weights_only=True,
    )


def default_weights(network_id: str, network_settings: Mapping[str, Any] | None = None) -> Any:
    """Return torchvision's entry of the weights that belong into a network of the catalogue."""
    return torchvision.models.get_model_weights(weights_name(network_id, network_settings)).DEFAULT


def adapt_weights(network: nn.Module, weights: Mapping[str, Tensor]) -> tuple[str, ...]:
    """Copy pretrained weights into a network wherever they fit.

    The first convolution is adapted to the number of channels: its kernels are averaged over the
    pretrained channels, repeated, and scaled by ``pretrained channels / channels`` so that the
    responses keep their size. The last layer is left at its random start when the number of classes
    differs. A network with an ``encoder`` takes the weights of a classifier into it.

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
    first = next(
        (f"{n}.weight" for n, m in network.named_modules() if isinstance(m, nn.Conv2d)), ""
    )
    fitting: dict[str, Tensor] = {}
    for name, tensor in own.items():
        given = weights.get(name, weights.get(name.removeprefix("encoder.")))
        if name == first and given is not None and given.ndim == 4:
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
