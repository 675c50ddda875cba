"""Objectives of the locate task: one position a patch, and heat maps of many positions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from napari_convnet.model_file import LocateCard
from napari_convnet.samples import AugmentationSettings, HeatMapSet, PositionSet, TrainingSet
from napari_convnet.samples.annotated_positions import points_inside
from napari_convnet.samples.heat_maps import Window
from napari_convnet.samples.peaks import LOWEST, Peaks, find_peaks, join_peaks, match_peaks
from napari_convnet.scores import PositionMatches
from napari_convnet.settings import TrainingSettings
from napari_convnet.training.measured_positions import MeasuredHeatMaps, MeasuredPositions

#: How much a pixel at the top of a spot counts; one of the background counts 1.
SPOT_WEIGHT = 20.0
#: Threshold of peaks where nothing is held out to choose one by: half of a spot's height.
DEFAULT_THRESHOLD = 0.5


class PositionObjective:
    """Row and column ``(N, 2)`` in pixels from the patch's centre: the mean squared distance to the truth.

    In the curves, accuracy is the share of positions within the tolerance.
    """

    def __init__(self, samples: PositionSet) -> None:
        self._tolerance = samples.tolerance

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean squared distance in square pixels."""
        return (outputs - targets).square().sum(1).mean()

    def tally(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return positions within the tolerance, and positions."""
        distances = (outputs - targets).norm(dim=1)
        return torch.stack([(distances <= self._tolerance).sum(), targets.new_tensor(len(targets))])

    def measurement(self) -> _PositionMeasurement:
        """Begin to measure the held-out samples."""
        return _PositionMeasurement(self._tolerance)


class _PositionMeasurement:
    """Errors that are collected batch by batch."""

    def __init__(self, tolerance: float) -> None:
        self._tolerance = tolerance
        self._errors: list[np.ndarray] = []

    def add(self, outputs: Tensor, targets: Tensor) -> None:
        self._errors.append(outputs.cpu().numpy().astype(np.float64) - targets.numpy())

    @property
    def result(self) -> MeasuredPositions:
        """Errors of everything that was added."""
        return MeasuredPositions(np.concatenate(self._errors), self._tolerance)


def heat_map_loss(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the weighted mean over known pixels of the squared difference to the heat map.

    A spot covers a few pixels, the background thousands; without weights, an empty map would be a good
    answer. ``outputs`` are the network's, ``targets`` heat maps, -1 = not known; both ``(N, K, Y, X)``.
    """
    is_known = targets >= 0
    weights = torch.where(is_known, 1 + SPOT_WEIGHT * targets, 0.0)
    losses = (outputs - targets).square() * weights
    return losses.sum() / is_known.sum().clamp(min=1)


class HeatMapObjective:
    """Heat maps ``(N, K, Y, X)``: spots of height 1 at positions, 0 elsewhere, -1 where nothing is known.

    In the curves, accuracy is the share of the spots' pixels, those above half of the height, that are so.
    """

    def __init__(self, samples: HeatMapSet) -> None:
        self._samples = samples

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the weighted mean squared difference to the heat maps."""
        return heat_map_loss(outputs, targets)

    def tally(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return pixels that are rightly above half of a spot's height, and those that are or should be."""
        is_known = targets >= 0
        should, is_high = targets >= 0.5, (outputs >= 0.5) & is_known
        return torch.stack([(should & is_high).sum(), (should | is_high).sum()])

    def measurement(self) -> _HeatMapMeasurement:
        """Begin to measure the held-out samples."""
        return _HeatMapMeasurement(self._samples)


class _HeatMapMeasurement:
    """Peaks that are collected window by window, in the order in which the samples give them."""

    def __init__(self, samples: HeatMapSet) -> None:
        self._samples = samples
        self._windows: Iterator[Window] = samples.validation_windows()
        self._peaks: dict[int, list[Peaks]] = {}
        self._loss_sum, self._n_known = 0.0, 0

    def add(self, outputs: Tensor, targets: Tensor) -> None:
        n_known = int((targets >= 0).sum())
        self._loss_sum += heat_map_loss(outputs, targets.to(outputs.device)).item() * n_known
        self._n_known += n_known
        for maps in outputs.cpu().numpy():
            index, window, read = next(self._windows)
            rows, columns = (span.stop - span.start for span in read)
            peaks = find_peaks(maps[:, :rows, :columns], LOWEST, self._samples.sigma)
            origin = np.array([span.start for span in read])
            moved = Peaks(peaks.positions + origin, peaks.values, peaks.heights)
            inside = moved.select(points_inside(moved.positions, *window))
            self._peaks.setdefault(index, []).append(inside)

    @property
    def result(self) -> MeasuredHeatMaps:
        """Scores of everything that was added, at the best threshold."""
        samples = self._samples
        found = {index: join_peaks(parts) for index, parts in self._peaks.items()}
        truth = {index: self._true_points(index) for index in found}
        threshold = choose_threshold([(found[k], truth[k]) for k in found], samples.tolerance)
        n_classes = len(samples.classes)
        by_image = [
            match_peaks(found[k].above(threshold), *truth[k], n_classes, samples.tolerance)
            for k in found
        ]
        return MeasuredHeatMaps(
            self._loss_sum / max(1, self._n_known),
            threshold,
            tuple(PositionMatches.together(parts) for parts in zip(*by_image, strict=True)),
            tuple(info.name for info in samples.classes),
        )

    def _true_points(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the held-out positions of an image and their class values."""
        points, values = self._samples.points[index], self._samples.values[index]
        areas = [area[1:] for area in self._samples.areas.validation if area[0] == index]
        inside = np.any([points_inside(points, *area) for area in areas], axis=0)
        return points[inside], values[inside]


def choose_threshold(
    images: Sequence[tuple[Peaks, tuple[np.ndarray, np.ndarray]]], tolerance: float
) -> float:
    """Return the height of peaks from which the F1 score is highest.

    Peaks take their position in the order of their height, each the nearest one that is left, so that what
    is found at a threshold is a part of what is found at a lower one.

    Parameters
    ----------
    images
        Peaks of each image, and its true positions ``(N, 2)`` with class values ``(N,)``.
    """
    heights, hits, n_true = [], [], 0
    for peaks, (points, values) in images:
        n_true += len(points)
        heights.append(peaks.heights)
        hits.append(_take_nearest(peaks, points, values, tolerance))
    height, is_hit = np.concatenate(heights), np.concatenate(hits)
    if not is_hit.any():
        return DEFAULT_THRESHOLD
    order = np.argsort(-height, kind="stable")
    height, n_hits = height[order], np.cumsum(is_hit[order])
    f1 = 2 * n_hits / (np.arange(1, len(height) + 1) + n_true)
    last = int(np.flatnonzero(f1 == f1.max())[-1])
    below = height[last + 1] if last + 1 < len(height) else LOWEST
    return float((height[last] + below) / 2)


def locate_card(
    samples: TrainingSet, settings: TrainingSettings, scores: Mapping[str, Any]
) -> LocateCard | None:
    """Return what a model has to know to locate, None for samples of other tasks.

    Parameters
    ----------
    scores
        Of the training; its validation has the threshold of peaks.
    """
    if isinstance(samples, HeatMapSet):
        threshold = scores.get("validation", {}).get("threshold", DEFAULT_THRESHOLD)
        return LocateCard(mode="heat_map", sigma=samples.sigma, threshold=threshold)
    if not isinstance(samples, PositionSet):
        return None
    augmentation = AugmentationSettings.of(settings)
    turns_all_ways = augmentation is not None and np.ptp(augmentation.rotation) >= 315
    is_mirrored = turns_all_ways and (augmentation.flip_x or augmentation.flip_y)
    return LocateCard(mode="patch", orientations=8 if is_mirrored else 1)


def _take_nearest(
    peaks: Peaks, points: np.ndarray, values: np.ndarray, tolerance: float
) -> np.ndarray:
    """Return which peaks, the highest first, find a position of their class that is not taken yet."""
    is_hit, is_free = np.zeros(len(peaks.heights), bool), np.ones(len(points), bool)
    for number in np.argsort(-peaks.heights, kind="stable"):
        distances = np.linalg.norm(points - peaks.positions[number], axis=1)
        fits = is_free & (values == peaks.values[number]) & (distances <= tolerance)
        if fits.any():
            is_free[np.where(fits, distances, np.inf).argmin()] = False
            is_hit[number] = True
    return is_hit
