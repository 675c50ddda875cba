"""Whether probabilities mean what they say, and one number that mends them: the temperature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

#: Bins of a reliability diagram; more would hold too few of some hundred held-out samples.
BINS = 10
#: With fewer held-out samples than this no temperature is fitted.
ENOUGH_SAMPLES = 20
#: How far from 1 a temperature is expected, as the standard deviation of its logarithm. Without it, a network
#: that is right on every held-out sample would be made certain of everything.
_EXPECTED = 0.5


@dataclass(frozen=True)
class Reliability:
    """A reliability diagram: how often answers of a confidence are right.

    Parameters
    ----------
    edges
        ``(BINS + 1,)`` confidences between which samples are put together.
    counts
        ``(BINS,)`` samples.
    confidence, accuracy
        ``(BINS,)`` mean probability of the class that was chosen, and share that is right; NaN without samples.
    """

    edges: np.ndarray
    counts: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray

    @property
    def expected_error(self) -> float:
        """Expected calibration error: the mean distance of confidence and accuracy, weighted by samples."""
        used = self.counts > 0
        distance = np.abs(self.confidence[used] - self.accuracy[used])
        total = self.counts.sum()
        return float((distance * self.counts[used]).sum() / total) if total else float("nan")

    def as_list(self) -> list[dict[str, Any]]:
        """Return the bins that have samples, as JSON values."""
        return [
            {
                "from": round(float(self.edges[k]), 4), "to": round(float(self.edges[k + 1]), 4),
                "n": int(self.counts[k]), "confidence": round(float(self.confidence[k]), 6),
                "accuracy": round(float(self.accuracy[k]), 6),
            }
            for k in np.flatnonzero(self.counts)
        ]  # fmt: skip


def reliability(truth: np.ndarray, probabilities: np.ndarray, bins: int = BINS) -> Reliability:
    """Compare confidence and accuracy.

    Parameters
    ----------
    truth
        ``(N,)`` class indices.
    probabilities
        ``(N, K)``.

    References
    ----------
    Guo et al. 2017, https://arxiv.org/abs/1706.04599.
    """
    confidence = probabilities.max(1, initial=0.0).astype(np.float64)
    is_right = probabilities.argmax(1) == truth
    edges = np.linspace(0, 1, bins + 1)
    index = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    counts = np.bincount(index, minlength=bins)
    nan = np.full(bins, np.nan)
    sums = [np.bincount(index, values, minlength=bins) for values in (confidence, is_right)]
    means = [np.divide(total, counts, out=nan.copy(), where=counts > 0) for total in sums]
    return Reliability(edges, counts, means[0], means[1])


def log_softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Return log probabilities ``(N, K)`` float64 of logits divided by a temperature."""
    from scipy.special import log_softmax as scipy_log_softmax

    return scipy_log_softmax(np.asarray(logits, np.float64) / temperature, axis=1)


def fit_temperature(truth: np.ndarray, logits: np.ndarray) -> float:
    """Find the number to divide logits by so that held-out probabilities are the most likely ones.

    Above 1 it makes a network less certain, below 1 more. No answer changes. With too few samples (20) it is 1.

    Parameters
    ----------
    truth
        ``(N,)`` class indices of samples that training never saw.
    logits
        ``(N, K)``; log probabilities do as well.

    References
    ----------
    Guo et al. 2017, https://arxiv.org/abs/1706.04599.
    """
    from scipy.optimize import minimize_scalar

    if len(truth) < ENOUGH_SAMPLES or not np.isfinite(logits).all():
        return 1.0
    rows = np.arange(len(truth))

    def unlikelihood(log_temperature: float) -> float:
        chosen = log_softmax(logits, np.exp(log_temperature))[rows, truth]
        return float(-chosen.sum() + 0.5 * (log_temperature / _EXPECTED) ** 2)

    found = minimize_scalar(unlikelihood, bounds=(-3.0, 3.0), method="bounded")
    return round(float(np.exp(found.x)), 4)
