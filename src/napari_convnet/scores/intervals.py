"""How far chance may have moved a score: 95 % intervals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

#: Every interval holds the true value in so many of 100 repetitions.
CONFIDENCE = 0.95
#: Resamples of a bootstrap: enough for ends of intervals that are steady to half a point.
RESAMPLES = 2000
#: Of these, so many are in memory at once.
_AT_ONCE = 250
#: With fewer groups than this their bootstrap is too narrow to be believed.
ENOUGH_GROUPS = 10

Interval = tuple[float, float]


def wilson_interval(hits: int, n: int) -> Interval:
    """Return the interval of a share, (0, 1) where nothing was counted.

    References
    ----------
    Wilson 1927, https://doi.org/10.1080/01621459.1927.10502953.
    """
    from scipy.stats import binomtest

    if n == 0:
        return 0.0, 1.0
    interval = binomtest(int(hits), int(n)).proportion_ci(CONFIDENCE, method="wilson")
    return float(interval.low), float(interval.high)


def bootstrap_confusions(
    truth: np.ndarray,
    predicted: np.ndarray,
    n_classes: int,
    groups: Sequence | np.ndarray | None = None,
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> np.ndarray:
    """Draw samples again and again, with repetition, and count each time; whole groups where there are some.

    Cells of one patient go right or wrong together, so what is drawn is patients.

    Parameters
    ----------
    truth, predicted
        ``(N,)`` class indices.
    groups
        ``(N,)`` name of the group (patient, image) of each sample.

    Returns
    -------
    numpy.ndarray
        ``(resamples, n_classes, n_classes)`` int64 confusion matrices, rows = truth.

    References
    ----------
    Efron 1979, https://doi.org/10.1214/aos/1176344552; whole clusters: Field & Welsh 2007,
    https://doi.org/10.1111/j.1467-9868.2007.00593.x.
    """
    random = np.random.default_rng(seed)
    cells = n_classes**2
    pairs = np.asarray(truth, np.int64) * n_classes + np.asarray(predicted, np.int64)
    if groups is None:
        counts = np.bincount(pairs, minlength=cells)
        drawn = random.multinomial(len(pairs), counts / max(1, len(pairs)), resamples)
    else:
        names, index = np.unique(np.asarray(groups), return_inverse=True)
        counts = np.bincount(index * cells + pairs, minlength=len(names) * cells)
        by_group = counts.reshape(len(names), cells).astype(
            np.float64
        )  # exact, and fast to multiply
        chances = np.full(len(names), 1 / len(names))
        parts = [
            random.multinomial(len(names), chances, n).astype(np.float64) @ by_group
            for n in np.diff(np.append(np.arange(0, resamples, _AT_ONCE), resamples))
        ]
        drawn = np.concatenate(parts).round().astype(np.int64)
    return drawn.reshape(resamples, n_classes, n_classes)


def percentile_interval(values: np.ndarray) -> Interval | None:
    """Return the interval that resampled values ``(B,)`` span, None where fewer than half are defined."""
    known = values[np.isfinite(values)]
    if len(known) < len(values) / 2 or not len(known):
        return None
    low, high = np.quantile(known, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def interval_of_mean(values: np.ndarray, groups: Sequence | None = None, seed: int = 0) -> Interval:
    """Return the bootstrap interval of a mean of values ``(N,)``, over groups where there are some."""
    random = np.random.default_rng(seed)
    names, index = np.unique(
        np.arange(len(values)) if groups is None else np.asarray(groups), return_inverse=True
    )
    sums, counts = np.bincount(index, values), np.bincount(index)
    times = random.multinomial(len(names), np.full(len(names), 1 / len(names)), RESAMPLES)
    low, high = np.quantile((times @ sums) / (times @ counts), [0.025, 0.975])
    return float(low), float(high)
