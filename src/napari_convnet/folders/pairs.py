"""Images paired with label images of the same name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_convnet.errors import UserError
from napari_convnet.folders.reading import list_images, read_image, read_labels
from napari_convnet.folders.stacks import read_label_stack, read_stack
from napari_convnet.images import CleanImage


@dataclass(frozen=True)
class ImagePair:
    """An image file and the label image of the same stem."""

    image: Path
    labels: Path

    def read(self) -> tuple[CleanImage, np.ndarray]:
        """Read the image and its labels ``(Y, X)``."""
        return read_image(self.image), read_labels(self.labels)

    def read_stack(self) -> tuple[list[CleanImage], np.ndarray]:
        """Read a stack's slices and its labels ``(Z, Y, X)``."""
        planes = read_stack(self.image)
        return planes, read_label_stack(self.labels, (len(planes), *planes[0].shape))


def pair_images(images: Path, labels: Path) -> tuple[ImagePair, ...]:
    """Pair images with label images of the same stem.

    Raises
    ------
    UserError
        CN-631 for a missing folder, CN-636 when an image has no labels or there are none at all.
    """
    image_files = list_images(Path(images))
    if not image_files:
        raise UserError("CN-636", f"'{images}' holds no images. Check the path.")
    label_files = match_labels(image_files, labels)
    return tuple(ImagePair(path, label_files[path]) for path in image_files)


def match_labels(images: Sequence[Path], labels: Path) -> dict[Path, Path]:
    """Return the label image of the same stem for each image.

    Raises
    ------
    UserError
        CN-631 for a missing folder, CN-636 when an image has no labels.
    """
    by_stem = {path.stem: path for path in list_images(Path(labels))}
    missing = [path.name for path in images if path.stem not in by_stem]
    if missing:
        raise UserError(
            "CN-636",
            f"{len(missing)} of {len(images)} images have no label image of the same name in '{labels}', "
            f"first '{missing[0]}'. Name both alike or move the image away.",
            details="\n".join(missing),
        )
    return {path: by_stem[path.stem] for path in images}
