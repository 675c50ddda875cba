"""Splits of image files: whole groups, and never a copy of a training image among the held-out ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from napari_convnet.errors import UserError
from napari_convnet.folders import ClassFolder, content_numbers, shown_name
from napari_convnet.samples.split import (
    Split,
    split_by_group,
    split_by_sample,
    split_given,
    too_small,
)


@dataclass(frozen=True)
class Copies:
    """Which files are copies of each other, byte by byte.

    Parameters
    ----------
    numbers
        ``(N,)`` a number for each content.
    note
        How many copies there are, in plain words, or "".
    """

    numbers: np.ndarray
    note: str

    @classmethod
    def of(cls, folder: ClassFolder) -> Copies:
        """Compare the files of a folder."""
        numbers = content_numbers(folder.files)
        counts = np.bincount(numbers) if len(numbers) else np.zeros(0, np.int64)
        n_copies = int((counts - 1).clip(0).sum())
        if not n_copies:
            return cls(numbers, "")
        note = f"{n_copies} files are exact copies of others"
        classes = np.unique(np.stack([numbers, folder.targets]), axis=1)[0]
        n_torn = int((np.bincount(classes) > 1).sum())
        if n_torn:
            first = int(np.flatnonzero(np.bincount(classes) > 1)[0])
            name = shown_name(folder.files[int(np.flatnonzero(numbers == first)[0])].name)
            note += f"; {n_torn} images lie in several classes (such as '{name}'), so one of them is wrong"
        return cls(numbers, note)


def split_class_folder(
    folder: ClassFolder,
    fraction: float,
    seed: int,
    groups: Sequence[str] | None = None,
    *,
    pattern: str = "",
) -> Split:
    """Hold out a share of a folder: whole groups, or without them the same share of every class.

    Files with the same content are always on the same side.

    Parameters
    ----------
    groups
        ``(N,)`` name of each file's group.
    pattern
        What made the groups, for messages.

    Raises
    ------
    UserError
        CN-637 if no groups can be held out.
    """
    copies = Copies.of(folder)
    if fraction <= 0 or groups is None:
        split = split_by_sample(folder.targets, fraction, seed)
        return _keep_copies_together(folder.targets, split, copies)
    joined = join_groups(groups, copies.numbers)
    found = split_by_group(folder.targets, joined, fraction, seed)
    if found is None:
        raise UserError(
            "CN-637",
            f"The {len(set(groups))} groups{f' of {pattern!r}' if pattern else ''} cannot be held out: too few "
            "groups, or one holds most images. Choose other groups, or give a folder to --validation.",
        )
    if not copies.note:
        return found
    kept = f"{found.description}; {copies.note}, kept on one side"
    return replace(found, description=kept)


def _keep_copies_together(targets: np.ndarray, split: Split, copies: Copies) -> Split:
    """Move held-out copies of training images to the training side."""
    is_copy = np.isin(copies.numbers[split.validation], copies.numbers[split.training])
    if not copies.note:
        return split
    held = split.validation[~is_copy]
    description = (
        f"{len(held)} of {len(targets)} samples held out at random, class by class; {copies.note}"
    )
    if is_copy.any():
        description += (
            f"; {is_copy.sum()} copies of training images train, too, instead of being held out"
        )
    training = np.sort(np.concatenate([split.training, split.validation[is_copy]]))
    return replace(
        split, training=training, validation=held,
        description=description, warning=too_small(targets, held),
    )  # fmt: skip


def split_two_folders(
    folder: ClassFolder, held: ClassFolder, what: str, groups: Sequence[str] | None = None
) -> tuple[ClassFolder, Split]:
    """Train on one folder and hold out another; training images that are copies of held-out ones are left out.

    Parameters
    ----------
    groups
        ``(N,)`` name of the group of each file of both folders, the held-out ones last.

    Returns
    -------
    tuple
        Both folders as one, and the split of it.
    """
    both = folder.joined(held)
    is_held = np.arange(len(both.files)) >= len(folder.files)
    copies = Copies.of(both)
    split = split_given(both.targets, is_held, what)
    is_copy = np.isin(copies.numbers[split.training], copies.numbers[split.validation])
    n_held_groups = 0
    if groups is not None:
        names = np.asarray(groups)
        split = replace(split, groups=names)
        n_held_groups = len(set(names[is_held]))
        shared = sorted(set(names[is_held]) & set(names[~is_held]))
        if shared:
            raise UserError(
                "CN-637",
                f"{len(shared)} groups are in both folders, first '{shared[0]}': the score would flatter. Move each "
                "group to one side, or leave the groups out.",
            )
    if is_copy.any():
        said = f"{split.description}; {is_copy.sum()} training images that are copies of held-out ones are left out"
        split = replace(split, training=split.training[~is_copy], description=said)
    warning = too_small(both.targets, split.validation, n_held_groups)
    return both, replace(split, warning=warning)


def join_groups(groups: Sequence[str] | np.ndarray, contents: np.ndarray) -> np.ndarray:
    """Make one group of groups that share a file.

    Returns
    -------
    numpy.ndarray
        ``(N,)`` names; a joined group has those of all its parts.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    names, index = np.unique(np.asarray(groups), return_inverse=True)
    if len(np.unique(contents)) == len(contents):
        return names[index]
    # Groups and contents are the nodes, files the edges.
    n_nodes = len(names) + int(contents.max()) + 1
    edges = (np.ones(len(index)), (index, len(names) + contents))
    _, component = connected_components(coo_array(edges, shape=(n_nodes, n_nodes)), directed=False)
    joined = {
        number: " = ".join(names[component[: len(names)] == number])
        for number in np.unique(component[: len(names)])
    }
    return np.array([joined[component[i]] for i in index])
