"""The UNet: an encoder-decoder with skip connections that labels every pixel."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_convnet.networks.network_settings import UNetSettings


class UNet(nn.Module):
    """UNet with batch normalisation and padding, so that the output has the size of the input.

    Input ``(N, in_channels, Y, X)`` float32 of any size, output logits ``(N, n_classes, Y, X)``. The image is padded
    at its end to a multiple of ``2 ** levels`` by repeating the border, and the padding is cut off again.

    References
    ----------
    Ronneberger, Fischer & Brox 2015, https://doi.org/10.1007/978-3-319-24574-4_28.
    """

    def __init__(self, in_channels: int, n_classes: int, settings: UNetSettings) -> None:
        super().__init__()
        widths = [settings.width * 2**level for level in range(settings.levels + 1)]
        self.multiple = 2**settings.levels
        self.encoder = nn.ModuleList(
            _double_convolution(before, after)
            for before, after in zip([in_channels, *widths[:-1]], widths, strict=True)
        )
        self.upsample = nn.ModuleList(
            nn.ConvTranspose2d(wide, narrow, 2, stride=2) for narrow, wide in pairwise(widths)
        )
        self.decoder = nn.ModuleList(_double_convolution(2 * width, width) for width in widths[:-1])
        self.head = nn.Conv2d(widths[0], n_classes, 1)

    @property
    def receptive_radius(self) -> int:
        """Return how far, in pixels, an input pixel can influence an output pixel (an upper bound)."""
        levels = len(self.decoder)
        # Two 3x3 convolutions reach 2 pixels at every level, once going down and once coming up (only once at the
        # bottom); pooling and up-sampling shift by less than one pixel of the level below.
        return sum(
            (4 if level < levels else 2) * 2**level + 2**level for level in range(levels + 1)
        )

    def forward(self, image: Tensor) -> Tensor:
        """Return logits ``(N, n_classes, Y, X)``."""
        rows, columns = image.shape[-2:]
        features = F.pad(
            image, (0, -columns % self.multiple, 0, -rows % self.multiple), mode="replicate"
        )
        skips: list[Tensor] = []
        for level, block in enumerate(self.encoder):
            features = block(F.max_pool2d(features, 2) if level else features)
            skips.append(features)
        for level in reversed(range(len(self.decoder))):
            features = torch.cat([skips[level], self.upsample[level](features)], dim=1)
            features = self.decoder[level](features)
        return self.head(features)[..., :rows, :columns]


def _double_convolution(in_channels: int, out_channels: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (in_channels, out_channels):
        layers += [
            nn.Conv2d(channels, out_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)
