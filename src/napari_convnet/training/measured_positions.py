"""What a measurement of located positions says: errors in pixels, positions found and missed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_convnet.scores import PositionMatches


@dataclass(frozen=True)
class MeasuredPositions:
    """How far located positions are from the truth.

    Parameters
    ----------
    errors
        ``(N, 2)`` located minus true row and column in pixels.
    tolerance
        Distance in pixels up to which a position counts as found.
    """

    errors: np.ndarray
    tolerance: float

    @property
    def loss(self) -> float:
        """Mean squared distance in square pixels."""
        return float((self.errors**2).sum(1).mean())

    @property
    def rmse(self) -> float:
        """Root mean square distance to the truth in pixels."""
        return math.sqrt(self.loss)

    @property
    def score(self) -> float:
        """The error in pixels, negative, so that higher is better."""
        return -self.rmse

    @property
    def standard_error(self) -> float:
        """How far the score may be off by chance, from the spread of the squared distances."""
        squared = (self.errors**2).sum(1)
        if len(squared) < 2 or not self.rmse:
            return self.rmse
        return float(squared.std(ddof=1) / math.sqrt(len(squared)) / (2 * self.rmse))

    @property
    def accuracy(self) -> float:
        """Share of positions within the tolerance."""
        return float((np.linalg.norm(self.errors, axis=1) <= self.tolerance).mean())

    @property
    def warning(self) -> str:
        """The split already says when there are too few frames."""
        return ""

    def as_dict(self) -> dict[str, Any]:
        """Return all scores as JSON values."""
        distances = np.linalg.norm(self.errors, axis=1)
        return {
            "n": len(self.errors),
            "root_mean_square_error_pixels": _plain(self.rmse),
            "root_mean_square_error_by_axis_pixels": _plain(np.sqrt((self.errors**2).mean(0))),
            "mean_error_by_axis_pixels": _plain(self.errors.mean(0)),
            "median_error_pixels": _plain(np.median(distances)),
            "largest_error_pixels": _plain(distances.max()),
            "tolerance_pixels": self.tolerance,
            "share_within_tolerance": _plain(self.accuracy),
        }


@dataclass(frozen=True)
class MeasuredHeatMaps:
    """How many positions are found in held-out areas, and how far they are from the truth.

    Parameters
    ----------
    loss
        Mean weighted squared difference of the heat maps.
    threshold
        Height of peaks from which the F1 score on the held-out areas is highest.
    matches
        Of the peaks that are as high, for each class.
    names
        Of the classes.
    """

    loss: float
    threshold: float
    matches: tuple[PositionMatches, ...]
    names: tuple[str, ...] = ()

    @property
    def total(self) -> PositionMatches:
        """Matches of all classes together."""
        return PositionMatches.together(self.matches)

    @property
    def score(self) -> float:
        """F1 within the tolerance."""
        value = self.total.f1
        return value if math.isfinite(value) else 0.0

    @property
    def standard_error(self) -> float:
        """How far the score may be off by chance: the fewer held-out positions, the farther (Agresti & Coull)."""
        n = self.total.n_true
        share = (self.score * n + 1) / (n + 2)
        return math.sqrt(share * (1 - share) / (n + 2))

    @property
    def accuracy(self) -> float:
        """F1, too: the share of places without a position has no meaning."""
        return self.score

    @property
    def warning(self) -> str:
        """The set of samples already says when there are too few positions."""
        return ""

    def as_dict(self) -> dict[str, Any]:
        """Return all scores as JSON values."""
        scores = {
            **self.total.as_dict(),
            "threshold": _plain(self.threshold),
            "threshold_chosen_on": "the same held-out positions",
        }
        if len(self.names) > 1:
            pairs = zip(self.names, self.matches, strict=True)
            scores["classes"] = {name: matches.as_dict() for name, matches in pairs}
        return scores


def _plain(value: Any) -> Any:
    """Return JSON values, rounded."""
    return np.round(np.asarray(value, np.float64), 6).tolist()
