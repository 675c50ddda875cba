"""The UNet in three dimensions, for stacks whose planes lie further apart than their pixels."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_convnet.networks.network_settings import UNet3dSettings


class UNet3d(nn.Module):
    """UNet on stacks with anisotropic kernels: 1x3x3 and halving in the plane only, then 3x3x3 and halving all.

    Input ``(N, in_channels, Z, Y, X)`` float32 of any size, output logits ``(N, n_classes, Z, Y, X)``; or a single
    plane, both without ``Z``, which has no neighbours. The stack is padded at its end to what the levels halve by
    repeating the border, and the padding is cut off again.

    References
    ----------
    Cicek et al. 2016, https://doi.org/10.1007/978-3-319-46723-8_49; anisotropic kernels: Lee et al. 2017,
    https://arxiv.org/abs/1706.00120.
    """

    #: It learns from stacks, and is shown stacks.
    dimensions = 3

    def __init__(self, in_channels: int, n_classes: int, settings: UNet3dSettings) -> None:
        super().__init__()
        widths = [settings.width * 2**level for level in range(settings.levels + 1)]
        self._first_deep = settings.halve_depth_from
        is_deep = [level >= settings.halve_depth_from for level in range(settings.levels + 1)]
        #: Window and stride of each halving; level k is halved on the way to level k + 1.
        self.halvings = [(2 if deep else 1, 2, 2) for deep in is_deep[:-1]]
        self.multiples = (2 ** sum(is_deep[:-1]), 2**settings.levels, 2**settings.levels)
        self.encoder = nn.ModuleList(
            _double_convolution(before, after, deep)
            for before, after, deep in zip(
                [in_channels, *widths[:-1]], widths, is_deep, strict=True
            )
        )
        self.upsample = nn.ModuleList(
            nn.ConvTranspose3d(wide, narrow, halving, stride=halving)
            for (narrow, wide), halving in zip(pairwise(widths), self.halvings, strict=True)
        )
        self.decoder = nn.ModuleList(
            _double_convolution(2 * width, width, deep)
            for width, deep in zip(widths[:-1], is_deep[:-1], strict=True)
        )
        self.head = nn.Conv3d(widths[0], n_classes, 1)

    @property
    def multiple(self) -> int:
        """Pixels in the plane that its coarsest pixel spans."""
        return self.multiples[-1]

    @property
    def receptive_radii(self) -> tuple[int, int, int]:
        """How far along Z, Y and X, in pixels, an input can influence an output (upper bounds)."""
        radii = []
        for axis in range(3):
            reach, jump = 0, 1
            for level in range(len(self.encoder)):
                sees = axis > 0 or level >= self._first_deep
                times = 2 if level == len(self.decoder) else 4
                halves = level < len(self.halvings) and self.halvings[level][axis] > 1
                # Convolutions reach a pixel each; pooling and up-sampling shift by less than one coarser pixel.
                reach += times * jump * sees
                if halves:
                    jump *= 2
                    reach += jump
            radii.append(reach)
        return radii[0], radii[1], radii[2]

    @property
    def receptive_radius(self) -> int:
        """How far in the plane, in pixels, an input can influence an output (an upper bound)."""
        return self.receptive_radii[-1]

    def forward(self, stack: Tensor) -> Tensor:
        """Return logits ``(N, n_classes, Z, Y, X)``, or without ``Z`` for a plane."""
        if stack.ndim == 4:
            return self.forward(stack.unsqueeze(2)).squeeze(2)
        sides = stack.shape[-3:]
        ends = [-side % multiple for side, multiple in zip(sides, self.multiples, strict=True)]
        features = F.pad(stack, (0, ends[2], 0, ends[1], 0, ends[0]), mode="replicate")
        skips: list[Tensor] = []
        for level, block in enumerate(self.encoder):
            if level:
                features = F.max_pool3d(features, self.halvings[level - 1])
            features = block(features)
            skips.append(features)
        for level in reversed(range(len(self.decoder))):
            features = torch.cat([skips[level], self.upsample[level](features)], dim=1)
            features = self.decoder[level](features)
        return self.head(features)[..., : sides[0], : sides[1], : sides[2]]


def _double_convolution(in_channels: int, out_channels: int, is_deep: bool) -> nn.Sequential:
    kernel, padding = ((3, 3, 3), (1, 1, 1)) if is_deep else ((1, 3, 3), (0, 1, 1))
    layers: list[nn.Module] = []
    for channels in (in_channels, out_channels):
        layers += [
            nn.Conv3d(channels, out_channels, kernel, padding=padding, bias=False),
            nn.BatchNorm3d(out_channels),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)
