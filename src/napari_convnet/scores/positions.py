"""How many positions are found, and how exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_convnet.scores.confusion import plain
from napari_convnet.scores.intervals import wilson_interval


@dataclass(frozen=True)
class PositionMatches:
    """Positions that were found, matched one to one with true ones.

    Parameters
    ----------
    true_index, found_index
        ``(M,)`` which true position belongs to which found one.
    distances
        ``(M,)`` pixels between the two.
    n_true, n_found
        How many there were.
    tolerance
        Pixels up to which a position counts as found.
    """

    true_index: np.ndarray
    found_index: np.ndarray
    distances: np.ndarray
    n_true: int
    n_found: int
    tolerance: float

    @property
    def root_mean_square_error(self) -> float:
        """Root of the mean squared distance of matched positions in pixels; NaN without any."""
        return float(np.sqrt(np.mean(self.distances**2))) if len(self.distances) else float("nan")

    @property
    def recall(self) -> float:
        """Share of the true positions that were found."""
        return len(self.distances) / self.n_true if self.n_true else float("nan")

    @property
    def precision(self) -> float:
        """Share of the found positions that are true."""
        return len(self.distances) / self.n_found if self.n_found else float("nan")

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        total = self.n_true + self.n_found
        return 2 * len(self.distances) / total if total else float("nan")

    @classmethod
    def together(cls, parts: Sequence[PositionMatches]) -> PositionMatches:
        """Return the matches of several images as one; indices count on from image to image."""
        starts = np.cumsum([[0, 0]] + [[p.n_true, p.n_found] for p in parts], axis=0)

        def join(arrays: list[np.ndarray]) -> np.ndarray:
            return np.concatenate([np.empty(0, np.int64), *arrays])

        return cls(
            join([p.true_index + start for p, (start, _) in zip(parts, starts, strict=False)]),
            join([p.found_index + start for p, (_, start) in zip(parts, starts, strict=False)]),
            np.concatenate([np.empty(0), *(p.distances for p in parts)]),
            int(starts[-1][0]), int(starts[-1][1]), parts[0].tolerance if parts else 0.0,
        )  # fmt: skip

    def as_dict(self, pixel_size_um: float | None = None) -> dict[str, Any]:
        """Return everything as JSON values, distances in pixels and, where a pixel's size is known, micrometres."""
        n, error = len(self.distances), self.root_mean_square_error
        return {
            "n": self.n_true,
            "found": self.n_found,
            "matched": n,
            "tolerance_pixels": self.tolerance,
            "precision": plain(self.precision),
            "precision_interval": list(wilson_interval(n, self.n_found)),
            "recall": plain(self.recall),
            "recall_interval": list(wilson_interval(n, self.n_true)),
            "f1": plain(self.f1),
            "root_mean_square_error_pixels": plain(error),
            "root_mean_square_error_um": plain(error * pixel_size_um) if pixel_size_um else None,
            "median_error_pixels": plain(float(np.median(self.distances))) if n else None,
        }


def match_positions(truth: np.ndarray, found: np.ndarray, tolerance: float) -> PositionMatches:
    """Match positions one to one: as many as possible within a tolerance, as near together as possible.

    Parameters
    ----------
    truth, found
        ``(N, 2)`` and ``(M, 2)`` rows and columns in pixels (any number of axes does).
    tolerance
        Largest distance in pixels of a match.

    References
    ----------
    Kuhn 1955 (the Hungarian method), https://doi.org/10.1002/nav.3800020109.
    """
    from scipy.optimize import linear_sum_assignment
    from scipy.spatial.distance import cdist

    truth, found = (np.asarray(p, np.float64) for p in (truth, found))
    if not len(truth) or not len(found):
        none = np.empty(0, np.int64)
        return PositionMatches(none, none, np.empty(0), len(truth), len(found), tolerance)
    distances = cdist(truth, found)
    # A pair beyond the tolerance costs more than all pairs within it together, so it is taken last.
    too_far = 1.0 + tolerance * (min(distances.shape) + 1)
    rows, columns = linear_sum_assignment(np.where(distances <= tolerance, distances, too_far))
    near = distances[rows, columns] <= tolerance
    rows, columns = rows[near], columns[near]
    return PositionMatches(
        rows, columns, distances[rows, columns], len(truth), len(found), tolerance
    )
