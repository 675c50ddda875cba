"""Bringing intensities to a common scale, in the same way for training and for prediction."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np

NormalisationMode = Literal["per_image", "percentiles", "training_set", "unit"]

#: Percentiles that stand for an image's darkest and brightest; few objects or hot pixels do not move them.
_PERCENTILES = (1.0, 99.8)
#: Pixels that percentiles are measured on, at most about; of a larger image, evenly spread ones.
_MOST_MEASURED = 2**20


@dataclass(frozen=True)
class Normalisation:
    """How intensities are brought to a common scale; travels with the model.

    Parameters
    ----------
    mode
        ``"per_image"``: zero mean and unit standard deviation of each image by itself, so that exposure does not
        matter; ``"percentiles"``: from the 1st to the 99.8th percentile of each image by itself, so that it does not
        matter either how much of the image is bright; ``"training_set"``: the training set's mean and standard
        deviation for all images, so that brightness can tell classes apart; ``"unit"``: nothing is changed.
    mean, std
        One number per channel, in intensities of the image; used by ``"training_set"`` only.
    """

    mode: NormalisationMode = "per_image"
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    @property
    def goes_by_image(self) -> bool:
        """Whether each image is normalised by its own values; parts of one then need what all of it comes to."""
        return self.mode in ("per_image", "percentiles")

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

    @classmethod
    def of_image(cls, mode: NormalisationMode, image: np.ndarray) -> Normalisation:
        """Return the fixed numbers that a mode comes to for one image ``(C, Y, X)``, the same for its parts."""
        if mode == "percentiles":
            return cls.of_percentiles(thin_out(image))
        return cls.fit("training_set", [image])

    @classmethod
    def of_percentiles(cls, values: np.ndarray) -> Normalisation:
        """Return the fixed numbers that ``"percentiles"`` comes to for values ``(C, N)``."""
        low, high = np.percentile(values.astype(np.float64), _PERCENTILES, axis=1)
        # What lies between them becomes about as wide as an image of unit standard deviation.
        mean, std = low + (high - low) / 5, (high - low) / 4
        return cls(
            "training_set", tuple(map(float, mean)), tuple(map(float, _floor_std(std, mean)))
        )

    def apply(self, image: np.ndarray) -> np.ndarray:
        """Normalise an image ``(C, Y, X)``, float32 in and out."""
        if self.mode == "unit":
            return image
        fitted = self if self.mode == "training_set" else Normalisation.of_image(self.mode, image)
        mean, std = np.asarray(fitted.mean), np.asarray(fitted.std)
        normalised = np.empty_like(image)
        for source, target, offset, scale in zip(image, normalised, mean, std, strict=True):
            target[:] = (source.astype(np.float64) - offset) / scale  # double for one channel only
        return normalised


def thin_out(image: np.ndarray, n_images: int = 1) -> np.ndarray:
    """Return evenly spread pixels ``(C, N)`` of one of some images ``(C, Y, X)``, all if they are small."""
    flat = image.reshape(len(image), -1)
    step = -(-flat.shape[1] * n_images // _MOST_MEASURED)
    return flat[
        :, :: step if step == 1 else step | 1
    ]  # an odd step does not stay in the same columns


def _floor_std(std: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Keep a constant channel from being divided by (nearly) zero: it becomes zeros instead."""
    return np.where(std > 1e-6 * np.abs(mean) + 1e-30, std, 1.0)
