"""Images: checked, brought into one form, and normalised.

Inside the core an image is ``(C, Y, X)`` float32, whatever came in; the conversion happens here and only once.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from napari_convnet.errors import UserError

NormalisationMode = Literal["per_image", "training_set", "unit"]


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
    """

    pixels: np.ndarray
    invalid: np.ndarray | None
    name: str

    @property
    def n_channels(self) -> int:
        """Number of channels."""
        return self.pixels.shape[0]

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
        NaN and infinite pixels are replaced by the median of their channel and marked.

    Raises
    ------
    UserError
        For a dtype that is no number (CN-601), axes that do not fit (CN-602) or an image without a finite
        pixel (CN-603).
    """
    array = np.asarray(array)
    if array.dtype.kind not in "buif":
        raise UserError(
            "CN-601",
            f"'{name}' has pixels of type {array.dtype}; only real numbers can be used. Nothing was changed.",
        )
    if axes not in ("YX", "CYX", "YXC") or array.ndim != len(axes) or array.size == 0:
        raise UserError(
            "CN-602",
            f"'{name}' has shape {array.shape}, which does not fit axes {axes}. Choose one plane of it.",
        )
    if axes == "YXC":
        array = np.moveaxis(array, -1, 0)
        array = array[:3] if array.shape[0] == 4 else array
    elif axes == "YX":
        array = array[np.newaxis]
    finite = np.isfinite(array)
    if finite.all():
        return CleanImage(_float32(array), None, name)
    if not finite.any(axis=(1, 2)).all():
        raise UserError(
            "CN-603", f"'{name}' has a channel without a single valid pixel. Choose another image."
        )
    pixels = array.astype(np.float64)
    for channel, valid in zip(pixels, finite, strict=True):
        channel[~valid] = np.median(channel[valid])
    return CleanImage(_float32(pixels), ~finite.all(axis=0), name)


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
        return CleanImage(np.repeat(image.pixels, 3, axis=0), image.invalid, image.name)
    return image


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


@dataclass(frozen=True)
class Normalisation:
    """How intensities are brought to a common scale; travels with the model.

    Parameters
    ----------
    mode
        ``"per_image"``: zero mean and unit standard deviation of each image by itself, so that exposure does not
        matter; ``"training_set"``: the training set's mean and standard deviation for all images, so that brightness
        can tell classes apart; ``"unit"``: nothing is changed.
    mean, std
        One number per channel, in intensities of the image; used by ``"training_set"`` only.
    """

    mode: NormalisationMode = "per_image"
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    @classmethod
    def fit(cls, mode: NormalisationMode, images: Iterable[np.ndarray]) -> Normalisation:
        """Measure what the mode needs on training images ``(C, Y, X)`` (never on held-out ones)."""
        if mode != "training_set":
            return cls(mode)
        moments = [
            (image.mean((1, 2), dtype=np.float64), image.var((1, 2), dtype=np.float64))
            for image in images
        ]
        means = np.array([mean for mean, _ in moments])
        mean = means.mean(axis=0)
        # Variance within images plus variance between them; squares of raw values would cancel out.
        variance = np.mean([within for _, within in moments], axis=0) + means.var(axis=0)
        std = _floor_std(np.sqrt(variance), mean)
        return cls(mode, tuple(map(float, mean)), tuple(map(float, std)))

    def apply(self, image: np.ndarray) -> np.ndarray:
        """Normalise an image ``(C, Y, X)``, float32 in and out."""
        if self.mode == "unit":
            return image
        if self.mode == "per_image":
            mean = image.mean((1, 2), dtype=np.float64)
            std = _floor_std(image.std((1, 2), dtype=np.float64), mean)
        else:
            mean, std = np.asarray(self.mean), np.asarray(self.std)
        normalised = np.empty_like(image)
        for source, target, offset, scale in zip(image, normalised, mean, std, strict=True):
            target[:] = (source.astype(np.float64) - offset) / scale  # double for one channel only
        return normalised


def _floor_std(std: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Keep a constant channel from being divided by (nearly) zero: it becomes zeros instead."""
    return np.where(std > 1e-6 * np.abs(mean) + 1e-30, std, 1.0)


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
    rows, columns = (
        # Halves always up: rounding to even would shift every second patch by a pixel.
        np.clip(np.arange(size) + math.floor(position - size / 2 + 1), 0, extent - 1)
        for position, extent in zip(centre, image.shape[-2:], strict=True)
    )
    return image[:, rows[:, None], columns[None, :]]
