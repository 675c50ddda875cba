"""Bringing intensities to a common scale, in the same way for training and for prediction."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np

NormalisationMode = Literal["per_image", "training_set", "unit"]


@dataclass(frozen=True)
class Normalisation:
    """How intensities are brought to a common scale; travels with the model.

    Parameters
    ----------
    mode
        ``"per_image"``: zero mean and unit standard deviation of each image by itself, so that exposure does not
        matter; ``"training_set"``: the training set's mean and standard deviation for all images, so that brightness
        can tell classes apart; ``"unit"``: nothing is changed.
    mean, std
        One number per channel, in intensities of the image; used by ``"training_set"`` only.
    """

    mode: NormalisationMode = "per_image"
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    @classmethod
    def fit(cls, mode: NormalisationMode, images: Iterable[np.ndarray]) -> Normalisation:
        """Measure what the mode needs on training images ``(C, Y, X)`` (never on held-out ones)."""
        if mode != "training_set":
            return cls(mode)
        moments = [
            (image.mean((1, 2), dtype=np.float64), image.var((1, 2), dtype=np.float64))
            for image in images
        ]
        means = np.array([mean for mean, _ in moments])
        mean = means.mean(axis=0)
        # Variance within images plus variance between them; squares of raw values would cancel out.
        variance = np.mean([within for _, within in moments], axis=0) + means.var(axis=0)
        std = _floor_std(np.sqrt(variance), mean)
        return cls(mode, tuple(map(float, mean)), tuple(map(float, std)))

    def apply(self, image: np.ndarray) -> np.ndarray:
        """Normalise an image ``(C, Y, X)``, float32 in and out."""
        if self.mode == "unit":
            return image
        if self.mode == "per_image":
            mean = image.mean((1, 2), dtype=np.float64)
            std = _floor_std(image.std((1, 2), dtype=np.float64), mean)
        else:
            mean, std = np.asarray(self.mean), np.asarray(self.std)
        normalised = np.empty_like(image)
        for source, target, offset, scale in zip(image, normalised, mean, std, strict=True):
            target[:] = (source.astype(np.float64) - offset) / scale  # double for one channel only
        return normalised


def _floor_std(std: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Keep a constant channel from being divided by (nearly) zero: it becomes zeros instead."""
    return np.where(std > 1e-6 * np.abs(mean) + 1e-30, std, 1.0)
