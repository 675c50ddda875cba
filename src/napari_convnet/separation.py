"""Separation: a mask's holes, its connected areas, and the cuts where touching objects narrow.

Distances and basins are found for connected areas in groups, none of which needs another: an image of any
size is separated with progress and a stop, exactly as the whole image at once would be.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from napari_convnet.progress import Progress

#: What a pass has to lie below the smaller peak to be a waist, as a share, at strength 50: between round
#: objects, and between elongated ones, whose midline rises and falls without any waist.
_ROUND_DEPTH, _LONG_DEPTH = 0.1, 0.3
#: The same between the depths that a network has learned, which fall to 0 where objects touch. From 0.15 to 0.3 the
#: AP50 of training images of bbbc039 was 0.87 to 0.88 (benchmarks/whole_objects.py).
_LEARNED_DEPTH = 0.2
#: An area that fills less than this share with its largest circle is elongated.
_ROUNDNESS = 0.4
#: Peaks that rise less than this many pixels above a pass are steps of the pixel grid, up to strength 50.
_SMALLEST_RISE = 0.75
#: Side in pixels of the blocks whose areas form a group.
_BLOCK = 1024

_Crop = tuple[slice, slice]


def fill_holes(mask: np.ndarray, largest: float, counted: np.ndarray | None = None) -> np.ndarray:
    """Fill holes of up to ``largest`` pixels in each plane of a mask.

    Parameters
    ----------
    mask
        ``(Y, X)`` or ``(Z, Y, X)`` bool.
    counted
        Like ``mask``: which pixels count for the size of a hole; None for all.
    """
    if mask.ndim == 3:
        return np.stack([fill_holes(plane, largest) for plane in mask])
    holes, n_holes = ndimage.label(~mask)
    sizes = np.bincount(
        (holes if counted is None else holes[counted]).ravel(), minlength=n_holes + 1
    )
    is_filled = sizes <= largest
    is_filled[0] = False
    is_filled[np.concatenate([holes[0], holes[-1], holes[:, 0], holes[:, -1]])] = False
    return mask | is_filled[holes]


def number_objects(labels: np.ndarray, is_kept: np.ndarray) -> np.ndarray:
    """Give the labels that are kept numbers from 1 on without gaps, in their own order, as int32.

    ``is_kept`` is one bool for each label from 0 on; 0 stays 0.
    """
    is_kept = is_kept.copy()
    is_kept[0] = False
    return np.where(is_kept, np.cumsum(is_kept), 0).astype(np.int32)[labels]


def cut_waists(
    mask: np.ndarray,
    strength: float = 50,
    stop: threading.Event | None = None,
    block: int = _BLOCK,
    depth: np.ndarray | None = None,
) -> Generator[Progress, None, np.ndarray | None]:
    """Label a mask's objects, telling touching ones apart by the waist between them.

    The distance to the border, or the depth that a network gives, has peaks inside objects; a
    watershed gives every peak its basin. Two basins belong to one object unless the pass between
    them lies clearly below the smaller peak: a little for round basins, which meet at a waist, a
    lot for long ones, whose width varies along them.

    Parameters
    ----------
    mask
        ``(Y, X)`` bool.
    strength
        0 to 100; 25 more halve the depth that makes a waist.
    stop
        Ends the work, with None as the result.
    block
        Side in pixels of what is worked on at once; the result does not depend on it.
    depth
        ``(Y, X)`` uint8: how deep each pixel lies in its own object as a network has learned it, 255 = deepest;
        None where none has.

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

    areas = ndimage.label(mask)[0]
    groups = list(_groups(areas, block))
    steps = _Steps(2 * len(groups), stop)
    distance = np.zeros(mask.shape, np.float32)
    for crop, is_here in groups:
        if (yield from steps.take()):
            return None
        part = is_here[areas[crop]]
        inside = ndimage.distance_transform_edt(part) if depth is None else depth[crop]
        distance[crop][part] = inside[part]
    distance = ndimage.gaussian_filter(distance, 1.0) * mask
    is_peak = mask & (distance == ndimage.maximum_filter(distance, 3))
    peaks, n_basins = _number_peaks(is_peak, areas)
    basins = np.zeros(mask.shape, np.int32)
    for crop, is_here in groups:
        if (yield from steps.take()):
            return None
        part = is_here[areas[crop]]
        found = watershed(-distance[crop], np.where(part, peaks[crop], 0), mask=part)
        basins[crop][part] = found[part]
    heights = np.zeros(n_basins + 1)
    heights[peaks[is_peak]] = distance[is_peak]
    sizes = np.bincount(basins.ravel(), minlength=n_basins + 1).astype(float)
    rule = _Rule.of(strength, is_learned=depth is not None)
    return _merge(heights, sizes, _find_passes(basins, distance), rule)[basins]


@dataclass(frozen=True)
class _Rule:
    """What makes a waist: how far a pass lies below the smaller peak.

    As a share between round objects and between long ones; and at least this much.
    """

    round_share: float
    long_share: float
    smallest_rise: float

    @classmethod
    def of(cls, strength: float, is_learned: bool) -> _Rule:
        factor = 4 ** ((50 - strength) / 50)
        shares = (_LEARNED_DEPTH,) * 2 if is_learned else (_ROUND_DEPTH, _LONG_DEPTH)
        rise = 0.0 if is_learned else _SMALLEST_RISE * min(1.0, factor)
        return cls(*(min(1.0, share * factor) for share in shares), rise)


class _Steps:
    """Tells progress while there are several groups, and whether to stop."""

    def __init__(self, total: int, stop: threading.Event | None) -> None:
        self._total, self._stop, self._done = total, stop, 0

    def take(self) -> Generator[Progress, None, bool]:
        if self._stop is not None and self._stop.is_set():
            return True
        if self._total > 2:
            share = 100 * self._done // self._total
            yield Progress(
                done=self._done, total=self._total, text=f"separating touching objects: {share} %"
            )
        self._done += 1
        return False


def _groups(areas: np.ndarray, block: int) -> Iterator[tuple[_Crop, np.ndarray]]:
    """Yield the box around each group of areas, one pixel wider, and which areas are in the group.

    The pixel outside an area that is nearest to one inside is a neighbour of the area and in no other one,
    so distances in the box are those in the whole image.
    """
    boxes = ndimage.find_objects(areas)
    if not boxes:
        return
    edges = np.array(
        [[rows.start, columns.start, rows.stop, columns.stop] for rows, columns in boxes]
    )
    places, group_of = np.unique(edges[:, :2] // block, axis=0, return_inverse=True)
    for group in range(len(places)):
        members = np.flatnonzero(group_of.ravel() == group)
        top, left = np.maximum(edges[members, :2].min(0) - 1, 0)
        bottom, right = edges[members, 2:].max(0) + 1
        is_here = np.zeros(len(boxes) + 1, bool)
        is_here[members + 1] = True
        yield (slice(int(top), int(bottom)), slice(int(left), int(right))), is_here


def _number_peaks(is_peak: np.ndarray, areas: np.ndarray) -> tuple[np.ndarray, int]:
    """Give peaks of one or several pixels numbers; pixels of two areas that touch at corners are two peaks."""
    plateaus, n_plateaus = ndimage.label(is_peak, np.ones((3, 3)))
    both = areas[is_peak].astype(np.int64) * (n_plateaus + 1) + plateaus[is_peak]
    unique, number = np.unique(both, return_inverse=True)
    peaks = np.zeros(is_peak.shape, np.int32)
    peaks[is_peak] = number.ravel() + 1
    return peaks, len(unique)


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
    order = np.lexsort((second, first, -height))
    pairs = np.stack([first, second], axis=1)[order].astype(np.int64)
    _, highest = np.unique(pairs, axis=0, return_index=True)
    highest.sort()  # back from the order of the pairs to falling height
    return pairs[highest, 0], pairs[highest, 1], height[order][highest]


def _merge(
    heights: np.ndarray,
    sizes: np.ndarray,
    passes: tuple[np.ndarray, np.ndarray, np.ndarray],
    rule: _Rule,
) -> np.ndarray:
    """Return the basin that each basin belongs to after merging; changes ``sizes``."""
    parent = np.arange(len(heights))

    def top_of(basin: int) -> int:
        while parent[basin] != basin:
            parent[basin] = basin = parent[parent[basin]]
        return basin

    for one, other, height in zip(*passes, strict=True):
        higher, lower = top_of(one), top_of(other)
        if higher == lower:
            continue
        if heights[higher] < heights[lower]:
            higher, lower = lower, higher
        roundness = min(np.pi * heights[basin] ** 2 / sizes[basin] for basin in (higher, lower))
        share = rule.round_share if roundness > _ROUNDNESS else rule.long_share
        rise = heights[lower] - height
        if height >= (1 - share) * heights[lower] or rise < rule.smallest_rise:
            parent[lower] = higher
            sizes[higher] += sizes[lower]
    return np.array([top_of(basin) for basin in range(len(parent))], np.int32)
