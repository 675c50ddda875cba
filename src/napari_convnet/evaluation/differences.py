"""Where the answers of two models differ: counted, coded as a map, and told in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from napari_convnet.classes import PALETTE
from napari_convnet.errors import UserError
from napari_convnet.model_file import ModelCard
from napari_convnet.scores import Scores

#: Values of a map of differences: what a model has not looked at, and what both say the same of.
NOT_COMPARED, THE_SAME = 0, 1
#: Differences of further kinds share one value and one colour: nobody reads a legend of twenty.
_MOST_KINDS = 7
#: Orange for what only the first says, blue for what only the second says, then the rest of Okabe and Ito's
#: colours, which people with any colour vision tell apart (`napari_convnet.classes.PALETTE`).
_COLOURS = (PALETTE[1], PALETTE[0], *PALETTE[2:_MOST_KINDS])
_COLOUR_OF_OTHERS = PALETTE[_MOST_KINDS]
#: Pixels of a map that are looked at together.
_BLOCK = 4_000_000


@dataclass(frozen=True, eq=False)
class SharedClasses:
    """Classes of two models that belong together by their names.

    Parameters
    ----------
    names
        Those of the first model, then those that only the second one knows; class value k is the k-th.
    first, second
        ``(n + 1,)`` uint16: class value here of each class value of a model; 0 stays 0.
    background
        Value of the class that means "nothing here" to both, 0 without one.
    """

    names: tuple[str, ...]
    first: np.ndarray
    second: np.ndarray
    background: int

    @property
    def only_first(self) -> tuple[str, ...]:
        """Classes that the second model does not know."""
        return tuple(self.names[value - 1] for value in self.first[1:] if value not in self.second)

    @property
    def only_second(self) -> tuple[str, ...]:
        """Classes that the first model does not know."""
        return tuple(self.names[value - 1] for value in self.second[1:] if value not in self.first)

    @property
    def common(self) -> tuple[str, ...]:
        """Classes that both know, in the order of the first."""
        return tuple(self.names[value - 1] for value in self.first[1:] if value in self.second)


def match_classes(first: ModelCard, second: ModelCard) -> SharedClasses:
    """Match the classes of two models by name.

    Raises
    ------
    UserError
        CN-671 when the models do different things, or locate; CN-672 when no class has the same name in both.
    """
    if first.task != second.task or first.task == "locate":
        raise UserError(
            "CN-671",
            f"Model A ('{first.name}') was trained to {first.task} and model B ('{second.name}') to {second.task}. "
            "Nothing was changed. Two models that segment, or two that classify, can be compared.",
        )
    names = [entry.name for entry in first.classes]
    theirs = [entry.name for entry in second.classes]
    if not set(names) & set(theirs):
        raise UserError(
            "CN-672",
            f"No class has the same name in both models: A knows {_listed(names)}, B knows {_listed(theirs)}. Nothing "
            "was changed. Choose another model, or give its classes the same names and train it again.",
        )
    names += [name for name in theirs if name not in names]
    to_shared = [np.array([0, *(names.index(name) + 1 for name in known)], np.uint16)
                 for known in ([entry.name for entry in first.classes], theirs)]  # fmt: skip
    grounds = [
        int(lookup[card.background_value])
        for lookup, card in zip(to_shared, (first, second), strict=True)
    ]
    return SharedClasses(
        tuple(names), *to_shared, background=grounds[0] if grounds[0] == grounds[1] else 0
    )


def _listed(names: list[str]) -> str:
    text = ", ".join(names)
    return text if len(text) <= 60 else f"{text[:59]}…"


@dataclass(frozen=True)
class Difference:
    """One way in which two answers differ.

    Parameters
    ----------
    value
        In the map of differences.
    words, colour
        What it means, for a legend, and how it is shown, ``#rrggbb``.
    n, share
        How many pixels or cells, of those that both models looked at.
    """

    value: int
    words: str
    colour: str
    n: int
    share: float


@dataclass(frozen=True, eq=False)
class Comparison:
    """What two models say of the same pixels or cells.

    Parameters
    ----------
    unit
        ``"pixels"`` or ``"cells"``.
    classes
        Names of the classes.
    counts
        ``(K, K)`` int64, rows = class that the first model says, columns = the second one.
    differences
        Kinds of differences by their value; those that do not occur have ``n`` 0.
    map
        uint8 of the shape of the answers: 0 = not looked at by both, 1 = the same, else a difference's value.
    """

    unit: Literal["pixels", "cells"]
    classes: SharedClasses
    counts: np.ndarray
    differences: tuple[Difference, ...]
    map: np.ndarray

    @property
    def n(self) -> int:
        """How many pixels or cells both models looked at."""
        return int(self.counts.sum())

    @property
    def n_different(self) -> int:
        """How many of them differ."""
        return self.n - int(np.trace(self.counts))

    @property
    def share_different(self) -> float:
        """Share of them that differ; 0 where nothing was looked at."""
        return self.n_different / self.n if self.n else 0.0

    @property
    def iou(self) -> dict[str, float]:
        """Per class, intersection over union of the two answers; NaN where neither says it."""
        return dict(zip(self.classes.names, map(float, Scores(self.counts).iou), strict=True))


def compare_answers(
    first: np.ndarray,
    second: np.ndarray,
    classes: SharedClasses,
    unit: Literal["pixels", "cells"] = "pixels",
) -> Comparison:
    """Compare two models' class values.

    Parameters
    ----------
    first, second
        Arrays of one shape, each with class values of its own model; 0 = not looked at.
    classes
        As `match_classes` returns them.
    unit
        What an element is.
    """
    if first.shape != second.shape:
        raise ValueError(f"answers of shapes {first.shape} and {second.shape}")
    side = len(classes.names) + 1
    pairs = np.zeros(side * side, np.int64)
    ones, others = first.reshape(-1), second.reshape(-1)
    for part in _blocks(first.size):
        pairs += np.bincount(_pairs(ones[part], others[part], classes), minlength=side * side)
    counts = pairs.reshape(side, side)[1:, 1:].copy()
    found, codes = _kinds(classes, counts)
    coded = np.empty(first.size, np.uint8)
    for part in _blocks(first.size):
        coded[part] = codes[_pairs(ones[part], others[part], classes)]
    return Comparison(unit, classes, counts, found, coded.reshape(first.shape))


def _blocks(size: int) -> list[slice]:
    return [slice(start, start + _BLOCK) for start in range(0, size, _BLOCK)]


def _pairs(first: np.ndarray, second: np.ndarray, classes: SharedClasses) -> np.ndarray:
    """Return the number of the pair of classes of every element, ``first * (K + 1) + second``."""
    side = len(classes.names) + 1
    return classes.first[first].astype(np.int64) * side + classes.second[second]


def _kinds(classes: SharedClasses, counts: np.ndarray) -> tuple[tuple[Difference, ...], np.ndarray]:
    """Return the kinds of differences, and the value in the map of each pair of classes.

    Where there are few kinds, each has its colour in every image; else the most frequent ones have.
    """
    n_classes, n = len(classes.names), max(1, int(counts.sum()))
    pairs = [(a, b) for a in range(n_classes) for b in range(n_classes) if a != b]
    chosen = sorted(pairs, key=lambda pair: -counts[pair])[:_MOST_KINDS]
    chosen.sort(key=lambda pair: (_kind(*pair, classes), pair))
    codes = np.full((n_classes + 1, n_classes + 1), THE_SAME, np.uint8)
    codes[1:, 1:][~np.eye(n_classes, dtype=bool)] = THE_SAME + 1 + len(chosen)
    codes[0], codes[:, 0] = NOT_COMPARED, NOT_COMPARED
    found = []
    for value, (pair, colour) in enumerate(zip(chosen, _COLOURS, strict=False), THE_SAME + 1):
        codes[pair[0] + 1, pair[1] + 1] = value
        number = int(counts[pair])
        found.append(Difference(value, _words(*pair, classes), colour, number, number / n))
    if len(pairs) > len(chosen):
        rest = sum(int(counts[pair]) for pair in set(pairs) - set(chosen))
        value = THE_SAME + 1 + len(chosen)
        found.append(Difference(value, "other differences", _COLOUR_OF_OTHERS, rest, rest / n))
    return tuple(found), codes.reshape(-1)


def _kind(first: int, second: int, classes: SharedClasses) -> int:
    """Return 0 where only the first model sees something, 1 where only the second does, else 2."""
    ground = classes.background - 1
    return 0 if second == ground else 1 if first == ground else 2


def _words(first: int, second: int, classes: SharedClasses) -> str:
    kind, names = _kind(first, second, classes), classes.names
    if kind < 2:
        return f"only {'AB'[kind]}: {names[(first, second)[kind]]}"
    return f"A: {names[first]}, B: {names[second]}"
