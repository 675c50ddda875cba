"""What is held out: a split in which nothing that training saw helps the score.

By group or image where there are several, else by region of the image with a gap of one patch, else by object with
a warning.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from napari_convnet.scores import wilson_interval

#: A split by image that would hold out a larger share than this leaves too little to learn from.
_LARGEST_SHARE = 0.4
#: A split by region whose gap would use up more annotations than this leaves is not worth it.
SMALLEST_TRAINING_SHARE = 0.55
#: With fewer held-out samples of a class than this the score is a rough guess.
_ENOUGH = 5


@dataclass(frozen=True)
class Split:
    """Indices of the samples for training and for validation, and how they were chosen.

    Parameters
    ----------
    training, validation
        Sample indices; samples in neither lie in the gap between the two.
    description
        What is held out, in plain words.
    warning
        Why the score may not mean much, or "".
    groups
        ``(N,)`` name of the group (patient, image) of every sample, or None where each stands for itself.
    group_kind
        What a group is, in the plural.
    places
        ``(N,)`` text that tells a sample from all others whatever the settings are, or None.
    """

    training: np.ndarray
    validation: np.ndarray
    description: str
    warning: str = ""
    groups: np.ndarray | None = None
    group_kind: str = "groups"
    places: np.ndarray | None = None

    def subset(self, kept: np.ndarray) -> Split:
        """Return the same split of some of the samples, by indices in ascending order."""
        number = np.full(
            1 + max(self.training.max(initial=-1), self.validation.max(initial=-1)), -1
        )
        inside = kept[kept < len(number)]
        number[inside] = np.flatnonzero(kept < len(number))
        sides = [number[side][number[side] >= 0] for side in (self.training, self.validation)]
        groups, places = (None if v is None else v[kept] for v in (self.groups, self.places))
        return replace(self, training=sides[0], validation=sides[1], groups=groups, places=places)


@dataclass(frozen=True)
class RegionCut:
    """A straight cut through an image: the strip on one side is held out.

    Parameters
    ----------
    axis
        0 cuts between rows, 1 between columns.
    is_low
        Whether the strip with the small coordinates is held out.
    edge
        First coordinate beyond the strip (low) or first coordinate of it (high).
    gap
        Width in pixels, on the training side, that is used for nothing.
    """

    axis: int
    is_low: bool
    edge: int
    gap: int

    def areas(self, shape: tuple[int, int]) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
        """Return the training area and the validation area of an image of this ``(Y, X)`` shape."""
        extent = shape[self.axis]
        if self.is_low:
            held, kept = slice(0, self.edge), slice(min(extent, self.edge + self.gap), extent)
        else:
            held, kept = slice(self.edge, extent), slice(0, max(0, self.edge - self.gap))
        whole = slice(0, shape[1 - self.axis])
        if self.axis == 0:
            return (kept, whole), (held, whole)
        return (whole, kept), (whole, held)

    def sides(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return which positions ``(N, 2)`` train and which validate, both bool ``(N,)``."""
        along = positions[:, self.axis]
        if self.is_low:
            return along >= self.edge + self.gap, along < self.edge
        return along < self.edge - self.gap, along >= self.edge


def cut_by_region(
    positions: np.ndarray,
    targets: np.ndarray,
    shape: tuple[int, int],
    gap: int,
    fraction: float,
    axes: Sequence[int] = (0, 1),
) -> RegionCut | None:
    """Find the cut that keeps every class on both sides and wastes the fewest annotations in the gap.

    Parameters
    ----------
    positions
        ``(N, 2)`` rows and columns in pixels.
    targets
        ``(N,)`` class indices.
    shape
        ``(Y, X)`` of the image.
    gap
        Pixels between the two areas.
    fraction
        Share of the annotations to hold out.
    axes
        Across which it may be cut.

    Returns
    -------
    RegionCut or None
        None where no cut leaves at least two classes to validate and every class to train on.
    """
    classes = np.unique(targets)
    best, best_rating = None, (0, 0.0)
    for axis in axes:
        for share in np.unique(np.clip(np.array([0.75, 1.0, 1.35, 1.7]) * fraction, 0.05, 0.5)):
            for is_low in (True, False):
                edge = round(float(np.quantile(positions[:, axis], share if is_low else 1 - share)))
                cut = RegionCut(axis, is_low, int(np.clip(edge, 1, shape[axis] - 1)), gap)
                training, validation = cut.sides(positions)
                if np.unique(targets[training]).size < classes.size:
                    continue
                n_validated = np.unique(targets[validation]).size
                off = abs(validation.mean() - fraction)
                rating = (n_validated, float((training | validation).mean() - off))
                if n_validated >= min(2, classes.size) and rating > best_rating:
                    best, best_rating = cut, rating
    return best


def split_by_group(
    targets: np.ndarray, groups: Sequence, fraction: float, seed: int
) -> Split | None:
    """Hold out whole groups (images, patients, plate wells) with about the same mix of classes.

    Returns None where that would hold out too much or leave a class without training samples.
    """
    groups = np.asarray(groups)
    n_groups = np.unique(groups).size
    if n_groups < 2 or not 0 < fraction < 1:
        return None
    classes = np.unique(targets)
    best, best_rating = None, (0, -1.0)
    for training, validation in _folds(targets, groups, fraction, seed):
        share = len(validation) / len(targets)
        misses_a_class = np.unique(targets[training]).size < classes.size
        if misses_a_class or share > _LARGEST_SHARE or not len(validation):
            continue
        rating = (np.unique(targets[validation]).size, -abs(share - fraction))
        if rating > best_rating:
            best, best_rating = (training, validation), rating
    if best is None:
        return None
    training, validation = best
    n_held = np.unique(groups[validation]).size
    samples = f"{len(validation)} of {len(targets)} samples"
    description = f"{n_held} of {n_groups} groups held out ({samples})"
    warning = too_small(targets, validation, n_held)
    return Split(training, validation, description, warning, groups)


def _folds(
    targets: np.ndarray, groups: np.ndarray, fraction: float, seed: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the (training, validation) indices of each fold of a split by group."""
    from sklearn.model_selection import StratifiedGroupKFold

    n_splits = int(np.clip(round(1 / fraction), 2, np.unique(groups).size))
    folds = StratifiedGroupKFold(n_splits, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # A class with fewer members than folds: such folds are rated by the caller.
        warnings.simplefilter("ignore", UserWarning)
        try:
            return list(folds.split(np.zeros(len(targets)), targets, groups))
        except ValueError:  # every class has fewer members than folds
            return []


def split_by_sample(targets: np.ndarray, fraction: float, seed: int, warning: str = "") -> Split:
    """Hold out the same share of every class at random (MATLAB's ``splitEachLabel``); a lone sample trains."""
    random = np.random.default_rng(seed)
    held: list[np.ndarray] = []
    for target in np.unique(targets):
        members = random.permutation(np.flatnonzero(targets == target))
        n_held = 0 if fraction <= 0 or len(members) < 2 else max(1, round(len(members) * fraction))
        held.append(members[: min(n_held, len(members) - 1)])
    validation = np.sort(np.concatenate(held))
    training = np.setdiff1d(np.arange(len(targets)), validation)
    description = f"{len(validation)} of {len(targets)} samples held out at random, class by class"
    small = too_small(targets, validation)
    return Split(
        training, validation, description, warning if warning and len(validation) else small
    )


def split_given(targets: np.ndarray, is_validation: np.ndarray, what: str) -> Split:
    """Use a split that the user made."""
    validation = np.flatnonzero(is_validation)
    description = f"{len(validation)} of {len(targets)} samples held out: {what}"
    return Split(
        np.flatnonzero(~is_validation), validation, description, too_small(targets, validation)
    )


def too_small(targets: np.ndarray, validation: np.ndarray, n_groups: int = 0) -> str:
    """Warn where the held-out part is too small to mean anything, with what chance alone can do.

    ``n_groups`` is how many groups are held out, 0 where samples stand for themselves.
    """
    counts = [int((targets[validation] == target).sum()) for target in np.unique(targets)]
    n = len(validation)
    if not n:
        return "Nothing is held out, so no score can be measured. Annotate more."
    if min(counts) >= _ENOUGH and (n_groups > 1 or not n_groups):
        return ""
    if n_groups == 1 and min(counts) >= _ENOUGH:
        return "Only one group is held out: another one may score quite differently."
    low, high = wilson_interval(round(0.9 * n), n)
    width = f"of {n} held-out samples, 90 % right could be {100 * low:.0f} to {100 * high:.0f} % in truth"
    if min(counts) == 0:
        return f"No sample of one class is held out: the score is a rough guess ({width})."
    return (
        f"Only {min(counts)} held-out samples of one class: the score is a rough guess ({width})."
    )


def image_names(names: Sequence[str]) -> np.ndarray:
    """Return names ``(N,)`` that differ: a second image of a name gets a number."""
    seen: dict[str, int] = {}
    found = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        found.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return np.array(found)
