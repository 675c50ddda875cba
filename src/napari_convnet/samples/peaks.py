"""Heat maps: points drawn as Gaussian spots, and found again as peaks, to a fraction of a pixel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from napari_convnet.scores import PositionMatches, match_positions

#: Points farther than so many standard deviations from a pixel change it by less than 0.0004.
REACH = 4.0
#: Lower values are not looked at where a threshold is being chosen.
LOWEST = 0.1


def draw_spots(
    points: Tensor, values: Tensor, n_classes: int, size: tuple[int, int], sigma: float
) -> Tensor:
    """Draw points as spots of height 1, a map a class; where spots overlap, the higher one counts.

    Parameters
    ----------
    points
        ``(N, P, 2)`` rows and columns in pixels; the middle of the first pixel is (0, 0).
    values
        ``(N, P)`` class values, k = k-th class; 0 for entries that only fill the tensor up.
    size
        Rows and columns of the maps.
    sigma
        Standard deviation in pixels.

    Returns
    -------
    Tensor
        ``(N, K, Y, X)`` float32 from 0 to 1.
    """
    rows, columns = (
        torch.exp(-((points[..., axis, None].float() - torch.arange(extent)) ** 2) / (2 * sigma**2))
        for axis, extent in enumerate(size)
    )
    maps = torch.zeros(len(points), n_classes, *size)
    pictures = torch.arange(len(points))
    for number in range(points.shape[1]):
        value = values[:, number]
        spots = rows[:, number, :, None] * columns[:, number, None, :] * (value > 0)[:, None, None]
        where = pictures, (value - 1).clamp(min=0)
        maps[where] = torch.maximum(maps[where], spots)
    return maps


@dataclass(frozen=True)
class Peaks:
    """Peaks of heat maps, the highest first.

    Parameters
    ----------
    positions
        ``(N, 2)`` float64 rows and columns in pixels.
    values
        ``(N,)`` int64 class value, k = k-th map.
    heights
        ``(N,)`` float32 values of the maps there.
    """

    positions: np.ndarray
    values: np.ndarray
    heights: np.ndarray

    def above(self, threshold: float) -> Peaks:
        """Return the peaks that are at least so high."""
        return self.select(self.heights >= threshold)

    def select(self, chosen: np.ndarray) -> Peaks:
        """Return some of the peaks, by a mask ``(N,)`` or indices."""
        return Peaks(self.positions[chosen], self.values[chosen], self.heights[chosen])


def find_peaks(maps: np.ndarray, threshold: float, smallest_distance: float) -> Peaks:
    """Find the peaks of heat maps; of peaks of any class that are closer than the smallest distance, the highest.

    Parameters
    ----------
    maps
        ``(K, Y, X)`` float32, a map a class.
    threshold
        Lower peaks are left out.
    smallest_distance
        In pixels.
    """
    from scipy import ndimage

    neighbours = ndimage.maximum_filter(maps, (1, 3, 3), mode="constant", cval=-np.inf)
    classes, rows, columns = np.nonzero((maps >= neighbours) & (maps >= threshold))
    heights = maps[classes, rows, columns]
    order = np.argsort(-heights, kind="stable")
    classes, heights = classes[order], heights[order]
    pixels = np.stack([rows[order], columns[order]], axis=1)
    positions = pixels + _offsets(maps, classes, pixels)
    kept = _far_apart(positions, smallest_distance)
    return Peaks(positions[kept], classes[kept].astype(np.int64) + 1, heights[kept])


def join_peaks(parts: Sequence[Peaks]) -> Peaks:
    """Put peaks of several windows of an image together."""
    return Peaks(
        np.concatenate([part.positions for part in parts]),
        np.concatenate([part.values for part in parts]),
        np.concatenate([part.heights for part in parts]),
    )


def match_peaks(
    peaks: Peaks, points: np.ndarray, values: np.ndarray, n_classes: int, tolerance: float
) -> tuple[PositionMatches, ...]:
    """Match the peaks of an image with its true positions ``(N, 2)`` and class values, class by class."""
    return tuple(
        match_positions(points[values == value], peaks.positions[peaks.values == value], tolerance)
        for value in range(1, n_classes + 1)
    )


def _offsets(maps: np.ndarray, classes: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Return how far the top of each peak is from its pixel, ``(N, 2)`` in pixels.

    The logarithm of a Gaussian is a parabola, so its top follows exactly from three values along each axis.
    """
    padded = np.pad(maps, ((0, 0), (1, 1), (1, 1)), mode="edge")
    row, column = pixels.T + 1
    offsets = np.zeros(pixels.shape)
    for axis, (down, right) in enumerate(((1, 0), (0, 1))):
        before, here, after = (
            np.log(np.maximum(padded[classes, row + k * down, column + k * right], 1e-6))
            for k in (-1, 0, 1)
        )
        bend = 2 * here - before - after
        slope = (after - before) / 2
        offsets[:, axis] = np.divide(slope, bend, out=np.zeros_like(slope), where=bend > 1e-6)
    return np.clip(offsets, -0.5, 0.5)


def _far_apart(positions: np.ndarray, smallest_distance: float) -> np.ndarray:
    """Return the indices of positions, in order, that no earlier one of them is too close to."""
    from scipy.spatial import cKDTree

    if not len(positions):
        return np.empty(0, np.int64)
    pairs = cKDTree(positions).query_pairs(smallest_distance, output_type="ndarray")
    is_kept = np.ones(len(positions), bool)
    for first, second in pairs[
        np.lexsort(pairs.T[::-1])
    ]:  # by the higher peak: each is decided before it decides
        if is_kept[first]:
            is_kept[second] = False
    return np.flatnonzero(is_kept)
