"""Images beside each other: cut-off bright parts, other brightness or contrast, drift, channels in another order."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from napari_convnet.data_doctor.findings import Finding, name_some
from napari_convnet.images import CleanImage, Normalisation

#: At most about so many pixels of an image are measured.
_MOST_PIXELS = 250_000
#: Share of pixels at the largest value, and how many times those just below it, that are no chance any more.
_SATURATED, _SPIKE, _JUST_BELOW = 0.005, 2.0, 0.02
#: An image that is off by so many typical contrasts, or has so many times the contrast, is unlike the others.
_SHIFTED, _STRETCHED = 1.0, 3.0
#: Images in their order drift when their brightness follows it, by at least this share of the contrast.
_FEWEST_TO_DRIFT, _FOLLOWS, _DRIFTED = 8, 0.9, 0.5
#: Channels are swapped where another order brings their levels so much nearer to those of the other images.
_FEWEST_TO_COMPARE, _FAR, _NEARER = 4, 6.0, 0.25
_MOST_CHANNELS = 5


@dataclass(frozen=True, eq=False)
class ImageFacts:
    """What is known of the values of an image.

    Parameters
    ----------
    levels
        ``(3, C)`` first percentile, median and 99th percentile of each channel.
    saturated
        Largest share, over the channels, of pixels at a cut-off largest value; 0 where nothing is cut off.
    """

    name: str
    levels: np.ndarray
    saturated: float


def measure_image(image: CleanImage) -> ImageFacts:
    """Measure an image's channels on a regular grid of its pixels; invalid ones do not count."""
    step = max(1, int(np.sqrt(np.prod(image.shape) / _MOST_PIXELS)))
    pixels = image.pixels[:, ::step, ::step]
    valid = slice(None) if image.invalid is None else ~image.invalid[::step, ::step].ravel()
    values = pixels.reshape(len(pixels), -1)[:, valid]
    if not values.size:
        return ImageFacts(image.name, np.zeros((3, len(pixels))), 0.0)
    levels = np.percentile(values, (1, 50, 99), axis=1)
    return ImageFacts(image.name, levels, max(_saturated_share(channel) for channel in values))


def _saturated_share(values: np.ndarray) -> float:
    """Return the share of values at the largest one, if it stands out from those just below."""
    lowest, largest = values.min(), values.max()
    if (
        lowest == largest or np.median(values) == largest
    ):  # a white background is no object that is cut off
        return 0.0
    at_top = float((values == largest).mean())
    below = values > largest - _JUST_BELOW * (largest - lowest)
    return at_top if at_top >= _SATURATED and at_top > _SPIKE * (below.mean() - at_top) else 0.0


def check_intensities(
    facts: Sequence[ImageFacts], normalisation: Normalisation
) -> Iterator[Finding]:
    """Look at the values of all images of a training set."""
    yield from _check_saturation(facts)
    counts = {each.levels.shape[1] for each in facts}
    if len(counts) == 1:
        swapped = _swapped(facts)
        yield from _check_channels(facts, swapped)
        yield from _check_brightness([f for f in facts if f.name not in swapped], normalisation)


def _check_saturation(facts: Sequence[ImageFacts]) -> Iterator[Finding]:
    cut = [each for each in facts if each.saturated]
    if cut:
        worst = max(cut, key=lambda each: each.saturated)
        names = tuple(each.name for each in cut)
        yield Finding(
            "saturation",
            f"Bright parts are cut off in {len(cut):,} of {len(facts):,} images ({name_some(names)}); in "
            f"'{worst.name}' {worst.saturated:.1%} of the pixels have the largest value.",
            "What differs there is lost: expose less next time, and do not measure intensities in them.",
            names,
        )


def _check_brightness(
    facts: Sequence[ImageFacts], normalisation: Normalisation
) -> Iterator[Finding]:
    if len(facts) < _FEWEST_TO_COMPARE:
        return
    levels = np.stack([each.levels for each in facts])  # (N, 3, C)
    medians, contrasts = levels[:, 1], levels[:, 2] - levels[:, 0]
    typical = np.maximum(np.median(contrasts, axis=0), np.finfo(np.float32).tiny)
    shift = np.abs(medians - np.median(medians, axis=0)) / typical
    stretch = np.abs(np.log(np.maximum(contrasts, 1e-6 * typical) / typical))
    is_unlike = ((shift > _SHIFTED) | (stretch > np.log(_STRETCHED))).any(1)
    names = tuple(facts[k].name for k in np.flatnonzero(is_unlike))
    evened = (
        "Images are normalised one by one, which evens much of this out; look whether they were taken alike."
        if normalisation.goes_by_image
        else "Images are normalised all alike here: leave these out, or take new ones with the same settings."
    )
    drift = _drift(medians / typical)
    if drift > _DRIFTED:
        yield Finding(
            "brightness",
            f"From the first image to the last one, brightness drifts by {drift:.0%} of the usual contrast.",
            f"{evened} Hold out images of all times, not only the last ones.",
        )
    elif names:
        yield Finding(
            "brightness",
            f"{len(names):,} of {len(facts):,} images ({name_some(names)}) are off by more than the usual contrast, or "
            f"have more than {_STRETCHED:.0f} times as much of it, or less than a third.",
            evened, names,
        )  # fmt: skip


def _drift(medians: np.ndarray) -> float:
    """Return how far medians ``(N, C)`` go in the order of the images, 0 where they do not follow it."""
    from scipy.stats import spearmanr

    n = len(medians)
    if n < _FEWEST_TO_DRIFT:
        return 0.0
    quarter = n // 4
    way = np.abs(np.median(medians[-quarter:], axis=0) - np.median(medians[:quarter], axis=0))
    follows = [
        abs(spearmanr(np.arange(n), channel).statistic) > _FOLLOWS if np.ptp(channel) else False
        for channel in medians.T
    ]
    return float(way[follows].max(initial=0.0))


def _check_channels(facts: Sequence[ImageFacts], swapped: dict[str, str]) -> Iterator[Finding]:
    if swapped:
        names = tuple(swapped)
        yield Finding(
            "channels",
            f"In {len(names):,} of {len(facts):,} images ({name_some(names)}) the channels seem to be in another "
            f"order: as {swapped[names[0]]} they are like the others.",
            "Reorder them in the program that wrote these files, and open them again.",
            names,
        )


def _swapped(facts: Sequence[ImageFacts]) -> dict[str, str]:
    """Return the images whose channels fit those of the others better in another order, and which order that is."""
    n_channels = facts[0].levels.shape[1] if facts else 0
    if len(facts) < _FEWEST_TO_COMPARE or not 2 <= n_channels <= _MOST_CHANNELS:
        return {}
    levels = np.stack([each.levels[1:] for each in facts])  # (N, 2, C)
    levels = levels - levels.mean(
        axis=2, keepdims=True
    )  # the balance of the channels, not the brightness
    usual = np.median(levels, axis=0)
    off = np.abs(levels - usual).mean(axis=(1, 2))
    is_far = off > _FAR * max(float(np.median(off)), 1e-6 * float(np.abs(usual).max(initial=0.0)))
    found = {}
    for k in np.flatnonzero(is_far):
        orders = list(itertools.permutations(range(n_channels)))
        distances = [np.abs(levels[k][:, order] - usual).mean() for order in orders]
        best = int(np.argmin(distances))
        if distances[best] < _NEARER * off[k]:
            found[facts[k].name] = ", ".join(str(channel + 1) for channel in orders[best])
    return found
