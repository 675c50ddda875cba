"""Everything that is told of a classifier: scores with intervals, curves and calibration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from napari_convnet.scores.calibration import Reliability, reliability
from napari_convnet.scores.confusion import Scores, confusion_matrix, plain
from napari_convnet.scores.intervals import (
    ENOUGH_GROUPS,
    Interval,
    bootstrap_confusions,
    percentile_interval,
    wilson_interval,
)

#: Points of a curve in a report: more are not seen in a plot.
_CURVE_POINTS = 41
#: Names of groups in a report; of more only the number is told.
_MOST_NAMES = 50
#: Pairs of classes in a report that are taken for each other.
_MOST_PAIRS = 20


@dataclass(frozen=True, eq=False)
class ClassifierScores:
    """What was measured on one set of samples.

    Parameters
    ----------
    truth
        ``(N,)`` class indices.
    probabilities
        ``(N, K)``.
    names
        The classes'.
    groups
        ``(N,)`` name of the patient, image or the like that each sample is from, or None where each
        sample stands for itself.
    group_kind
        What a group is, in the plural: ``"images"``, ``"patients"``, ``"groups"``.
    """

    truth: np.ndarray
    probabilities: np.ndarray
    names: tuple[str, ...]
    groups: np.ndarray | None = None
    group_kind: str = "groups"

    @property
    def predicted(self) -> np.ndarray:
        """Class index ``(N,)`` of the highest probability."""
        return self.probabilities.argmax(1)

    @cached_property
    def scores(self) -> Scores:
        """What is read off the confusion matrix."""
        return Scores(confusion_matrix(self.truth, self.predicted, len(self.names)))

    @cached_property
    def reliability(self) -> Reliability:
        """The reliability diagram."""
        return reliability(self.truth, self.probabilities)

    @property
    def n_groups(self) -> int:
        """Number of groups that the samples are from; of samples, where these stand for themselves."""
        return len(self.truth) if self.groups is None else len(np.unique(self.groups))

    @property
    def _drawn(self) -> np.ndarray | None:
        """The groups that a bootstrap draws; one alone says nothing of how groups differ."""
        return self.groups if self.n_groups > 1 else None

    @cached_property
    def _resampled(self) -> dict[str, np.ndarray]:
        """Scores of all resamples, ``(B,)`` or ``(B, K)``."""
        drawn = bootstrap_confusions(self.truth, self.predicted, len(self.names), self._drawn)
        hits = np.diagonal(drawn, axis1=1, axis2=2)
        called, real = drawn.sum(1), drawn.sum(2)
        with np.errstate(divide="ignore", invalid="ignore"):
            recall = hits / real
            known = np.where(np.isfinite(recall), recall, 0).sum(1)
            return {
                "accuracy": hits.sum(1) / drawn.sum((1, 2)),
                "balanced_accuracy": known / np.isfinite(recall).sum(1),
                "precision": hits / called,
                "recall": recall,
                "f1": 2 * hits / (called + real),
            }

    def interval(self, score: str, k: int | None = None) -> Interval | None:
        """Return the 95 % interval of a score, of class ``k`` where it is one of a class.

        Shares of samples that stand for themselves have Wilson's interval, all else that of a bootstrap
        (over groups, where there are some). Where no resample is different, as when all is right, it is
        Wilson's, too.
        """
        confusion = self.scores.confusion
        hits, real, called = np.diag(confusion), confusion.sum(1), confusion.sum(0)
        if k is None:
            share = int(hits.sum()), int(confusion.sum())
        else:
            share = int(hits[k]), int(called[k] if score == "precision" else real[k])
        if not share[1]:
            return None
        is_share = score in ("accuracy", "precision", "recall")
        if self._drawn is None and is_share:
            return wilson_interval(*share)
        values = self._resampled[score] if k is None else self._resampled[score][:, k]
        found = percentile_interval(values)
        if found and found[0] == found[1]:
            return wilson_interval(*share) if is_share or k is not None else self._mean_of_wilsons()
        return found

    def _mean_of_wilsons(self) -> Interval:
        confusion = self.scores.confusion
        ends = [wilson_interval(row[k], row.sum()) for k, row in enumerate(confusion) if row.sum()]
        low, high = np.mean(ends, axis=0)
        return float(low), float(high)

    @property
    def warning(self) -> str:
        """Why the intervals may be too narrow, or ""."""
        if self.groups is None or self.n_groups >= ENOUGH_GROUPS:
            return ""
        kind = self.group_kind.removesuffix("s") if self.n_groups == 1 else self.group_kind
        return f"Measured on {self.n_groups} {kind} only: others may differ more than the intervals say."

    def as_dict(self) -> dict[str, Any]:
        """Return everything as JSON values, classes by name, undefined values as None."""
        report = self.scores.as_dict(list(self.names))
        curves = [self._curves(k) for k in range(len(self.names))]
        for score in ("accuracy", "balanced_accuracy"):
            report[f"{score}_interval"] = _ends(self.interval(score))
        for k, entry in enumerate(report["classes"].values()):
            for score in ("precision", "recall", "f1"):
                entry[f"{score}_interval"] = _ends(self.interval(score, k))
            entry["auc"], entry["average_precision"] = curves[k][:2]
        areas = [area for area, _, _ in curves if area is not None]
        pairs = self.scores.confused_pairs()[:_MOST_PAIRS]
        report |= {
            "mean_auc": round(float(np.mean(areas)), 6) if areas else None,
            "confused": [
                {"truth": self.names[t], "predicted": self.names[p], "n": n} for t, p, n in pairs
            ],
            "roc": {
                name: curve for name, (_, _, curve) in zip(self.names, curves, strict=True) if curve
            },
            "calibration": {
                "expected_calibration_error": plain(self.reliability.expected_error),
                "bins": self.reliability.as_list(),
            },
            "measured": self._measured(),
        }
        return report

    def _measured(self) -> dict[str, Any]:
        """Say on what and how sure."""
        how = "95 %: Wilson for shares, else bootstrap over samples"
        if self.groups is None:
            return {"samples": len(self.truth), "intervals": how}
        names = [str(name) for name in np.unique(self.groups)]
        if self._drawn is not None:
            how = f"95 %, bootstrap over {len(names)} {self.group_kind}"
        return {
            "samples": len(self.truth),
            self.group_kind: len(names),
            "names": names[:_MOST_NAMES],
            "intervals": how,
        }

    def _curves(self, k: int) -> tuple[float | None, float | None, dict[str, list[float]]]:
        """Return area under the ROC curve, average precision and the curve, one class against the rest."""
        is_class = self.truth == k
        if not 0 < is_class.sum() < len(is_class):
            return None, None, {}
        from sklearn.metrics import auc, average_precision_score, roc_curve

        chances = self.probabilities[:, k]
        false_rate, true_rate, _ = roc_curve(is_class, chances)
        shown = np.unique(np.linspace(0, len(false_rate) - 1, _CURVE_POINTS).round().astype(int))
        curve = {
            "false_positive_rate": false_rate[shown].round(4).tolist(),
            "true_positive_rate": true_rate[shown].round(4).tolist(),
        }
        precision = float(average_precision_score(is_class, chances))
        return round(float(auc(false_rate, true_rate)), 6), round(precision, 6), curve


def measure_classifier(
    truth: np.ndarray,
    probabilities: np.ndarray,
    names: Sequence[str],
    groups: Sequence | np.ndarray | None = None,
    group_kind: str = "groups",
) -> ClassifierScores:
    """Measure answers; see `ClassifierScores` for the parameters.

    Raises
    ------
    ValueError
        For arrays that do not go together.
    """
    truth, probabilities = np.asarray(truth, np.int64), np.asarray(probabilities, np.float64)
    groups = None if groups is None else np.asarray(groups)
    if probabilities.shape != (len(truth), len(names)):
        raise ValueError(f"{probabilities.shape} probabilities, {len(truth)} x {len(names)} wanted")
    if groups is not None and len(groups) != len(truth):
        raise ValueError(f"{len(groups)} groups for {len(truth)} samples")
    return ClassifierScores(truth, probabilities, tuple(names), groups, group_kind)


def _ends(interval: Interval | None) -> list[float] | None:
    return None if interval is None else [round(end, 6) for end in interval]
