"""Multinomial logistic regression on standardised features, its strength chosen without the held-out samples."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_convnet.progress import Progress

#: scikit-learn's ``C``: the smaller, the more large weights are discouraged.
_STRENGTHS = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 1.0)
#: Where there are too few samples of a class to try.
_DEFAULT_STRENGTH = 1e-2
_FOLDS = 5
_MOST_ITERATIONS = 500


@dataclass(frozen=True, eq=False)
class LinearClassifier:
    """Logits ``values @ weight.T + bias`` of features as they are; the standardisation is in both.

    Parameters
    ----------
    weight, bias
        ``(K, F)`` and ``(K,)`` float64.
    strength
        The ``C`` that was chosen.
    accuracies
        Mean accuracy by ``C`` on samples left out of the training part, where it was measured.
    chosen_by
        How, in words.
    """

    weight: np.ndarray
    bias: np.ndarray
    strength: float
    accuracies: dict[float, float]
    chosen_by: str

    def probabilities(self, values: np.ndarray) -> np.ndarray:
        """Return ``(N, K)`` of features ``(N, F)``."""
        logits = values @ self.weight.T + self.bias
        powers = np.exp(logits - logits.max(1, keepdims=True))
        return powers / powers.sum(1, keepdims=True)

    def as_dict(self) -> dict[str, Any]:
        """Return how it was fitted, as JSON values."""
        return {
            "classifier": "logistic regression on standardised features",
            "C": self.strength,
            "chosen_by": self.chosen_by,
            "accuracy_by_C": {f"{c:g}": round(value, 4) for c, value in self.accuracies.items()},
        }


def fit_logistic(
    values: np.ndarray,
    targets: np.ndarray,
    n_classes: int,
    *,
    groups: np.ndarray | None = None,
    balance: str = "weighted_loss",
    seed: int = 0,
    stop: threading.Event | None = None,
) -> Generator[Progress, None, LinearClassifier]:
    """Standardise features, choose the strength of regularisation by cross-validation, and fit to all.

    Parameters
    ----------
    values, targets
        ``(N, F)`` float32 and ``(N,)`` class indices from 0.
    n_classes
        Classes without samples get no chance.
    groups
        ``(N,)`` names that are not split between folds.
    balance
        As in `TrainingSettings`.
    stop
        Ends the search; the best so far is taken.
    """
    folds, chosen_by = _folds(values, targets, groups, seed)
    accuracies: dict[float, float] = {}
    total = len(_STRENGTHS) * len(folds) + 1
    done = 0
    for strength in _STRENGTHS if folds else ():
        right = 0
        for training, left_out in folds:
            if stop is not None and stop.is_set():
                break
            classifier = _fit(values[training], targets[training], strength, balance)
            right += int((classifier.predict(values[left_out]) == targets[left_out]).sum())
            done += 1
            yield Progress(
                done=done, total=0, text=f"regularisation C = {strength:g}, fit {done} of {total}"
            )
        else:
            accuracies[strength] = right / len(targets)
            continue
        break
    # The strongest regularisation among equals; dictionaries keep the order.
    best = max(accuracies, key=accuracies.__getitem__) if accuracies else _DEFAULT_STRENGTH
    classifier = _fit(values, targets, best, balance)
    weight, bias = _folded(classifier, n_classes)
    yield Progress(done=total, total=0, text="fitted")
    return LinearClassifier(weight, bias, best, accuracies, chosen_by if accuracies else "default")


def _folds(
    values: np.ndarray, targets: np.ndarray, groups: np.ndarray | None, seed: int
) -> tuple[list[tuple[np.ndarray, np.ndarray]], str]:
    """Return folds that all have every class to train on, and what they are; none where that is not possible."""
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    present = np.unique(targets)
    kept_together = groups is not None and len(np.unique(groups)) >= _FOLDS
    n_folds = min(_FOLDS, int(np.unique(targets, return_counts=True)[1].min()))
    if n_folds < 2:
        return [], ""
    kind = StratifiedGroupKFold if kept_together else StratifiedKFold
    with warnings.catch_warnings():  # a class with fewer members than folds; looked at below
        warnings.simplefilter("ignore", UserWarning)
        split = kind(n_folds, shuffle=True, random_state=seed).split(
            values, targets, groups if kept_together else None
        )
        folds = [(a, b) for a, b in split if len(b)]
    if any(len(np.unique(targets[training])) < len(present) for training, _ in folds):
        return [], ""
    together = ", groups kept together" if kept_together else ""
    return folds, f"{len(folds)}-fold cross-validation within the training samples{together}"


def _fit(values: np.ndarray, targets: np.ndarray, strength: float, balance: str) -> Any:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    present, counts = np.unique(targets, return_counts=True)
    weights = None
    if balance != "off":  # as in training: by the inverse root of the counts, or wholly
        power = 0.5 if balance == "weighted_loss" else 1.0
        weights = dict(
            zip(present.tolist(), ((counts.mean() / counts) ** power).tolist(), strict=True)
        )
    regression = LogisticRegression(C=strength, max_iter=_MOST_ITERATIONS, class_weight=weights)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # weak regularisation, never the best
        return make_pipeline(StandardScaler(), regression).fit(values.astype(np.float64), targets)


def _folded(pipeline: Any, n_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return weights and biases for features that are not standardised, one row a class."""
    scaler, regression = pipeline[0], pipeline[-1]
    rows, intercepts = regression.coef_, regression.intercept_
    if len(regression.classes_) == 2:
        rows, intercepts = np.stack([0 * rows[0], rows[0]]), np.array([0.0, intercepts[0]])
    weight = np.zeros((n_classes, rows.shape[1]))
    bias = np.full(n_classes, -1e3)
    weight[regression.classes_] = rows / scaler.scale_
    bias[regression.classes_] = intercepts - (rows / scaler.scale_) @ scaler.mean_
    return weight, bias
