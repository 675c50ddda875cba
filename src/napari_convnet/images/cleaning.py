"""Images and labels checked, and images brought into one form: ``(C, Y, X)`` float32, whatever came in."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from napari_convnet.errors import UserError
from napari_convnet.images.normalisation import Normalisation
from napari_convnet.images.notes import (
    ROUNDED,
    TRANSPARENCY,
    ImageNote,
    invalid_pixels,
    is_rounded,
    no_contrast,
)


@dataclass(frozen=True)
class CleanImage:
    """An image in the core's form.

    Parameters
    ----------
    pixels
        ``(C, Y, X)`` float32, all finite.
    invalid
        ``(Y, X)`` bool, True where a channel was NaN or infinite, or None where all were finite.
    name
        What to call it in messages.
    notes
        What a person should know about it.
    """

    pixels: np.ndarray
    invalid: np.ndarray | None
    name: str
    notes: tuple[ImageNote, ...] = ()

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.pixels.shape[1:]

    @property
    def n_channels(self) -> int:
        """Number of channels."""
        return self.pixels.shape[0]

    def fit(self, normalisation: Normalisation) -> Normalisation:
        """Return the fixed numbers that a normalisation comes to for this image."""
        if not normalisation.goes_by_image:
            return normalisation
        return Normalisation.of_image(normalisation.mode, self.pixels)

    def read(self, rows: slice, columns: slice) -> CleanImage:
        """Return a part, as a view; so parts are read of every image in the same way, lazy or not."""
        invalid = None if self.invalid is None else self.invalid[rows, columns]
        return replace(self, pixels=self.pixels[:, rows, columns], invalid=invalid)

    @property
    def n_invalid(self) -> int:
        """Number of pixels that were NaN or infinite."""
        return 0 if self.invalid is None else int(self.invalid.sum())


def clean_image(array: np.ndarray, axes: str, name: str = "image") -> CleanImage:
    """Check an image and bring it into the form ``(C, Y, X)`` float32.

    Parameters
    ----------
    array
        Any real dtype and byte order.
    axes
        One letter for each axis of ``array``: ``"YX"``, ``"CYX"`` or ``"YXC"``. The last of four channels of ``"YXC"``
        is taken for transparency and left out.
    name
        What to call it in messages.

    Returns
    -------
    CleanImage
        NaN and infinite pixels are replaced by the median of their channel and marked. Its notes tell of these, of
        transparency that was left out, of values that float32 rounds, and of an image without contrast.

    Raises
    ------
    UserError
        For a dtype that is no number (CN-601), axes that do not fit (CN-602) or an image without a finite
        pixel (CN-603).
    """
    check_image(array, axes, name)
    array = np.asarray(array)
    notes = []
    if axes == "YXC":
        array = np.moveaxis(array, -1, 0)
        if len(array) == 4:
            if array[3].min() < array[3].max():  # the same everywhere, it says nothing
                notes.append(TRANSPARENCY)
            array = array[:3]
    elif axes == "YX":
        array = array[np.newaxis]
    if is_rounded(array, array.dtype):
        notes.append(ROUNDED)
    finite = np.isfinite(array)
    if finite.all():
        pixels, invalid = _float32(array), None
    elif not finite.any(axis=(1, 2)).all():
        raise no_valid_pixel(name)
    else:
        pixels, invalid = _without_gaps(array, finite), ~finite.all(axis=0)
        notes.append(invalid_pixels(int(invalid.sum())))
    notes.append(no_contrast(pixels))
    return CleanImage(pixels, invalid, name, tuple(ImageNote(name, text) for text in notes if text))


def check_image(array: Any, axes: str, name: str) -> None:
    """Check type and shape of an image, as lazy as it is.

    Raises
    ------
    UserError
        CN-601, CN-602 as `clean_image`.
    """
    if np.dtype(array.dtype).kind not in "buif":
        raise UserError(
            "CN-601",
            f"'{name}' has pixels of type {array.dtype}; only real numbers can be used. Nothing was changed.",
        )
    if axes not in ("YX", "CYX", "YXC") or len(array.shape) != len(axes) or 0 in array.shape:
        raise UserError(
            "CN-602",
            f"'{name}' has shape {tuple(array.shape)}, which does not fit axes {axes}. Choose one plane of it.",
        )


def no_valid_pixel(name: str) -> UserError:
    """Return CN-603."""
    return UserError(
        "CN-603", f"'{name}' has a channel without a single valid pixel. Choose another image."
    )


def _without_gaps(array: np.ndarray, finite: np.ndarray) -> np.ndarray:
    pixels = array.astype(np.float64)
    for channel, valid in zip(pixels, finite, strict=True):
        channel[~valid] = np.median(channel[valid])
    return _float32(pixels)


def _float32(array: np.ndarray) -> np.ndarray:
    """Convert to float32, scaling what float32 cannot compute with (normalisation undoes any scale)."""
    if array.dtype.kind == "f":
        largest = max(-float(array.min()), float(array.max()))
        if largest > 1e30 or 0 < largest < 1e-30:
            array = array.astype(np.float64) / largest
    return np.ascontiguousarray(array, dtype=np.float32)


def repeat_grey(image: CleanImage, n_channels: int) -> CleanImage:
    """Show a grey image as red, green and blue where three channels are wanted: folders of pictures often mix both."""
    if n_channels == 3 and image.n_channels == 1:
        return replace(image, pixels=np.repeat(image.pixels, 3, axis=0))
    return image


def join_channels(images: Sequence[CleanImage]) -> CleanImage:
    """Put images of the same size together as the channels of one, which is called like the first."""
    invalid = [image.invalid for image in images if image.invalid is not None]
    return CleanImage(
        np.concatenate([image.pixels for image in images]),
        np.logical_or.reduce(invalid) if invalid else None,
        images[0].name,
        tuple(note for image in images for note in image.notes),
    )


def check_labels(labels: np.ndarray, shape: tuple[int, ...], name: str = "labels") -> np.ndarray:
    """Check that an array can hold labels of an image, and return it in native byte order.

    Parameters
    ----------
    labels
        Whole numbers, 0 = not annotated or background.
    shape
        ``(Y, X)`` of the image that they belong to.

    Raises
    ------
    UserError
        For floats (CN-611), negative values (CN-612) or another shape (CN-613).
    """
    labels = np.asarray(labels)
    if labels.dtype.kind not in "bui":
        raise UserError(
            "CN-611",
            f"'{name}' holds {labels.dtype} values; labels must be whole numbers. Convert it to integers first.",
        )
    if labels.shape != tuple(shape):
        raise UserError(
            "CN-613",
            f"'{name}' has shape {labels.shape} but the image has {tuple(shape)}. Choose labels of this image.",
        )
    if labels.dtype.kind == "i" and labels.size and labels.min() < 0:
        position = tuple(int(i) for i in np.unravel_index(int(labels.argmin()), labels.shape))
        raise UserError(
            "CN-612",
            f"'{name}' has the negative value {labels.min()} at {position}. Labels start at 0 (not annotated).",
        )
    return labels.astype(labels.dtype.newbyteorder("="), copy=False)


def cut_patch(image: np.ndarray, centre: Sequence[float], size: int) -> np.ndarray:
    """Cut a square patch around a position, repeating the image's border where it reaches outside.

    Parameters
    ----------
    image
        ``(C, Y, X)``.
    centre
        (row, column) in pixels, pixel centres at whole numbers.
    size
        Side of the patch in pixels.

    Returns
    -------
    numpy.ndarray
        ``(C, size, size)``, a copy in the image's dtype.
    """
    rows, columns = patch_pixels(image.shape[-2:], centre, size)
    return image[:, rows[:, None], columns[None, :]]


def patch_pixels(
    shape: Sequence[int], centre: Sequence[float], size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows and the columns, ``(size,)`` each, of the patch that `cut_patch` cuts of a ``shape`` (Y, X)."""
    rows, columns = (
        # Halves always up: rounding to even would shift every second patch by a pixel.
        np.clip(np.arange(size) + math.floor(position - size / 2 + 1), 0, extent - 1)
        for position, extent in zip(centre, shape, strict=True)
    )
    return rows, columns
