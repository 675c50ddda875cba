"""Objects from a class map: connected areas, cut where two of them touch."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

#: A pass lower than this share of the smaller peak is a waist between two round objects.
_ROUND_WAIST = 0.9
#: The same between elongated objects, whose midline rises and falls without any waist.
_LONG_WAIST = 0.7
#: An area that fills less than this share with its largest circle is elongated.
_ROUNDNESS = 0.4
#: Peaks that rise less than this many pixels above a pass are steps of the pixel grid.
_SMALLEST_RISE = 0.75


def separate_objects(
    classes: np.ndarray, background: int, smallest_object: int = 20
) -> tuple[np.ndarray, np.ndarray]:
    """Turn a class map into objects, cutting touching ones where they narrow.

    Parameters
    ----------
    classes
        ``(Y, X)`` uint8 class values.
    background
        Class value that forms no objects; 0 (not predicted) never does.
    smallest_object
        Objects of fewer pixels are left out.

    Returns
    -------
    tuple of numpy.ndarray
        Objects ``(Y, X)`` int32, labels 1..n without gaps, and their class values ``(n + 1,)``
        uint8, of which the first is 0.
    """
    objects = np.zeros(classes.shape, np.int32)
    values = [np.zeros(1, np.uint8)]
    n_objects = 0
    for value in np.unique(classes):
        if value in (0, background):
            continue
        parts = cut_waists(ndimage.binary_fill_holes(classes == value))
        parts[objects > 0] = 0  # a filled hole never takes another object's pixels
        sizes = np.bincount(parts.ravel())
        is_kept = sizes >= max(1, smallest_object)
        is_kept[0] = False
        numbers = np.where(is_kept, n_objects + np.cumsum(is_kept), 0).astype(np.int32)
        objects += numbers[parts]
        n_objects += int(is_kept.sum())
        values.append(np.full(int(is_kept.sum()), value, np.uint8))
    return objects, np.concatenate(values)


def cut_waists(mask: np.ndarray) -> np.ndarray:
    """Label a mask's objects, telling touching ones apart by the waist between them.

    The distance to the border has peaks inside objects; a watershed gives every peak its basin.
    Two basins belong to one object unless the pass between them lies clearly below the smaller
    peak: a little for round basins, which meet at a waist, a lot for long ones, whose width varies
    along them.

    Parameters
    ----------
    mask
        ``(Y, X)`` bool.

    Returns
    -------
    numpy.ndarray
        ``(Y, X)`` int32 labels, 0 = outside; labels may have gaps.

    References
    ----------
    Beucher & Lantuejoul 1979 (watershed of the distance); Najman & Schmitt 1996,
    https://doi.org/10.1109/34.546254 (merging basins by the height of their passes).
    """
    from skimage.segmentation import watershed

    distance = ndimage.distance_transform_edt(mask).astype(np.float32)
    distance = ndimage.gaussian_filter(distance, 1.0) * mask
    is_peak = mask & (distance == ndimage.maximum_filter(distance, 3))
    peaks, n_basins = ndimage.label(is_peak, np.ones((3, 3)))
    basins = watershed(-distance, peaks, mask=mask)
    heights = np.zeros(n_basins + 1)
    heights[peaks[is_peak]] = distance[is_peak]
    areas = np.bincount(basins.ravel(), minlength=n_basins + 1).astype(float)
    return _merge(heights, areas, *_find_passes(basins, distance))[basins]


def _find_passes(
    basins: np.ndarray, distance: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return each pair of basins that touch, and the height of the pass between, highest first."""
    found: list[np.ndarray] = []
    for low, high in (
        ((slice(None, -1), slice(None)), (slice(1, None), slice(None))),
        ((slice(None), slice(None, -1)), (slice(None), slice(1, None))),
    ):
        one, other = basins[low], basins[high]
        touch = (one != other) & (one > 0) & (other > 0)
        pair = np.sort(np.stack([one[touch], other[touch]]), axis=0)
        found.append(np.vstack([pair, np.minimum(distance[low], distance[high])[touch]]))
    first, second, height = np.concatenate(found, axis=1)
    order = np.argsort(-height, kind="stable")
    pairs = np.stack([first, second], axis=1)[order].astype(np.int64)
    _, highest = np.unique(pairs, axis=0, return_index=True)
    highest.sort()  # back from the order of the pairs to falling height
    return pairs[highest, 0], pairs[highest, 1], height[order][highest]


def _merge(
    heights: np.ndarray,
    areas: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    passes: np.ndarray,
) -> np.ndarray:
    """Return the basin that each basin belongs to after merging; changes ``areas``."""
    parent = np.arange(len(heights))

    def top_of(basin: int) -> int:
        while parent[basin] != basin:
            parent[basin] = basin = parent[parent[basin]]
        return basin

    for one, other, height in zip(first, second, passes, strict=True):
        higher, lower = top_of(one), top_of(other)
        if higher == lower:
            continue
        if heights[higher] < heights[lower]:
            higher, lower = lower, higher
        roundness = min(np.pi * heights[basin] ** 2 / areas[basin] for basin in (higher, lower))
        waist = _ROUND_WAIST if roundness > _ROUNDNESS else _LONG_WAIST
        rise = heights[lower] - height
        if height >= waist * heights[lower] or rise < _SMALLEST_RISE:
            parent[lower] = higher
            areas[higher] += areas[lower]
    return np.array([top_of(basin) for basin in range(len(parent))], np.int32)
