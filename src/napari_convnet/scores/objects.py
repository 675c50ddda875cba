"""How many objects of a segmentation are found."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


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
