"""Everything that is read off a confusion matrix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


def confusion_matrix(truth: np.ndarray, predicted: np.ndarray, n_classes: int) -> np.ndarray:
    """Count pairs of true and predicted classes.

    Parameters
    ----------
    truth, predicted
        Class indices 0..n_classes-1 of the same shape; negative truth is ignored.

    Returns
    -------
    numpy.ndarray
        ``(n_classes, n_classes)`` int64, rows = truth, columns = prediction.
    """
    known = truth >= 0
    pairs = truth[known].astype(np.int64) * n_classes + predicted[known].astype(np.int64)
    return np.bincount(pairs, minlength=n_classes**2).reshape(n_classes, n_classes)


@dataclass(frozen=True)
class Scores:
    """Scores of one confusion matrix (rows = truth). A class that never occurs has NaN, and means leave it out."""

    confusion: np.ndarray

    @property
    def n(self) -> int:
        """Number of samples (or pixels) counted."""
        return int(self.confusion.sum())

    @property
    def accuracy(self) -> float:
        """Share of samples on the diagonal."""
        return _ratio(np.trace(self.confusion), self.confusion.sum())

    @property
    def precision(self) -> np.ndarray:
        """Per class, the share of what was called so that is so."""
        return _ratios(np.diag(self.confusion), self.confusion.sum(0))

    @property
    def recall(self) -> np.ndarray:
        """Per class, the share of what is so that was called so."""
        return _ratios(np.diag(self.confusion), self.confusion.sum(1))

    @property
    def f1(self) -> np.ndarray:
        """Per class, the harmonic mean of precision and recall; for pixels this is the Dice coefficient."""
        return _ratios(2 * np.diag(self.confusion), self.confusion.sum(0) + self.confusion.sum(1))

    @property
    def iou(self) -> np.ndarray:
        """Per class, intersection over union (Jaccard index)."""
        hits = np.diag(self.confusion)
        return _ratios(hits, self.confusion.sum(0) + self.confusion.sum(1) - hits)

    @property
    def balanced_accuracy(self) -> float:
        """Mean recall over the classes that occur."""
        return _mean(self.recall)

    @property
    def mean_iou(self) -> float:
        """Mean IoU over the classes that occur."""
        return _mean(self.iou)

    def normalised(self, by: str = "truth") -> np.ndarray:
        """Return the confusion matrix as shares ``(K, K)``; rows or columns without samples are NaN.

        Parameters
        ----------
        by
            ``"truth"``: each row sums to 1 and its diagonal is the recall; ``"prediction"``: each column
            sums to 1 and its diagonal is the precision.
        """
        counts = self.confusion.astype(float)
        whole = counts.sum(1 if by == "truth" else 0, keepdims=True)
        whole = np.broadcast_to(whole, counts.shape)
        return np.divide(counts, whole, out=np.full(counts.shape, np.nan), where=whole > 0)

    def most_confused(self) -> np.ndarray:
        """Return the classes ``(K,)``, those with the most mistakes (missed or wrongly named) first."""
        mistakes = self.confusion.sum(0) + self.confusion.sum(1) - 2 * np.diag(self.confusion)
        return np.argsort(-mistakes, kind="stable")

    def confused_pairs(self) -> list[tuple[int, int, int]]:
        """Return (true class, predicted class, count) of all mistakes, the most frequent first."""
        wrong = self.confusion - np.diag(np.diag(self.confusion))
        order = np.argsort(-wrong, axis=None, kind="stable")[: np.count_nonzero(wrong)]
        rows, columns = np.unravel_index(order, wrong.shape)
        return [(int(t), int(p), int(wrong[t, p])) for t, p in zip(rows, columns, strict=True)]

    def as_dict(self, class_names: list[str]) -> dict[str, Any]:
        """Return everything as JSON values, classes by name, undefined values as None."""
        return {
            "n": self.n,
            "accuracy": plain(self.accuracy),
            "balanced_accuracy": plain(self.balanced_accuracy),
            "mean_iou": plain(self.mean_iou),
            "classes": {
                name: {
                    "n": int(self.confusion[k].sum()),
                    "precision": plain(self.precision[k]),
                    "recall": plain(self.recall[k]),
                    "f1": plain(self.f1[k]),
                    "iou": plain(self.iou[k]),
                    "dice": plain(self.f1[k]),
                }
                for k, name in enumerate(class_names)
            },
            "confusion": self.confusion.tolist(),
        }


def _ratio(part: float, whole: float) -> float:
    return float(part) / float(whole) if whole else float("nan")


def _ratios(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)


def _mean(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


def plain(value: float) -> float | None:
    """Round a number for a report; NaN is None."""
    return None if np.isnan(value) else round(float(value), 6)
