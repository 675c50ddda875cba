"""A small convolutional classifier that trains from scratch on a few dozen cells."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from napari_convnet.networks.network_settings import ConvNetSettings


class ConvNet(nn.Module):
    """Blocks of two 3x3 convolutions and a halving, then the mean over space and one linear layer.

    The mean over space makes it accept any patch size that survives the halvings (16 pixels and more for four
    blocks) and keeps the number of weights small, which is what few annotations can teach.

    Input ``(N, in_channels, Y, X)`` float32, output logits ``(N, n_classes)``.

    References
    ----------
    Simonyan & Zisserman 2015, https://arxiv.org/abs/1409.1556 (stacked 3x3 convolutions);
    Lin et al. 2014, https://arxiv.org/abs/1312.4400 (global average pooling);
    Ioffe & Szegedy 2015, https://arxiv.org/abs/1502.03167 (batch normalisation).
    """

    def __init__(self, in_channels: int, n_classes: int, settings: ConvNetSettings) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = in_channels
        for block in range(settings.blocks):
            width = settings.width * 2**block
            layers += [*_convolution(channels, width), *_convolution(width, width)]
            layers.append(nn.MaxPool2d(2, ceil_mode=True))
            channels = width
        self.features = nn.Sequential(*layers)
        self.dropout = nn.Dropout(settings.dropout)
        self.classifier = nn.Linear(channels, n_classes)

    def forward(self, image: Tensor) -> Tensor:
        """Return logits ``(N, n_classes)``."""
        features = torch.mean(self.features(image), dim=(2, 3))
        return self.classifier(self.dropout(features))


def _convolution(in_channels: int, out_channels: int) -> list[nn.Module]:
    return [
        nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    ]
