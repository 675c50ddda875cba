"""Scores: everything that is read off a confusion matrix, and the matching of objects."""

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

    def as_dict(self, class_names: list[str]) -> dict[str, Any]:
        """Return everything as JSON values, classes by name, undefined values as None."""
        return {
            "n": self.n,
            "accuracy": _plain(self.accuracy),
            "balanced_accuracy": _plain(self.balanced_accuracy),
            "mean_iou": _plain(self.mean_iou),
            "classes": {
                name: {
                    "n": int(self.confusion[k].sum()),
                    "precision": _plain(self.precision[k]),
                    "recall": _plain(self.recall[k]),
                    "f1": _plain(self.f1[k]),
                    "iou": _plain(self.iou[k]),
                    "dice": _plain(self.f1[k]),
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


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 6)


@dataclass(frozen=True)
class ObjectMatches:
    """How many objects were found: pairs whose IoU is above the threshold match."""

    true_positives: int
    false_positives: int
    false_negatives: int

    @property
    def average_precision(self) -> float:
        """``TP / (TP + FP + FN)``, as in the Data Science Bowl 2018 and StarDist."""
        total = self.true_positives + self.false_positives + self.false_negatives
        return self.true_positives / total if total else float("nan")


def match_objects(
    truth: np.ndarray, predicted: np.ndarray, iou_threshold: float = 0.5
) -> ObjectMatches:
    """Match the objects of two label images.

    Parameters
    ----------
    truth, predicted
        Instance labels of the same shape, 0 = background.
    iou_threshold
        Objects match above this IoU; at least 0.5, so that an object can match only one other.

    References
    ----------
    Caicedo et al. 2019, https://doi.org/10.1038/s41592-019-0612-7.
    """
    if iou_threshold < 0.5:
        raise ValueError(f"iou_threshold is {iou_threshold}; below 0.5 a match is not unique")
    _, true_index = np.unique(truth, return_inverse=True)
    _, predicted_index = np.unique(predicted, return_inverse=True)
    # A leading background object, so that index 0 is always background even in an image without any.
    true_index = true_index.ravel() + (0 if (truth == 0).any() else 1)
    predicted_index = predicted_index.ravel() + (0 if (predicted == 0).any() else 1)
    n_true, n_predicted = int(true_index.max()) + 1, int(predicted_index.max()) + 1
    pairs, overlap = np.unique(
        true_index.astype(np.int64) * n_predicted + predicted_index, return_counts=True
    )
    area_true = np.bincount(true_index, minlength=n_true)
    area_predicted = np.bincount(predicted_index, minlength=n_predicted)
    row, column = pairs // n_predicted, pairs % n_predicted
    both = (row > 0) & (column > 0)
    iou = overlap / (area_true[row] + area_predicted[column] - overlap)
    found = int((both & (iou > iou_threshold)).sum())
    return ObjectMatches(found, n_predicted - 1 - found, n_true - 1 - found)
