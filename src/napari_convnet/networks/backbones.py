"""torchvision's classifiers with a new last layer, for any number of channels."""

from __future__ import annotations

from typing import Any

import torch
import torchvision
from torch import Tensor, nn

from napari_convnet.networks.graph_network import GraphNetwork
from napari_convnet.networks.lecture import vgg16_frozen_head
from napari_convnet.networks.network_settings import DropoutSettings

#: What torchvision's builders need to be told. GoogLeNet's auxiliary classifiers are off, its slow
#: truncated-normal start too; our own normalisation takes the place of its `transform_input`.
_OPTIONS: dict[str, dict[str, Any]] = {
    "googlenet": {"aux_logits": False, "init_weights": False, "transform_input": False}
}


def build_backbone(network_id: str, in_channels: int, n_classes: int) -> nn.Module:
    """Build a torchvision network with random weights, ``in_channels`` inputs and ``n_classes`` outputs."""
    options = _OPTIONS.get(network_id, {})
    network = torchvision.models.get_model(
        network_id, weights=None, num_classes=n_classes, **options
    )
    adapt_first_convolution(network, in_channels)
    return network


class Vgg16Frozen(nn.Module):
    """VGG16's convolutions, which never learn, and a small classifier of linear layers.

    Input ``(N, in_channels, Y, X)`` of the size that it was built for, output logits ``(N, n_classes)``. It means
    something only with pretrained weights in `features`, whose names are torchvision's.

    References
    ----------
    Simonyan & Zisserman 2015, https://arxiv.org/abs/1409.1556.
    """

    def __init__(
        self,
        in_channels: int,
        n_classes: int,
        input_size: tuple[int, int],
        settings: DropoutSettings,
    ) -> None:
        super().__init__()
        with torch.device("meta"):  # torchvision would draw 120 million weights for layers that go
            whole = torchvision.models.vgg16(weights=None, init_weights=False)
        self.features = whole.features
        if torch.get_default_device().type != "meta":
            self.features.to_empty(device=torch.get_default_device())
            for module in self.features:
                if isinstance(module, nn.Conv2d):
                    module.reset_parameters()
        adapt_first_convolution(self, in_channels)
        for parameter in self.features.parameters():
            parameter.requires_grad_(False)
        rows, columns = (side // 32 for side in input_size)
        graph = vgg16_frozen_head(n_classes, settings)
        self.head = GraphNetwork(graph, 512, n_classes, (rows, columns))

    def forward(self, image: Tensor) -> Tensor:
        """Return logits ``(N, n_classes)``."""
        return self.head(self.features(image))


def first_convolution(network: nn.Module) -> tuple[str, nn.Conv2d]:
    """Return the convolution that sees the image, and its name."""
    return next((n, m) for n, m in network.named_modules() if isinstance(m, nn.Conv2d))


def adapt_first_convolution(network: nn.Module, in_channels: int) -> None:
    """Replace the first convolution by one for another number of channels, with random weights."""
    name, first = first_convolution(network)
    if first.in_channels == in_channels:
        return
    parent, _, child = name.rpartition(".")
    layer = nn.Conv2d(
        in_channels,
        first.out_channels,
        first.kernel_size,
        first.stride,
        first.padding,
        bias=first.bias is not None,
    )
    setattr(network.get_submodule(parent) if parent else network, child, layer)


def count_parameters(network: nn.Module, *, learning_only: bool = False) -> int:
    """Return the number of learnable numbers, frozen ones included unless told otherwise."""
    return sum(p.numel() for p in network.parameters() if p.requires_grad or not learning_only)
