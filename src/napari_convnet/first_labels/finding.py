"""Cells of a plane or volume: a threshold above the local background, then a watershed."""

from __future__ import annotations

import math

import numpy as np
from scipy import ndimage

from napari_convnet.first_labels.settings import CellSettings, Level
from napari_convnet.separation import fill_holes, number_objects

# All lengths below are in cell diameters.
_SMOOTHING = 0.03
_BACKGROUND_WINDOW = 5.0
_MARKER_SMOOTHING = 0.05
#: A peak of the distance to the border counts if it rises this much above the pass to a higher one.
_MARKER_RISE = 0.03
#: Of two peaks nearer than this, the higher one counts.
_MARKER_DISTANCE = 0.2
#: Holes smaller than a cell are filled, objects smaller than this share of a cell are left out.
_SMALLEST_SHARE = 0.15
_COARSE_DIAMETER = 10


def find_cells(pixels: np.ndarray, settings: CellSettings, level: Level) -> np.ndarray:
    """Label the cells of a plane or volume.

    Parameters
    ----------
    pixels
        ``(Y, X)`` or ``(Z, Y, X)`` with a last axis of colour if the settings have weights.

    Returns
    -------
    numpy.ndarray
        ``(Y, X)`` or ``(Z, Y, X)`` int32, 0 = no cell, 1 to n = cells.
    """
    flat = flatten(grey_pixels(pixels, settings.weights), settings)
    mask = fill_holes(flat > level.at(settings.sensitivity), math.pi / 4 * settings.diameter**2)
    labels = _separate(mask, settings)
    diameters = settings.diameters(mask.ndim)
    cell = float(np.prod(diameters)) * (math.pi / 4 if mask.ndim == 2 else math.pi / 6)
    is_kept = np.bincount(labels.ravel(), minlength=1) >= max(1.0, _SMALLEST_SHARE * cell)
    return number_objects(labels, is_kept)


def grey_pixels(pixels: np.ndarray, weights: tuple[float, ...]) -> np.ndarray:
    """Add up the channels of ``(..., C)``; without weights the pixels are grey already."""
    return pixels @ np.array(weights, np.float32) if weights else pixels


def flatten(grey: np.ndarray, settings: CellSettings) -> np.ndarray:
    """Smooth, and take away the background of each plane; cells come out as high values."""
    diameters = settings.diameters(grey.ndim)
    signed = grey if settings.are_bright else -grey
    smooth = ndimage.gaussian_filter(signed, _SMOOTHING * diameters)
    step = max(1, int(settings.diameter / 6))
    coarse = ndimage.gaussian_filter(smooth[..., ::step, ::step], [0] * (grey.ndim - 2) + [1, 1])
    window = max(3, int(_BACKGROUND_WINDOW * settings.diameter / step) | 1)
    window = [1] * (grey.ndim - 2) + [min(window, 2 * n - 1) for n in coarse.shape[-2:]]
    low = ndimage.maximum_filter(ndimage.minimum_filter(coarse, size=window), size=window)
    low = ndimage.gaussian_filter(low, [0 if n == 1 else n / 4 for n in window])
    for axis in (-2, -1):
        low = _enlarge(low, step, grey.shape[axis], axis)
    return smooth - low


def _enlarge(coarse: np.ndarray, step: int, size: int, axis: int) -> np.ndarray:
    """Interpolate between every ``step``-th value along an axis."""
    place = np.minimum(np.arange(size) / step, coarse.shape[axis] - 1)
    lower = np.floor(place).astype(int)
    upper = np.minimum(lower + 1, coarse.shape[axis] - 1)
    weight = (place - lower).astype(np.float32)
    weight = weight[:, None] if axis == -2 else weight
    return np.take(coarse, lower, axis) * (1 - weight) + np.take(coarse, upper, axis) * weight


def _separate(mask: np.ndarray, settings: CellSettings) -> np.ndarray:
    """Label a mask's objects; touching ones are cut where their outline narrows.

    References
    ----------
    Beucher & Lantuejoul 1979 (watershed of the distance to the border).
    """
    from skimage.morphology import local_maxima, reconstruction
    from skimage.segmentation import watershed

    if not mask.any():
        return np.zeros(mask.shape, np.int32)
    diameters = settings.diameters(mask.ndim)
    sampling = settings.diameter / diameters
    distance = ndimage.distance_transform_edt(mask, sampling=sampling).astype(np.float32)
    distance = ndimage.gaussian_filter(distance, _MARKER_SMOOTHING * diameters) * mask
    # Large cells have smooth outlines: their peaks are found as well, and faster, at every n-th pixel.
    step = tuple(slice(None, None, max(1, int(d / _COARSE_DIAMETER))) for d in diameters)
    coarse = np.ascontiguousarray(distance[step])
    rise = np.float32(_MARKER_RISE * settings.diameter)
    without_tops = reconstruction(np.maximum(coarse - rise, 0), coarse).astype(np.float32)
    peaks = local_maxima(without_tops) & (coarse > 0)
    near = [
        2 * max(1, round(_MARKER_DISTANCE * d / part.step)) + 1
        for d, part in zip(diameters, step, strict=True)
    ]
    is_highest = coarse == ndimage.maximum_filter(coarse, size=near)
    numbers = ndimage.label(peaks, np.ones((3,) * mask.ndim))[0]
    is_marker = np.bincount(numbers[is_highest], minlength=numbers.max() + 1) > 0
    is_marker[0] = False
    markers = np.zeros(mask.shape, np.int32)
    markers[step] = np.where(is_marker[numbers], numbers, 0)
    return watershed(-distance, markers, mask=mask)
