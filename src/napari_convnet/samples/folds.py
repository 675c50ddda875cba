"""Folds of a cross-validation: every sample is held out exactly once, and groups are never split."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np

from napari_convnet.errors import UserError


def choose_folds(
    targets: np.ndarray, n_folds: int, seed: int, groups: Sequence | np.ndarray | None = None
) -> np.ndarray:
    """Give each sample its fold, with about the same mix of classes in each.

    Parameters
    ----------
    targets
        ``(N,)`` class indices.
    groups
        ``(N,)`` names; samples of one group are in one fold.

    Returns
    -------
    numpy.ndarray
        ``(N,)`` int64 fold numbers from 0.

    Raises
    ------
    UserError
        CN-647 for fewer than two folds, more folds than groups, or a class that some fold would have to
        learn without samples.
    """
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    what, n_units = (
        "samples of the rarest class",
        int(np.bincount(targets)[np.unique(targets)].min()),
    )
    if groups is not None:
        what, n_units = "groups", np.unique(np.asarray(groups)).size
    if not 2 <= n_folds <= n_units:
        raise UserError(
            "CN-647",
            f"{n_folds} folds cannot be made of {n_units} {what}. Choose 2 to {max(2, n_units)} folds, or add images.",
        )
    make = StratifiedKFold if groups is None else StratifiedGroupKFold
    folds = np.empty(len(targets), np.int64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # rare classes are looked at below
        parts = make(n_folds, shuffle=True, random_state=seed).split(targets, targets, groups)
        for number, (_, held) in enumerate(parts):
            folds[held] = number
    for number in range(n_folds):
        missing = np.setdiff1d(targets, targets[folds != number])
        if missing.size or not (folds == number).any():
            raise UserError(
                "CN-647",
                f"With {n_folds} folds, one of them would hold out all samples of a class or none at all: too "
                "few groups show it. Choose fewer folds or another grouping.",
            )
    return folds
