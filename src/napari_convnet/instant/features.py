"""Filter features of pixels at several scales, the same whether an image is looked at whole or tile by tile."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy import ndimage

from napari_convnet.images import CleanImage, Normalisation, sample_spans

#: Standard deviations in pixels of the Gaussians that the image is smoothed with.
SIGMAS = (0.7, 1.6, 3.5, 8.0, 16.0)
#: At these, the local standard deviation is a feature, too.
_TEXTURE_SIGMAS = (1.6, 3.5, 8.0)
_TRUNCATE = 3.0
#: What a tile sees of its neighbours, in pixels: the widest filter and its differences, in whole squares of 4.
HALO = 4 * -(-(int(_TRUNCATE * SIGMAS[-1] + 0.5) + 1) // 4)
#: Features of one channel.
PER_CHANNEL = 4 * len(SIGMAS) + len(SIGMAS) - 1 + len(_TEXTURE_SIGMAS)

_PERCENTILES = (1.0, 99.8)
#: The sample that an image is normalised by: blocks on a grid, which stay the same wherever the view is.
_SAMPLE_BLOCKS, _SAMPLE_SIDE = 4, 128
#: Images up to this side are sampled as a whole.
_SAMPLED_WHOLE = 1024


class ReadableImage(Protocol):
    """An image of which parts are read: `napari_convnet.images.CleanImage` or `LazyImage`."""

    @property
    def name(self) -> str:
        """What to call it in messages."""

    @property
    def n_channels(self) -> int:
        """Number of channels."""

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""

    def read(self, rows: slice, columns: slice) -> CleanImage:
        """Read a part."""

    def fit(self, normalisation: Normalisation) -> Normalisation:
        """Return the fixed numbers that a normalisation comes to for it."""


@dataclass(frozen=True, eq=False)
class Scale:
    """How the intensities of one image are brought to a scale that several images share.

    Parameters
    ----------
    low, high
        ``(C,)`` intensities that become 0 and 1.
    """

    low: np.ndarray
    high: np.ndarray

    def apply(self, pixels: np.ndarray) -> np.ndarray:
        """Normalise ``(C, Y, X)`` float32; a channel without contrast becomes zeros."""
        span = (self.high - self.low)[:, None, None]
        is_flat = span <= 1e-6 * np.abs(self.low[:, None, None]) + 1e-30
        return np.where(
            is_flat, 0, (pixels - self.low[:, None, None]) / np.where(is_flat, 1, span)
        ).astype(np.float32)


def measure_scale(image: ReadableImage) -> Scale:
    """Measure the 1st and the 99.8th percentile of each channel, in blocks of a large image."""
    spans = [
        sample_spans(size, _SAMPLE_BLOCKS, _SAMPLE_SIDE, _SAMPLED_WHOLE) for size in image.shape
    ]
    blocks = [image.read(rows, columns) for rows in spans[0] for columns in spans[1]]
    n_channels = blocks[0].n_channels
    pixels = np.concatenate([block.pixels.reshape(n_channels, -1) for block in blocks], axis=1)
    low, high = np.percentile(pixels, _PERCENTILES, axis=1)
    is_flat = low == high  # a few bright spots on nothing
    return Scale(np.where(is_flat, pixels.min(1), low), np.where(is_flat, pixels.max(1), high))


def read_features(
    image: ReadableImage, scale: Scale, rows: slice, columns: slice, step: int = 1
) -> np.ndarray:
    """Read a part of an image with what surrounds it, and compute its features.

    Parameters
    ----------
    rows, columns
        The part; it begins at multiples of ``step``.
    step
        Side of the squares of pixels that share one feature vector: features of a quarter of the pixels are
        computed four times as fast, and nearly the same.

    Returns
    -------
    numpy.ndarray
        ``(Y, X, F)`` float32.
    """
    (height, width), spans, inner = image.shape, [], []
    for part, size in ((rows, height), (columns, width)):
        start, stop = max(0, part.start - HALO), min(size, part.stop + HALO)
        spans.append(slice(start, stop))
        inner.append(slice((part.start - start) // step, -(-(part.stop - start) // step)))
    pixels = scale.apply(image.read(*spans).pixels)
    return compute_features(pixels, (inner[0], inner[1]), step)


def compute_features(
    pixels: np.ndarray, part: tuple[slice, slice] | None = None, step: int = 1
) -> np.ndarray:
    """Compute the features of every pixel, or of every square of ``step`` x ``step`` pixels.

    Of each channel and scale: smoothed intensity, gradient magnitude and the eigenvalues of the Hessian, all
    normalised for scale; the difference from the next finer scale; and at some scales the local standard deviation.

    Parameters
    ----------
    pixels
        ``(C, Y, X)`` float32, normalised.
    part
        The rows and columns (of squares) that are wanted; the rest is only looked at.

    Returns
    -------
    numpy.ndarray
        ``(Y, X, C * PER_CHANNEL)`` float32.

    References
    ----------
    Lindeberg 1998, https://doi.org/10.1023/A:1008045108935 (normalised derivatives); Berg et al. 2019,
    https://doi.org/10.1038/s41592-019-0582-9 (ilastik's filters).
    """
    height, width = (-(-size // step) for size in pixels.shape[1:])
    part = part or (slice(0, height), slice(0, width))
    shape = tuple(s.stop - s.start for s in part)
    features = np.empty((*shape, len(pixels) * PER_CHANNEL), np.float32)
    for number, channel in enumerate(pixels):
        found = _channel_features(channel, part, step)
        for k, values in enumerate(found, start=number * PER_CHANNEL):
            features[..., k] = values
    return features


def _channel_features(
    channel: np.ndarray, part: tuple[slice, slice], step: int
) -> list[np.ndarray]:
    found, finer = [], None
    squares, channel = _shrink(channel * channel, step), _shrink(channel, step)
    for scale in SIGMAS:
        # A mean over a square smooths already, with this variance.
        sigma = np.sqrt(max(scale**2 - (step**2 - 1) / 12, 0)) / step
        smooth = ndimage.gaussian_filter(channel, sigma, truncate=_TRUNCATE)
        middle = smooth[part]
        found += [middle, *_derivatives(smooth, scale / step, part)]
        if finer is not None:
            found.append(finer - middle)
        finer = middle
        if scale in _TEXTURE_SIGMAS:
            mean = ndimage.gaussian_filter(squares, sigma, truncate=_TRUNCATE)[part]
            found.append(np.sqrt(np.maximum(mean - middle * middle, 0)))
    return found


def _shrink(channel: np.ndarray, step: int) -> np.ndarray:
    """Return the means of squares of ``step`` x ``step`` pixels; the border is repeated to whole squares."""
    if step == 1:
        return np.ascontiguousarray(channel, np.float32)
    height, width = channel.shape
    padded = np.pad(channel, ((0, -height % step), (0, -width % step)), mode="edge")
    squares = padded.reshape(padded.shape[0] // step, step, padded.shape[1] // step, step)
    return squares.mean(axis=(1, 3), dtype=np.float32)


def _derivatives(
    smooth: np.ndarray, sigma: float, part: tuple[slice, slice]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return gradient magnitude and both eigenvalues of the Hessian, by differences of neighbours."""
    padded = np.pad(smooth, 1, mode="edge")

    def shifted(down: int, right: int) -> np.ndarray:
        rows, columns = part
        return padded[
            1 + rows.start + down : 1 + rows.stop + down,
            1 + columns.start + right : 1 + columns.stop + right,
        ]

    up, down, left, right = shifted(-1, 0), shifted(1, 0), shifted(0, -1), shifted(0, 1)
    middle = shifted(0, 0)
    slope = _length(down - up, right - left) * np.float32(sigma / 2)
    yy, xx = up - 2 * middle + down, left - 2 * middle + right
    yx = (shifted(1, 1) - shifted(1, -1) - shifted(-1, 1) + shifted(-1, -1)) / 4
    mean, spread = (yy + xx) / 2, _length((yy - xx) / 2, yx)
    square = np.float32(sigma * sigma)
    return slope, square * (mean + spread), square * (mean - spread)


def _length(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    return np.sqrt(y * y + x * x)
