"""What a network says of a plane: classes and uncertainty, tile by tile, and how right it was where people painted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from napari_convnet.instant import PaintedPart
from napari_convnet.live.crops import OpenPlane
from napari_convnet.prediction.tiles import Tile, Window, cut_tiles
from napari_convnet.samples import SegmentationSet

#: Side of the tiles in pixels.
TILE_SIDE = 256
#: Patches that agreement is measured on.
_MOST_PATCHES = 24


def tiles_in_view(shape: tuple[int, int], window: Window, network: nn.Module) -> list[Tile]:
    """Return the tiles of a plane that a window shows, the one nearest to its middle first."""
    middle = [(span.start + span.stop) / 2 for span in window]

    def distance(tile: Tile) -> float:
        centres = [(span.start + span.stop) / 2 for span in tile.write]
        return sum((a - b) ** 2 for a, b in zip(centres, middle, strict=True))

    shown = (
        tile for tile in cut_tiles(shape, TILE_SIDE, network)
        if all(a.start < b.stop and b.start < a.stop for a, b in zip(tile.write, window, strict=True))
    )  # fmt: skip
    return sorted(shown, key=distance)


def look_at(
    network: nn.Module, plane: OpenPlane, tile: Tile, device: torch.device
) -> tuple[np.ndarray, np.ndarray]:
    """Return class values ``(Y, X)`` uint8 and uncertainty ``(Y, X)`` uint8 of what a tile writes."""
    probabilities = _probabilities(network, plane, tile.read, device)[:, *tile.within]
    likeliest = probabilities.topk(min(2, len(probabilities)), dim=0)
    margin = likeliest.values[0] - likeliest.values[-1]
    classes = (likeliest.indices[0] + 1).to(torch.uint8).cpu().numpy()
    uncertainty = ((1 - margin) * 255).round().to(torch.uint8).cpu().numpy()
    return classes, uncertainty


def classes_at(
    network: nn.Module, plane: OpenPlane, part: PaintedPart, device: torch.device
) -> np.ndarray:
    """Return the class values that a network gives the painted pixels of a part, in the order of its rows."""
    rows, columns = np.nonzero(part.labels)
    multiple, margin = int(network.multiple), int(network.receptive_radius)
    read, within = [], []
    for found, start, extent in zip((rows, columns), part.origin, plane.shape, strict=True):
        low = max(0, start + int(found.min()) - margin) // multiple * multiple
        high = min(extent, start + int(found.max()) + 1 + margin)
        read.append(slice(low, high))
        within.append(found + start - low)
    logits = _probabilities(network, plane, (read[0], read[1]), device)
    return (logits.argmax(0) + 1).to(torch.uint8).cpu().numpy()[within[0], within[1]]


def _probabilities(
    network: nn.Module, plane: OpenPlane, window: Window, device: torch.device
) -> Tensor:
    pixels = np.ascontiguousarray(plane.read(window).pixels)
    with torch.inference_mode():
        return network(torch.from_numpy(pixels)[None].to(device))[0].float().softmax(0)


def agreement(network: nn.Module, samples: SegmentationSet, device: torch.device) -> float:
    """Return the share of painted pixels, mean over the classes, that get the class they were painted with."""
    random = torch.Generator().manual_seed(0)
    batches: Iterator[tuple[Tensor, Tensor]] = samples.training_batches(8, random, augment=None)
    right, n = np.zeros(len(samples.classes)), np.zeros(len(samples.classes))
    for number, (inputs, targets) in enumerate(batches, start=1):
        with torch.inference_mode():
            found = network(inputs.to(device)).argmax(1).cpu()
        for value in range(len(n)):
            of_class = targets == value
            n[value] += int(of_class.sum())
            right[value] += int((found[of_class] == value).sum())
        if number * 8 >= _MOST_PATCHES:
            break
    return float(np.mean(right[n > 0] / n[n > 0])) if n.any() else 0.0


def count_right(
    found: Sequence[np.ndarray], painted: Sequence[np.ndarray], n_classes: int
) -> tuple[tuple[int, int], ...]:
    """Count, for each class, painted pixels and those of them that a prediction had right."""
    truth, said = np.concatenate(painted), np.concatenate(found)
    return tuple(
        (int((truth == value).sum()), int(((truth == value) & (said == value)).sum()))
        for value in range(1, n_classes + 1)
    )
