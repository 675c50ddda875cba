"""What an image suggests: how large its cells are, whether they are bright, and where they begin."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from napari_convnet.first_labels.finding import flatten, grey_pixels
from napari_convnet.first_labels.settings import CellSettings, Colour, Level
from napari_convnet.separation import fill_holes


def suggest_settings(
    sample: Sequence[np.ndarray], colour: Colour = "automatic", are_bright: bool | None = None
) -> CellSettings:
    """Return the settings that an image suggests.

    Cells are what the plane shows many separate pieces of, and what has less room inside it; the
    mean distance of a disc's pixels to its border is a sixth of its diameter, whether or not it
    touches others.

    Parameters
    ----------
    sample
        As `sample_image` returns it.
    colour
        Which channel of a colour image to use, or the mixture with most contrast.
    are_bright
        Whether cells are bright, or None to find out.
    """
    weights = _colour_weights(sample, colour)
    greys = [grey_pixels(block, weights) for block in sample]
    bright, diameter = _measure(greys, 1.0, are_bright)
    bright, diameter = _measure(greys, max(0.7, 0.05 * diameter), are_bright)
    return CellSettings(float(np.clip(diameter, 3, 500)), bright, weights)


def measure_level(sample: Sequence[np.ndarray], settings: CellSettings) -> Level:
    """Return where cells begin in an image (Otsu's threshold above the local background).

    Parameters
    ----------
    sample
        As `sample_image` returns it.

    References
    ----------
    Otsu 1979, https://doi.org/10.1109/TSMC.1979.4310076.
    """
    flat = np.concatenate(
        [flatten(grey_pixels(block, settings.weights), settings).ravel() for block in sample]
    )
    base = float(np.percentile(flat, 5))
    # Fluorescence has a long tail of bright cells, behind which the dim ones would be lost.
    values = np.sqrt(np.maximum(flat - base, 0)) if settings.are_bright else flat
    threshold = _otsu(values)
    threshold = threshold**2 + base if settings.are_bright else threshold
    below = flat[flat <= threshold]
    return Level(float(np.median(below)) if below.size else base, float(threshold))


def _colour_weights(sample: Sequence[np.ndarray], colour: Colour) -> tuple[float, ...]:
    if sample[0].ndim == 2:
        return ()
    if colour != "automatic":
        return tuple(float(name == colour) for name in ("red", "green", "blue"))
    pixels = np.concatenate([block.reshape(-1, block.shape[-1]) for block in sample])
    covariance = np.atleast_2d(np.cov(pixels, rowvar=False))
    weights = np.linalg.eigh(covariance)[1][:, -1]
    return tuple(float(w) for w in weights * (np.sign(weights.sum()) or 1))


def _otsu(values: np.ndarray) -> float:
    from skimage.filters import threshold_otsu

    low, high = np.percentile(values, (0.1, 99.9))  # hot pixels would leave few bins for the rest
    if low == high:
        low, high = float(values.min()), float(values.max())
    return float(threshold_otsu(np.clip(values, low, high)))


def _measure(
    greys: Sequence[np.ndarray], sigma: float, are_bright: bool | None
) -> tuple[bool, float]:
    """Return whether cells are bright, and their diameter in pixels."""
    smooth = [ndimage.gaussian_filter(grey, sigma) for grey in greys]
    threshold = _otsu(np.concatenate([plane.ravel() for plane in smooth]))
    masks = [[plane > threshold for plane in smooth], [plane <= threshold for plane in smooth]]
    shares = [float(np.mean([mask.mean() for mask in side])) for side in masks]
    compact = [float(np.mean([_largest_share(mask) for mask in side])) for side in masks]
    room = [_mean_distance(side) for side in masks]
    unlike_cells = [
        share + whole + inside / (sum(room) or 1)
        for share, whole, inside in zip(shares, compact, room, strict=True)
    ]
    bright = unlike_cells[0] <= unlike_cells[1] if are_bright is None else are_bright
    side, inside = (masks[0], room[0]) if bright else (masks[1], room[1])
    largest_hole = math.pi * (6 * inside) ** 2  # rings look half as wide as the cells they are
    return bright, 6 * _mean_distance([fill_holes(mask, largest_hole) for mask in side])


def _largest_share(mask: np.ndarray) -> float:
    sizes = np.bincount(ndimage.label(mask)[0].ravel())[1:]
    return float(sizes.max() / sizes.sum()) if sizes.size else 1.0


def _mean_distance(masks: Sequence[np.ndarray]) -> float:
    """Return the mean distance to the border inside the piece that half the area lies in smaller ones of."""
    means, areas = [np.zeros(1)], [np.zeros(1)]
    for mask in masks:
        if mask.any() and not mask.all():
            pieces, n = ndimage.label(mask)
            inside = ndimage.distance_transform_edt(mask)[mask]
            area = np.bincount(pieces[mask], minlength=n + 1)[1:]
            means.append(np.bincount(pieces[mask], inside, minlength=n + 1)[1:] / area)
            areas.append(area)
    mean, area = np.concatenate(means), np.concatenate(areas)
    order = np.argsort(mean)
    below = np.cumsum(area[order])
    return float(mean[order][np.searchsorted(below, below[-1] / 2)])
