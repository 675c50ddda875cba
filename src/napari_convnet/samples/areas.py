"""Areas of annotated images: where training patches are cut, and what is held out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from napari_convnet.errors import UserError
from napari_convnet.samples.split import RegionCut, cut_by_region, split_by_group
from napari_convnet.seams import instance_classes

#: (image index, rows, columns).
Area = tuple[int, slice, slice]


@dataclass(frozen=True)
class Areas:
    """Areas for training and areas that are held out.

    Parameters
    ----------
    training, validation
        (image index, rows, columns) each; they never overlap.
    description
        What is held out, in plain words.
    warning
        Why the score may not mean much, or "".
    """

    training: tuple[Area, ...]
    validation: tuple[Area, ...]
    description: str
    warning: str = ""


def given_areas(targets: Sequence[np.ndarray], n_training: int) -> Areas:
    """Train on the first images and hold out the others, as the user chose."""
    kept, held = np.arange(n_training), np.arange(n_training, len(targets))
    description = f"{len(held)} images chosen by you"
    return Areas(_whole(targets, kept), _whole(targets, held), description)


def choose_areas(
    targets: Sequence[np.ndarray],
    patch_size: int,
    fraction: float,
    groups: Sequence | None,
    seed: int,
    always_train: Sequence[bool] | None = None,
    axes: Sequence[int] = (0, 1),
    stacks: Sequence | None = None,
) -> Areas:
    """Hold out whole images where there are several, else a strip of each image with a gap.

    Planes of one stack or film show the same place: they are held out together, or the same strip of all of them.

    Parameters
    ----------
    targets
        ``(Y, X)`` class indices of each image, -1 = not annotated.
    patch_size
        The gap is as wide, or an eighth of the image where that is less.
    fraction
        Share of the annotations to hold out; 0 holds out nothing.
    groups
        One name an image; images of one group stay together.
    always_train
        One value an image: nothing of these is held out.
    axes
        Across which an image may be cut: 0 between rows, 1 between columns.
    stacks
        One name an image: those of one name are planes of one stack or film, with one shape.
    """
    if stacks is not None and len(set(stacks)) < len(stacks):
        return _of_planes(targets, stacks, patch_size, fraction, groups, seed, always_train, axes)
    if always_train is not None and any(always_train):
        is_kept = np.asarray(always_train, bool)
        return _around(targets, patch_size, fraction, groups, seed, is_kept, axes)
    everything = _whole(targets, np.arange(len(targets)))
    nothing = "nothing is held out"
    if fraction <= 0:
        return Areas(everything, (), nothing, "No score can be measured.")
    held = _hold_out_images(targets, fraction, groups, seed)
    if held is not None:
        kept = np.setdiff1d(np.arange(len(targets)), held)
        description = f"{len(held)} of {len(targets)} images held out"
        return Areas(_whole(targets, kept), _whole(targets, held), description)
    training: list[Area] = []
    held_out: list[Area] = []
    for index, target in enumerate(targets):
        cut = _cut_image(target, patch_size, fraction, axes)
        if cut is None:
            training.append(everything[index])
            continue
        kept_area, held_area = cut.areas(target.shape)
        training.append((index, *kept_area))
        held_out.append((index, *held_area))
    if not held_out:
        reason = f"every class needs strokes in at least two places that lie {patch_size} px apart."
        return Areas(everything, (), nothing, f"No score can be measured: {reason}")
    strips = f"a strip of {len(held_out)} of {len(targets)} images held out"
    description = f"{strips}, with a gap to the training area"
    return Areas(tuple(training), tuple(held_out), description)


def choose_areas_of_stacks(
    targets: Sequence[np.ndarray],
    patch_size: int,
    fraction: float,
    seed: int,
    always_train: Sequence[bool] | None = None,
    n_training: int | None = None,
) -> Areas:
    """Hold out whole stacks where there are several, else a strip of each through all slices, with a gap.

    Parameters
    ----------
    targets
        ``(Z, Y, X)`` class indices of each stack, -1 = not annotated.
    patch_size, fraction, seed, always_train
        As for `choose_areas`.
    n_training
        As for `given_areas`, where the user chose what is held out.

    Returns
    -------
    Areas
        Rows and columns; each area goes through all slices.
    """
    # Slices above each other: a strip that is cut between columns has every slice on both of its sides. Rows of all
    # slices would be told apart, so only columns are cut.
    stacked = [target.reshape(-1, target.shape[-1]) for target in targets]
    if n_training is not None:
        found = given_areas(stacked, n_training)
    else:
        found = choose_areas(stacked, patch_size, fraction, None, seed, always_train, axes=(1,))
    rows = [slice(0, target.shape[1]) for target in targets]
    training, validation = (
        tuple((i, rows[i], columns) for i, _, columns in part)
        for part in (found.training, found.validation)
    )
    description = found.description.replace("images", "stacks")
    return Areas(training, validation, description, found.warning)


def _of_planes(
    targets: Sequence[np.ndarray],
    stacks: Sequence,
    patch_size: int,
    fraction: float,
    groups: Sequence | None,
    seed: int,
    always_train: Sequence[bool] | None,
    axes: Sequence[int],
) -> Areas:
    """Choose among stacks, each as one image of its planes side by side, and give what was chosen to all planes.

    Planes lie below each other where a stack is cut between columns, beside each other where between rows.
    """
    names = list(dict.fromkeys(stacks))
    members = [[i for i, name in enumerate(stacks) if name == wanted] for wanted in names]
    found = []
    for axis in axes:
        wholes = [np.concatenate([targets[i] for i in planes], 1 - axis) for planes in members]
        first = [planes[0] for planes in members]
        areas = choose_areas(
            wholes, patch_size, fraction, None if groups is None else [groups[i] for i in first], seed,
            None if always_train is None else [always_train[i] for i in first], (axis,),
        )  # fmt: skip
        sides = (
            _to_planes(part, members, targets, axis) for part in (areas.training, areas.validation)
        )
        together = " (planes of a stack or film together)" * bool(areas.validation)
        found.append(Areas(*sides, f"{areas.description}{together}", areas.warning))
    return max(found, key=lambda areas: _rate(areas, targets))


def _to_planes(
    areas: Sequence[Area],
    members: Sequence[Sequence[int]],
    targets: Sequence[np.ndarray],
    axis: int,
) -> tuple[Area, ...]:
    """Return the areas of all planes from those of whole stacks; along ``axis`` they are alike."""
    found: list[Area] = []
    for stack, *spans in areas:
        for i in members[stack]:
            window = [slice(0, side) for side in targets[i].shape]
            window[axis] = spans[axis]
            found.append((i, *window))
    return tuple(found)


def _rate(areas: Areas, targets: Sequence[np.ndarray]) -> tuple[bool, int]:
    """Return what makes one way to hold out better than another: that there is a score, and more annotations used."""
    parts = (*areas.training, *areas.validation)
    n_used = sum(int((targets[i][rows, columns] >= 0).sum()) for i, rows, columns in parts)
    return bool(areas.validation), n_used


def _around(
    targets: Sequence[np.ndarray],
    patch_size: int,
    fraction: float,
    groups: Sequence | None,
    seed: int,
    always_train: np.ndarray,
    axes: Sequence[int],
) -> Areas:
    """Choose among the images that may be held out, and train on all of the others."""
    free = np.flatnonzero(~always_train)
    chosen = _whole(targets, np.flatnonzero(always_train))
    if not len(free):
        reason = "No score can be measured: all images are set to training."
        return Areas(chosen, (), "nothing is held out", reason)
    names = None if groups is None else [groups[i] for i in free]
    inner = choose_areas([targets[i] for i in free], patch_size, fraction, names, seed, axes=axes)
    training, validation = (
        tuple((int(free[i]), rows, columns) for i, rows, columns in part)
        for part in (inner.training, inner.validation)
    )
    description = f"{inner.description}; {len(chosen)} images set to training are not"
    return Areas((*chosen, *training), validation, description, inner.warning)


def images_held_out(
    labels: Sequence[np.ndarray],
    instances: bool,
    fraction: float,
    groups: Sequence | None,
    seed: int,
) -> np.ndarray:
    """Return the indices of the images that training with the same options would hold out.

    Raises
    ------
    UserError
        CN-642 where training would hold out regions instead of whole images.
    """
    values = [instance_classes(label) if instances else label for label in labels]
    targets = [value.astype(np.int64) - 1 for value in values]
    held = _hold_out_images(targets, fraction, groups, seed) if fraction > 0 else None
    if held is None:
        raise UserError(
            "CN-642",
            f"These {len(labels)} images cannot be split by image. Leave out --validation to measure "
            "on all of them, or give a folder.",
        )
    return held


def _whole(targets: Sequence[np.ndarray], indices: np.ndarray) -> tuple[Area, ...]:
    shapes = [targets[i].shape for i in indices]
    return tuple(
        (int(i), slice(0, rows), slice(0, columns))
        for i, (rows, columns) in zip(indices, shapes, strict=True)
    )


def _hold_out_images(
    targets: Sequence[np.ndarray], fraction: float, groups: Sequence | None, seed: int
) -> np.ndarray | None:
    """Choose whole images to hold out so that training still sees every class."""
    if len(targets) < 3:
        return None
    classes = [np.unique(target[target >= 0]) for target in targets]
    # One row for each class that an image shows, so that the split balances what images show.
    image_of_row = np.repeat(np.arange(len(targets)), [len(present) for present in classes])
    rows = np.concatenate(classes)
    group_of_row = image_of_row if groups is None else np.asarray(groups)[image_of_row]
    split = split_by_group(rows, group_of_row, fraction, seed)
    return None if split is None else np.unique(image_of_row[split.validation])


def _cut_image(
    target: np.ndarray, patch_size: int, fraction: float, axes: Sequence[int]
) -> RegionCut | None:
    positions = np.argwhere(target >= 0)
    if len(positions) < 2:
        return None
    # A gap of a whole patch would use up a small image; no patch crosses into the other area anyway.
    gap = min(patch_size, min(target.shape) // 8)
    values = target[tuple(positions.T)]
    return cut_by_region(positions, values, target.shape, gap, fraction, axes)
