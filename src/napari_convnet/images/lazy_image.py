"""An image too large for the memory, in the core's form; a sample stands for all of it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from napari_convnet.images.cleaning import CleanImage, check_image, no_valid_pixel
from napari_convnet.images.lazy_plane import LazyPlane, UnreadableError
from napari_convnet.images.normalisation import Normalisation, thin_out
from napari_convnet.images.notes import ROUNDED, TRANSPARENCY, ImageNote, is_rounded

#: The sample of an image that stands for all of it: blocks on a grid, 16.8 megapixels at most.
_SAMPLE_BLOCKS, _SAMPLE_SIDE = 8, 512


@dataclass(frozen=True, eq=False)
class LazyImage:
    """An image in the core's form, as `CleanImage`, that is read part by part.

    Parameters
    ----------
    channels
        Plane and axes (``"YX"`` or ``"YXC"``) of each channel or group of channels, all of one height and width.

    Raises
    ------
    UserError
        CN-601, CN-602 as `clean_image`.
    """

    channels: tuple[tuple[LazyPlane, str], ...]

    def __post_init__(self) -> None:
        for plane, axes in self.channels:
            check_image(plane, axes, plane.name)

    @property
    def name(self) -> str:
        """What to call it in messages."""
        return self.channels[0][0].name

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.channels[0][0].shape[:2]

    @property
    def n_channels(self) -> int:
        """Number of channels."""
        return sum(min(3, plane.shape[2]) if axes == "YXC" else 1 for plane, axes in self.channels)

    @property
    def notes(self) -> tuple[ImageNote, ...]:
        """What a person should know about it; invalid pixels are counted where they are read."""
        found = []
        for (plane, axes), is_large in zip(self.channels, self.sample.rounded, strict=True):
            if axes == "YXC" and plane.shape[2] == 4:
                found.append(ImageNote(plane.name, TRANSPARENCY))
            if is_large:
                found.append(ImageNote(plane.name, ROUNDED))
        return tuple(found)

    def fit(self, normalisation: Normalisation) -> Normalisation:
        """Return the fixed numbers that a normalisation comes to for this image, by its sample."""
        if not normalisation.goes_by_image:
            return normalisation
        return self.sample.percentiles if normalisation.mode == "percentiles" else self.sample.scale

    def read(self, rows: slice, columns: slice) -> CleanImage:
        """Read a part; invalid pixels are replaced by the median of their channel in the sample.

        Raises
        ------
        UserError
            CN-604 (`UnreadableError`), CN-603 without a valid pixel in the sample.
        """
        pixels = np.concatenate(self._read(rows, columns))
        finite = np.isfinite(pixels)
        if finite.all():
            return CleanImage(pixels, None, self.name)
        filled = _filled(pixels, finite, self.sample.median)
        return CleanImage(filled, ~finite.all(axis=0), self.name)

    def _read(self, rows: slice, columns: slice) -> list[np.ndarray]:
        """Return ``(C, Y, X)`` float32 of each plane; what is no number there is infinite or NaN."""
        found = []
        for plane, axes in self.channels:
            pixels = plane.read(rows, columns)
            pixels = np.moveaxis(pixels, -1, 0)[:3] if axes == "YXC" else pixels[np.newaxis]
            with np.errstate(over="ignore"):
                found.append(pixels.astype(np.float32))
        return found

    @cached_property
    def sample(self) -> Sample:
        """What blocks on a grid tell of the whole image, read once.

        Raises
        ------
        UserError
            CN-603 without a valid pixel there, CN-604 when no block can be read.
        """
        sample = Sample([], [False] * len(self.channels), [])
        blocks = self._sample_blocks(sample)
        first = next(blocks, None)
        if first is None:
            raise sample.problems[0] if sample.problems else no_valid_pixel(self.name)
        sample.scale = Normalisation.fit("training_set", itertools.chain([first], blocks))
        return sample

    def _sample_blocks(self, sample: Sample) -> Iterator[np.ndarray]:
        """Yield the blocks ``(C, Y, X)``, all finite; those that cannot be read are left out."""
        blocks = list(itertools.product(*map(_spans, self.shape)))
        n_blocks = len(blocks)
        for rows, columns in blocks:
            try:
                parts = self._read(rows, columns)
            except UnreadableError as problem:
                sample.problems.append(problem)
                continue
            for number, (plane, _) in enumerate(self.channels):
                sample.rounded[number] |= is_rounded(parts[number], plane.dtype)
            pixels = np.concatenate(parts)
            finite = np.isfinite(pixels)
            if finite.all():
                values = thin_out(pixels, n_blocks).copy()
                filled = pixels
                medians = np.median(values, axis=1)  # of all of them takes far longer
            elif finite.any(axis=(1, 2)).all():
                medians = [np.median(c[valid]) for c, valid in zip(pixels, finite, strict=True)]
                filled = _filled(pixels, finite, np.array(medians))
                values = thin_out(filled, n_blocks).copy()
            else:
                continue
            sample.medians.append(np.array(medians, np.float32))
            sample.values.append(values)
            yield filled


@dataclass(eq=False)
class Sample:
    """What the sample of an image tells.

    Parameters
    ----------
    medians
        ``(C,)`` of each block.
    rounded
        For each group of channels whether float32 rounds its values.
    problems
        Of blocks that could not be read.
    scale
        Mean and standard deviation of each channel.
    values
        Evenly spread pixels ``(C, N)`` of each block.
    """

    medians: list[np.ndarray]
    rounded: list[bool]
    problems: list[UnreadableError]
    scale: Normalisation = field(default_factory=Normalisation)
    values: list[np.ndarray] = field(default_factory=list)

    @cached_property
    def percentiles(self) -> Normalisation:
        """The numbers of the mode ``"percentiles"``."""
        return Normalisation.of_percentiles(np.concatenate(self.values, axis=1))

    @property
    def median(self) -> np.ndarray:
        """About the median of each channel, ``(C,)``."""
        return np.median(self.medians, axis=0)


def _spans(size: int) -> list[slice]:
    return sample_spans(size, _SAMPLE_BLOCKS, _SAMPLE_SIDE, _SAMPLE_BLOCKS * _SAMPLE_SIDE)


def sample_spans(size: int, n_blocks: int, side: int, largest_whole: int) -> list[slice]:
    """Return where blocks that stand for an axis of an image lie, evenly spread; the same wherever one looks.

    Parameters
    ----------
    size
        Pixels along the axis.
    n_blocks, side
        How many blocks, and their pixels.
    largest_whole
        Up to this size the whole axis is one block.
    """
    if size <= largest_whole:
        return [slice(0, size)]
    starts = np.linspace(0, size - side, n_blocks).astype(int)
    return [slice(int(start), int(start) + side) for start in starts]


def _filled(pixels: np.ndarray, finite: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the pixels ``(C, Y, X)`` with a value for each channel where they are not finite."""
    return np.where(finite, pixels, values[:, None, None].astype(np.float32))
