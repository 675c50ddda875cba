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
    fits = [_Fit(balance) for _ in folds]
    done, total = 0, len(_STRENGTHS) * len(folds)
    for strength in _STRENGTHS if folds else ():
        right = 0
        for fit, (training, left_out) in zip(fits, folds, strict=True):
            if stop is not None and stop.is_set():
                break
            fit(values[training], targets[training], strength)
            right += int((fit.predict(values[left_out]) == targets[left_out]).sum())
            done += 1
            text = f"regularisation C = {strength:g}, fit {done} of at most {total}"
            yield Progress(done=done, total=0, text=text)
        else:
            accuracies[strength] = right / len(targets)
        if len(accuracies) > 2 and _has_passed(list(accuracies.values())):
            break
    # The strongest regularisation among equals; dictionaries keep the order.
    best = max(accuracies, key=accuracies.__getitem__) if accuracies else _DEFAULT_STRENGTH
    last = _Fit(balance)
    last(values, targets, best)
    weight, bias = last.folded(n_classes)
    return LinearClassifier(weight, bias, best, accuracies, chosen_by if accuracies else "default")


def _has_passed(accuracies: list[float]) -> bool:
    """Return whether the two last ones are both lower than the best: the best strength lies behind."""
    return max(accuracies[-2:]) < max(accuracies)


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


class _Fit:
    """Standardisation and regression on one set of samples; each fit begins with the weights of the last."""

    def __init__(self, balance: str) -> None:
        from sklearn.linear_model import LogisticRegression
        from sklearn.preprocessing import StandardScaler

        self._balance = balance
        self._scaler = StandardScaler()
        self._regression = LogisticRegression(max_iter=_MOST_ITERATIONS, warm_start=True)

    def __call__(self, values: np.ndarray, targets: np.ndarray, strength: float) -> None:
        from sklearn.exceptions import ConvergenceWarning
        from threadpoolctl import threadpool_limits

        present, counts = np.unique(targets, return_counts=True)
        weights = None
        if self._balance != "off":  # as in training: by the inverse root of the counts, or wholly
            power = 0.5 if self._balance == "weighted_loss" else 1.0
            shares = (counts.mean() / counts) ** power
            weights = dict(zip(present.tolist(), shares.tolist(), strict=True))
        self._regression.set_params(C=strength, class_weight=weights)
        standardised = self._scaler.fit_transform(values)
        # Products of so few columns gain nothing from threads, which wait for each other on a busy machine.
        with warnings.catch_warnings(), threadpool_limits(1):
            warnings.simplefilter(
                "ignore", ConvergenceWarning
            )  # weak regularisation, rarely the best
            self._regression.fit(standardised, targets)

    def predict(self, values: np.ndarray) -> np.ndarray:
        """Return class indices ``(N,)``."""
        return self._regression.predict(self._scaler.transform(values))

    def folded(self, n_classes: int) -> tuple[np.ndarray, np.ndarray]:
        """Return weights and biases for features that are not standardised, one row a class."""
        rows, intercepts = (
            np.asarray(part, np.float64)
            for part in (self._regression.coef_, self._regression.intercept_)
        )
        present = self._regression.classes_
        if len(present) == 2:
            rows, intercepts = np.stack([0 * rows[0], rows[0]]), np.array([0.0, intercepts[0]])
        weight = np.zeros((n_classes, rows.shape[1]))
        bias = np.full(n_classes, -1e3)
        weight[present] = rows / self._scaler.scale_
        bias[present] = intercepts - weight[present] @ self._scaler.mean_
        return weight, bias
