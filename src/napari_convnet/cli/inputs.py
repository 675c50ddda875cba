"""Image files as the commands read them: every pixel that is ignored is said, every label is checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_convnet.cli.console import say_ignored
from napari_convnet.errors import UserError
from napari_convnet.folders import (
    ClassFolder,
    ImagePair,
    pair_images,
    read_class_folder,
    read_image,
)
from napari_convnet.images import CleanImage, check_labels
from napari_convnet.samples import AnnotatedPixels


class SpokenClassFolder(ClassFolder):
    """A folder per class whose reading says how many pixels are ignored."""

    def read(self, index: int) -> CleanImage:
        """Read the image of a sample index."""
        return read_aloud(self.files[index])


@dataclass(frozen=True)
class CheckedPair(ImagePair):
    """An image with labels that belong to it.

    Parameters
    ----------
    n_classes
        Labels above this number are refused; 0 = any label.
    """

    n_classes: int = 0

    def read(self) -> tuple[CleanImage, np.ndarray]:
        """Read the image and its labels ``(Y, X)``, and say how many pixels are ignored.

        Raises
        ------
        UserError
            CN-61x for labels that cannot be used, CN-641 for a label above the number of classes.
        """
        image, labels = super().read()
        say_ignored(image)
        labels = check_labels(labels, image.pixels.shape[1:], self.labels.name)
        self._check_classes(labels)
        return image, labels

    def read_stack(self) -> tuple[list[CleanImage], np.ndarray]:
        """Read a stack's slices and its labels ``(Z, Y, X)``, and say how many voxels are ignored.

        Raises
        ------
        UserError
            As `napari_convnet.folders.read_stack`, CN-641 for a label above the number of classes.
        """
        planes, labels = super().read_stack()
        for plane in planes:
            say_ignored(plane)
        self._check_classes(labels)
        return planes, labels

    def _check_classes(self, labels: np.ndarray) -> None:
        if self.n_classes and labels.size and int(labels.max()) > self.n_classes:
            raise UserError(
                "CN-641",
                f"'{self.labels.name}' has label {labels.max()}, but there are {self.n_classes} "
                "classes. If labels are whole objects, add --instances.",
            )


def read_aloud(path: Path) -> CleanImage:
    """Read an image and say how many of its pixels are ignored."""
    image = read_image(path)
    say_ignored(image)
    return image


def read_folder(root: Path) -> ClassFolder:
    """List a folder per class."""
    folder = read_class_folder(root)
    return SpokenClassFolder(folder.root, folder.files, folder.targets, folder.class_names)


def list_pairs(images: Path, labels: Path, n_classes: int = 0) -> tuple[CheckedPair, ...]:
    """Pair images with label images of the same stem."""
    pairs = pair_images(images, labels)
    return tuple(CheckedPair(pair.image, pair.labels, n_classes) for pair in pairs)


def read_pairs(pairs: Sequence[CheckedPair], instances: bool) -> list[AnnotatedPixels]:
    """Read images with their labels: classes of pixels, or whole objects."""
    kind = AnnotatedPixels.of_objects if instances else AnnotatedPixels
    return [kind(*pair.read()) for pair in pairs]


def list_held_pairs(
    folder: Path, images: Path, labels: Path, n_classes: int = 0
) -> tuple[CheckedPair, ...]:
    """Pair the images of a validation folder, which has the same two folders in it as the data."""
    names = images.resolve().name, labels.resolve().name
    if names[0] == names[1]:
        raise UserError(
            "CN-507",
            f"--images and --labels are both called '{names[0]}', so '{folder}' cannot hold both. "
            "Name the folders differently, for example 'images' and 'labels'.",
        )
    return list_pairs(folder / names[0], folder / names[1], n_classes)


def parse_validation(text: str) -> tuple[float, Path | None]:
    """Read ``--validation``: a share from 0 to 0.9, or a folder (CN-507)."""
    try:
        fraction = float(text)
    except ValueError:
        if not Path(text).is_dir():
            raise UserError(
                "CN-507",
                f"--validation {text}: give a share from 0 to 0.9, or a folder that exists.",
            ) from None
        return 0.0, Path(text)
    if not 0 <= fraction <= 0.9:
        raise UserError("CN-507", f"--validation {text}: give a share from 0 to 0.9, or a folder.")
    return fraction, None


def groups_cannot_be_held_out(groups: str) -> UserError:
    """Return the message for groups of which none can be held out whole."""
    return UserError(
        "CN-637",
        f"The groups of '{groups}' cannot be held out: too few groups, or one holds most images. "
        "Choose another pattern, or give a folder to --validation.",
    )
