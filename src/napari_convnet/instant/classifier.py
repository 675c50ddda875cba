"""A forest on the features of painted pixels: balanced over classes and strokes, the same for the same seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from napari_convnet.errors import UserError

#: Painted pixels of one class that are learned from; of more, each stroke gives a share.
PIXELS_PER_CLASS = 3000
#: Extremely randomised trees fit faster than a random forest and score higher (benchmarks/instant_preview.py).
_TREES, _DEPTH = 30, 10


@dataclass(frozen=True, eq=False)
class PaintedPixels:
    """What was painted in one part of an image.

    Parameters
    ----------
    features
        ``(N, F)`` float32.
    values
        ``(N,)`` uint8 class values from 1.
    strokes
        ``(N,)`` number of the stroke that each pixel belongs to, from 0.
    n_left_out
        How many painted pixels there are besides.
    """

    features: np.ndarray
    values: np.ndarray
    strokes: np.ndarray
    n_left_out: int = 0

    @property
    def n_bytes(self) -> int:
        """How much memory they take."""
        return self.features.nbytes + self.values.nbytes + self.strokes.nbytes

    def thinned(self, most: int) -> PaintedPixels:
        """Return at most so many pixels of each class, alike from all strokes, the same ones each time."""
        if np.bincount(self.values, minlength=1).max() <= most:
            return self
        chosen = _choose(self.values, self.strokes, np.random.default_rng(0), most)
        n_left_out = self.n_left_out + len(self.values) - len(chosen)
        arrays = (array[chosen] for array in (self.features, self.values, self.strokes))
        return PaintedPixels(*arrays, n_left_out)


def number_strokes(labels: np.ndarray) -> np.ndarray:
    """Give connected pixels of one class a number: ``(Y, X)`` int32 from 1, 0 = not painted."""
    numbers = np.zeros(labels.shape, np.int32)
    for value in np.unique(labels[labels > 0]):
        found, _ = ndimage.label(labels == value, np.ones((3, 3)))
        first = numbers.max()
        numbers[found > 0] = found[found > 0] + first
    return numbers


@dataclass(frozen=True, eq=False)
class PixelClassifier:
    """What tells the class of a pixel from its features.

    Parameters
    ----------
    values
        ``(K,)`` uint8 class values, in the order of the probabilities.
    n_pixels
        How many painted pixels there were.
    """

    values: np.ndarray
    n_pixels: int
    _trees: tuple[Any, ...]
    _leaves: tuple[np.ndarray, ...]

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        """Return ``(..., K)`` float32 probabilities of features ``(..., F)``."""
        flat = np.ascontiguousarray(features).reshape(-1, features.shape[-1])
        found = np.zeros((len(flat), len(self.values)), np.float32)
        # The forest's own method sets warnings and threads up anew for each call, which threads of ours disturb.
        for tree, leaves in zip(self._trees, self._leaves, strict=True):
            found += leaves[tree.apply(flat)]
        found /= len(self._trees)
        return found.reshape(*features.shape[:-1], len(self.values))

    def classes(self, features: np.ndarray) -> np.ndarray:
        """Return the most probable class value ``(...)`` uint8 of features ``(..., F)``."""
        return self.values[self.probabilities(features).argmax(axis=-1)]


def missing_strokes(values: Sequence[int]) -> str:
    """Say what is missing to tell classes apart, given the class values that are painted; else ""."""
    if len(set(values)) > 1:
        return ""
    what = "another class" if len(set(values)) == 1 else "two classes"
    return f"Paint a stroke of {what}: the preview needs two to tell apart."


def prepare() -> None:
    """Import scikit-learn, which takes seconds, before there is anything to learn."""
    import sklearn.ensemble  # noqa: F401


def fit_classifier(painted: Sequence[PaintedPixels], seed: int = 0) -> PixelClassifier:
    """Learn from painted pixels.

    Parameters
    ----------
    painted
        Parts of any number of images, with equally many features.
    seed
        Drives the choice of pixels and the trees.

    Raises
    ------
    UserError
        CN-622 with fewer than two classes.

    References
    ----------
    Geurts, Ernst & Wehenkel 2006, https://doi.org/10.1007/s10994-006-6226-1 (extremely randomised trees).
    """
    from sklearn.ensemble import ExtraTreesClassifier

    values = np.concatenate([part.values for part in painted] or [np.zeros(0, np.uint8)])
    missing = missing_strokes(np.unique(values).tolist())
    if missing:
        raise UserError("CN-622", missing)
    strokes, first = [], 0
    for part in painted:
        strokes.append(part.strokes + first)
        first += int(part.strokes.max(initial=-1)) + 1
    random = np.random.default_rng(seed)
    chosen = _choose(values, np.concatenate(strokes), random, PIXELS_PER_CLASS)
    ends = np.cumsum([len(part.values) for part in painted])
    shares = np.split(chosen, np.searchsorted(chosen, ends[:-1]))
    features = np.concatenate(
        [
            part.features[share - (end - len(part.values))]
            for part, share, end in zip(painted, shares, ends, strict=True)
        ]
    )
    forest = ExtraTreesClassifier(
        _TREES, max_depth=_DEPTH, class_weight="balanced", random_state=seed
    ).fit(features, values[chosen])
    trees = tuple(estimator.tree_ for estimator in forest.estimators_)
    leaves = tuple(tree.value[:, 0].astype(np.float32) for tree in trees)
    n_pixels = len(values) + sum(part.n_left_out for part in painted)
    return PixelClassifier(forest.classes_.astype(np.uint8), n_pixels, trees, leaves)


def _choose(
    values: np.ndarray, strokes: np.ndarray, random: np.random.Generator, most: int
) -> np.ndarray:
    """Return sorted indices of at most ``most`` pixels of each class, alike from all its strokes."""
    chosen = []
    for value in np.unique(values):
        members = random.permutation(np.flatnonzero(values == value))
        if len(members) > most:
            # The k-th pixels of all strokes come before the next ones, so that long strokes do not outweigh others.
            order = np.argsort(strokes[members], kind="stable")
            _, starts, counts = np.unique(
                strokes[members][order], return_index=True, return_counts=True
            )
            rank = np.arange(len(members)) - np.repeat(starts, counts)
            members = members[order][np.argsort(rank, kind="stable")][:most]
        chosen.append(members)
    return np.sort(np.concatenate(chosen))
