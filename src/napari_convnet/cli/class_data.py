"""A folder of images for each class as `train` takes it: groups, what is held out, a test set that is never seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_convnet.classes import make_classes
from napari_convnet.cli.console import follow, say
from napari_convnet.cli.inputs import SpokenClassFolder, parse_validation, read_folder
from napari_convnet.errors import UserError
from napari_convnet.evaluation import score_classification
from napari_convnet.folders import ClassFolder, group_column, group_names, read_class_folder
from napari_convnet.model_file import Model
from napari_convnet.samples import (
    ClassificationSet,
    Split,
    read_image_files,
    split_class_folder,
    split_two_folders,
)


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """What of a folder is used for what, as given on the command line."""

    validation: str = "0.2"
    groups: str | None = None
    groups_file: Path | None = None
    groups_column: str = ""
    test: Path | None = None
    test_fraction: float = 0.0
    skip_broken: bool = False
    seed: int = 0

    def groups_of(self, files: Sequence[Path]) -> tuple[str, ...] | None:
        """Return the group of each file, by the pattern or the table; None where neither is given (CN-507)."""
        if self.groups_file is not None:
            if self.groups is not None:
                raise UserError("CN-507", "Give --groups or --groups-file, not both.")
            return group_column(files, self.groups_file, self.groups_column)
        return None if self.groups is None else group_names(files, self.groups)


@dataclass(frozen=True, eq=False)
class ClassData:
    """Files with their classes and groups: what trains and is held out, and apart from it what tests."""

    folder: ClassFolder
    split: Split
    groups: tuple[str, ...] | None
    test: ClassFolder | None
    test_groups: tuple[str, ...] | None
    test_held_out: str = ""

    def subset(self, kept: np.ndarray) -> ClassData:
        """Return the same without some of the files that train or are held out."""
        groups = None if self.groups is None else tuple(self.groups[i] for i in kept)
        return replace(
            self, folder=self.folder.subset(kept), split=self.split.subset(kept), groups=groups
        )

    def described(self, notes: Sequence[str] = ()) -> dict[str, Any]:
        """Return what the data are, for a report."""
        names = self.folder.class_names
        counts = np.bincount(self.folder.targets, minlength=len(names))
        return {
            "folder": str(self.folder.root),
            "images": len(self.folder.files),
            "images_by_class": dict(zip(names, counts.tolist(), strict=True)),
            "groups": len(set(self.groups)) if self.groups else None,
            "test": len(self.test.files) if self.test else 0,
            "notes": list(notes),
        }


def list_class_data(root: Path, options: DataOptions) -> ClassData:
    """List a folder and decide what each file is for; no image is opened.

    Raises
    ------
    UserError
        CN-507, CN-63x for options and folders that do not go together.
    """
    folder, test, held = read_folder(root), None, ""
    if options.test is not None:
        if options.test_fraction:
            raise UserError("CN-507", "Give --test or --test-fraction, not both.")
        test = _spoken(read_class_folder(options.test, folder.class_names))
        folder, held = _without_test(folder, test, options)
    elif options.test_fraction:
        names = options.groups_of(folder.files)
        # Another seed than the one for what is held out, or both would be drawn alike.
        apart = split_class_folder(folder, options.test_fraction, options.seed + 1, names)
        test, held = folder.subset(apart.validation), apart.description
        folder = folder.subset(apart.training)
    fraction, held_root = parse_validation(options.validation)
    if held_root is not None:
        other = read_class_folder(held_root, folder.class_names)
        names = options.groups_of((*folder.files, *other.files))
        folder, split = split_two_folders(folder, other, str(held_root), names)
    else:
        names = options.groups_of(folder.files)
        split = split_class_folder(folder, fraction, options.seed, names)
    test_names = None if test is None else options.groups_of(test.files)
    return ClassData(folder, split, names, test, test_names, held)


def _spoken(folder: ClassFolder) -> ClassFolder:
    return SpokenClassFolder(folder.root, folder.files, folder.targets, folder.class_names)


def _without_test(
    folder: ClassFolder, test: ClassFolder, options: DataOptions
) -> tuple[ClassFolder, str]:
    """Leave out copies of test images; refuse groups that are on both sides."""
    names = options.groups_of((*folder.files, *test.files))
    _, split = split_two_folders(folder, test, str(options.test), names)
    return folder.subset(split.training), split.description


def read_class_data(
    data: ClassData, size: int, *, skip_broken: bool
) -> tuple[ClassData, ClassificationSet, list[str]]:
    """Read the images that train and are held out.

    Returns
    -------
    tuple
        The data without broken files, the training set, and what a person should know of the images.
    """
    files = follow(read_image_files(data.folder, size, skip_broken=skip_broken), "reading")
    notes = [files.note] if files.note else []
    if files.broken:
        notes.append(f"{len(files.broken)} images that cannot be read are left out")
        for path, reason in files.broken.items():
            say(f"{path}: {reason}", "yellow")
        data = data.subset(files.kept)
    return data, training_set(data, files.images, data.split, size), notes


def training_set(
    data: ClassData, images: Sequence[Any], split: Split, size: int
) -> ClassificationSet:
    """Make the training set of images that were read, with a split."""
    return ClassificationSet.from_images(
        images.__getitem__,
        data.folder.targets,
        make_classes(data.folder.class_names),
        split,
        input_size=size,
    )


def with_test_scores(model: Model, data: ClassData, device: str) -> Model:
    """Score the test set, once, and let the model's card tell it apart from validation."""
    if data.test is None:
        return model
    steps = score_classification(model, data.test, groups=data.test_groups, device=device)
    measured = follow(steps, "testing")
    report = {"measured_on": data.test_held_out, "warning": measured.warning, **measured.as_dict()}
    scores = {**model.card.scores, "test": report}
    return replace(model, card=model.card.model_copy(update={"scores": scores}))
