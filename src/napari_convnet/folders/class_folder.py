"""A folder of images for each class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np

from napari_convnet.errors import UserError
from napari_convnet.folders.reading import list_images, read_image
from napari_convnet.images import CleanImage


@dataclass(frozen=True)
class ClassFolder:
    """Image files with a class each, from a folder per class.

    Parameters
    ----------
    root
        The folder that holds the class folders.
    files
        All image files, sorted.
    targets
        ``(N,)`` class index of each file.
    class_names
        Names of the class folders, sorted.
    """

    root: Path
    files: tuple[Path, ...]
    targets: np.ndarray
    class_names: tuple[str, ...]

    def read(self, index: int) -> CleanImage:
        """Read the image of a sample index."""
        return read_image(self.files[index])

    def subset(self, indices: Sequence[int] | np.ndarray) -> Self:
        """Return some of the files, in this order, with the same classes."""
        files = tuple(self.files[i] for i in indices)
        return replace(self, files=files, targets=self.targets[np.asarray(indices, np.int64)])

    def joined(self, other: ClassFolder) -> Self:
        """Return the files of both, the other's last; both have the same classes."""
        targets = np.concatenate([self.targets, other.targets])
        return replace(self, files=self.files + other.files, targets=targets)


def read_class_folder(root: Path, class_names: Sequence[str] | None = None) -> ClassFolder:
    """List a folder per class.

    Parameters
    ----------
    root
        Holds one sub-folder of images for each class; its name is the class.
    class_names
        Use these classes in this order instead of the sub-folders' own names.

    Raises
    ------
    UserError
        CN-631 no such folder, CN-632 no class folders, CN-633 a class without images or not among ``class_names``.
    """
    root = Path(root)
    if not root.is_dir():
        raise UserError("CN-631", f"There is no folder '{root}'. Check the path.")
    folders = sorted(
        path for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")
    )
    if not folders:
        raise UserError(
            "CN-632",
            f"'{root}' has no class folders. Make one folder for each class in it and put that class's images there.",
        )
    names = tuple(class_names) if class_names else tuple(folder.name for folder in folders)
    files: list[Path] = []
    targets: list[int] = []
    for folder in folders:
        images = list_images(folder)
        if folder.name not in names:
            raise UserError(
                "CN-633",
                f"'{root}' has a folder '{folder.name}', but the classes are {', '.join(names)}.",
            )
        if not images:
            raise UserError(
                "CN-633", f"The class folder '{folder}' holds no images. Add images or remove it."
            )
        files += images
        targets += [names.index(folder.name)] * len(images)
    return ClassFolder(root, tuple(files), np.array(targets, np.int64), names)
