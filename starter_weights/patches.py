"""Patches of the pictures as many microscopes would show them, and what the network is to say of each pixel.

A patch keeps the objects of its picture, at another size and turned; its light is changed, or thrown away and painted
anew with random textures. So what is learned are borders, blobs and textures, and not one kind of image.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from pictures import Source
from torch import Tensor

#: Side of a patch and how much smaller or larger objects become.
SIDE, SCALES = 64, (0.4, 2.0)
#: Share of a patch that objects should cover.
_LEAST_OBJECTS = 0.05
#: Widths in pixels of the filters whose answers the network is to give, too.
_WIDTHS = (1.0, 2.5)
#: Outputs: background, object; border; distance; then the filters of the clean picture.
N_CLASSES = 2
BORDER, DISTANCE, FILTERS = 2, 3, 4
N_OUTPUTS = FILTERS + 1 + 3 * len(_WIDTHS)
#: From 0 (dark) to 1 (bright) to the scale of images that are normalised by percentiles.
_OFFSET, _SCALE = 0.2, 4.0


@dataclass(frozen=True, eq=False)
class Batch:
    """Patches and their truth: inputs ``(N, 1, Y, X)``, all truths ``(N, Y, X)`` but filters ``(N, K, Y, X)``.

    ``objects`` is -1 where nothing is known, 0 in the background and 1 in objects; ``distance`` is in pixels, negative
    outside.
    """

    inputs: Tensor
    objects: Tensor
    distance: Tensor
    filters: Tensor


class PatchDrawer:
    """Draws batches from pictures; the same ones for the same seed.

    Parameters
    ----------
    sources
        Pictures and how likely each is.
    seed
        Of the random numbers.
    """

    def __init__(self, sources: Sequence[tuple[Source, float]], seed: int) -> None:
        self._sources = [source for source, _ in sources]
        self._chances = torch.tensor([chance for _, chance in sources])
        self._random = torch.Generator().manual_seed(seed)

    def draw(self, n: int) -> Batch:
        """Draw a batch of ``n`` patches."""
        chosen = torch.multinomial(self._chances, n, True, generator=self._random)
        parts = [self._draw_one(self._sources[int(k)]) for k in chosen]
        clean, seen, labels, distance = (torch.stack(part) for part in zip(*parts, strict=True))
        objects = torch.where(labels < -0.5, -1, (labels > 0.5).long())
        return Batch(
            (seen - _OFFSET) * _SCALE, objects[:, 0], distance[:, 0],
            filter_answers((clean - _OFFSET) * _SCALE),
        )  # fmt: skip

    # Places -------------------------------------------------------------------------------------

    def _draw_one(self, source: Source) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return clean and seen light, labels (-1 = outside) and distance, each ``(1, Y, X)``."""
        grid, scale = self._grid(source.labels[0])
        labels = _sample(source.labels + 1, grid, "nearest", "zeros").round() - 1
        distance = _sample(source.distance, grid, "bilinear", "reflection") * scale
        if source.kind == "shapes" or self._chance(0.25):
            light = self._paint(distance)
        else:
            light = self._mix_channels(_sample(source.channels, grid, "bilinear", "reflection"))
            if self._chance(0.4):
                light = self._other_brightness(light, labels)
        if self._chance(0.3):
            light = 1 - light
        return *self._expose(light), labels, distance

    def _grid(self, labels: Tensor) -> tuple[Tensor, float]:
        """Return where the patch's pixels are in the picture, and how much larger it shows them."""
        rows, columns = labels.shape
        scale = math.exp(self._uniform(*(math.log(s) for s in SCALES)))
        angle, flip = self._uniform(0, 2 * math.pi), -1 if self._chance(0.5) else 1
        row, column = self._middle(labels, SIDE / scale / 2)
        steps = (torch.arange(SIDE) - (SIDE - 1) / 2) / scale
        y, x = torch.meshgrid(steps, steps * flip, indexing="ij")
        down = row + y * math.cos(angle) - x * math.sin(angle)
        across = column + y * math.sin(angle) + x * math.cos(angle)
        return torch.stack([across / columns * 2 - 1, down / rows * 2 - 1], -1)[None], scale

    def _middle(self, labels: Tensor, reach: float) -> tuple[float, float]:
        """Return the middle of a patch that stays inside where it can, and shows objects if one of three draws does."""
        middle = (0.0, 0.0)
        for _ in range(3):
            middle = tuple(
                self._uniform(min(reach, n / 2), max(n - reach, n / 2)) for n in labels.shape
            )
            rows, columns = (slice(max(0, int(m - reach)), int(m + reach) + 1) for m in middle)
            if (labels[rows, columns] > 0).float().mean() > _LEAST_OBJECTS:
                break
        return middle

    # Light --------------------------------------------------------------------------------------

    def _mix_channels(self, channels: Tensor) -> Tensor:
        shares = torch.rand(len(channels), generator=self._random) + 0.05
        return (channels * (shares / shares.sum())[:, None, None]).sum(0, keepdim=True)

    def _other_brightness(self, light: Tensor, labels: Tensor) -> Tensor:
        """Make each object dimmer or brighter by itself, towards the mean of the background."""
        is_background = labels < 0.5
        background = light[is_background].mean() if is_background.any() else light.min()
        factors = torch.exp(
            torch.empty(int(labels.max()) + 2).uniform_(-1.6, 0.3, generator=self._random)
        )
        factors[:2] = 1
        factor = _blur(factors[labels.long() + 1], 1.0)
        return background + (light - background) * factor

    def _paint(self, distance: Tensor) -> Tensor:
        """Paint objects, background and perhaps walls with textures of their own; edges are soft."""
        inside = torch.sigmoid(distance / self._uniform(0.3, 1.2))
        light = inside * self._texture() + (1 - inside) * self._texture()
        if self._chance(0.4):
            width = self._uniform(0.8, 2.5)
            wall = torch.exp(-((distance / width) ** 2))
            light = light * (1 - wall) + wall * self._uniform(-0.1, 1.1)
        return light

    def _texture(self) -> Tensor:
        noise = self._noise(self._uniform(0.0, 4.0))
        return self._uniform(0, 1) + self._uniform(0, 0.2) * noise

    def _noise(self, width: float) -> Tensor:
        """Return noise ``(1, Y, X)`` of unit standard deviation and a correlation length."""
        noise = _blur(torch.randn((1, SIDE, SIDE), generator=self._random), width)
        return noise / noise.std()

    def _expose(self, light: Tensor) -> tuple[Tensor, Tensor]:
        """Return the light as the optics give it, and as a camera sees that."""
        if self._chance(0.5):
            light = light.clamp(min=0) ** math.exp(self._uniform(-0.9, 0.9))
        if self._chance(0.4):
            light = _blur(light, self._uniform(0.4, 2.5))
        if self._chance(0.3):
            light = light * (1 + self._uniform(0, 0.25) * self._noise(25.0))
        light = light * math.exp(self._uniform(-0.7, 0.25)) + self._uniform(-0.1, 0.1)
        strength = self._uniform(0, 1) ** 2 * 0.15
        noise = self._noise(self._uniform(0.5, 1.2) if self._chance(0.3) else 0.0)
        return light, (light + strength * noise).clamp(-0.5, 2.5)

    # Chance -------------------------------------------------------------------------------------

    def _uniform(self, low: float, high: float) -> float:
        return low + (high - low) * float(torch.rand((), generator=self._random))

    def _chance(self, share: float) -> bool:
        return self._uniform(0, 1) < share


def filter_answers(clean: Tensor) -> Tensor:
    """Return what pixel classifiers are fed with: light, and at each width mean, gradient and curvature.

    Parameters
    ----------
    clean
        ``(N, 1, Y, X)``.

    Returns
    -------
    Tensor
        ``(N, 1 + 3 * widths, Y, X)``, each of about unit size.
    """
    answers = [clean]
    for width in _WIDTHS:
        smooth = _blur(clean, width)
        padded = F.pad(smooth, (1, 1, 1, 1), mode="replicate")
        down = (padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]) / 2
        across = (padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]) / 2
        curved = (
            padded[..., 2:, 1:-1] + padded[..., :-2, 1:-1] + padded[..., 1:-1, 2:] + padded[..., 1:-1, :-2]
        ) - 4 * smooth  # fmt: skip
        slope = torch.sqrt(down**2 + across**2 + 1e-6)
        answers += [smooth, slope * 2 * width, curved * 2 * width**2]
    return torch.cat(answers, dim=1)


def _sample(values: Tensor, grid: Tensor, mode: str, padding: str) -> Tensor:
    return F.grid_sample(values[None], grid, mode=mode, padding_mode=padding, align_corners=False)[
        0
    ]


def _blur(values: Tensor, width: float) -> Tensor:
    """Blur ``(..., 1, Y, X)`` by a Gaussian of a width in pixels; wide ones on a coarser grid."""
    if width < 0.2:
        return values
    if width > 5:
        shape = values.shape[-2:]
        small = F.avg_pool2d(values, 4)
        wide = _blur(small, width / 4) if width / 4 < 5 else _blur(small, 5.0)
        lead = wide if wide.ndim == 4 else wide[None]
        grown = F.interpolate(lead, size=shape, mode="bilinear", align_corners=False)
        return grown if values.ndim == 4 else grown[0]
    reach = math.ceil(3 * width)
    kernel = torch.exp(-((torch.arange(-reach, reach + 1) / width) ** 2) / 2)
    kernel = kernel / kernel.sum()
    lead = values if values.ndim == 4 else values[None]
    lead = F.pad(lead, (reach,) * 4, mode="reflect")
    lead = F.conv2d(F.conv2d(lead, kernel[None, None, :, None]), kernel[None, None, None, :])
    return lead if values.ndim == 4 else lead[0]
