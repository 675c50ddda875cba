"""Whether annotations and images make a training set."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from napari_convnet.classes import ClassInfo
from napari_convnet.errors import UserError
from napari_convnet.images import CleanImage


def default_channels(image: CleanImage) -> tuple[str, ...]:
    """Name the channels of an image that came without names."""
    if image.n_channels == 3:
        return ("red", "green", "blue")
    return tuple(f"channel {index + 1}" for index in range(image.n_channels))


def check_targets(targets: np.ndarray, classes: tuple[ClassInfo, ...], verb: str) -> None:
    """Refuse a training set that cannot teach a difference.

    Raises
    ------
    UserError
        CN-621 without samples, CN-622 when only one class has some.
    """
    present = np.unique(targets[targets >= 0])
    if present.size == 0:
        raise UserError(
            "CN-621", f"Nothing is annotated yet. {verb} at least 2 classes, then train."
        )
    if present.max() >= len(classes):
        raise UserError(
            "CN-624",
            f"An annotation has class {present.max() + 1}, but there are only {len(classes)} classes. "
            "Add the class or clear the annotation.",
        )
    if present.size == 1:
        name = classes[int(present[0])].name
        raise UserError(
            "CN-622",
            f"Only class '{name}' is annotated. {verb} at least one more class, then train.",
        )


#: Sides in pixels below which an image shows too little to learn from.
SMALLEST_SIDE = 16


def check_images(images: Sequence[CleanImage]) -> None:
    """Refuse images of different numbers of channels (CN-623), and when all of them are tiny (CN-628).

    Beside larger images, tiny ones are padded.
    """
    check_channels(images)
    if not images or any(min(image.pixels.shape[1:]) >= SMALLEST_SIDE for image in images):
        return
    height, width = images[0].pixels.shape[1:]
    raise UserError(
        "CN-628",
        f"'{images[0].name}' is {height} x {width} pixels, smaller than {SMALLEST_SIDE} x {SMALLEST_SIDE}: too "
        "little to learn from. Your annotations are safe. Annotate a larger image as well, then train. A trained "
        "model can be applied to an image of any size.",
    )


def check_channels(images: Sequence[CleanImage]) -> None:
    """Refuse images of different numbers of channels in one training set (CN-623)."""
    for image in images[1:]:
        if image.n_channels != images[0].n_channels:
            raise UserError(
                "CN-623",
                f"'{image.name}' has {image.n_channels} channels but '{images[0].name}' has "
                f"{images[0].n_channels}. All images of a training set need the same channels.",
            )
