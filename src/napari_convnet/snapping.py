"""Where a person meant to click: the object in a patch, its brightest spot, or the middle of a spot."""

from __future__ import annotations

from typing import Literal

import numpy as np
from scipy import ndimage

SnapRule = Literal["off", "object", "brightest"]
SNAP_RULES: tuple[SnapRule, ...] = ("off", "object", "brightest")

#: A spot's middle rests when it moves less than this many pixels, after so many steps at most.
_RESTS_WITHIN, _REFINEMENTS = 0.005, 20
_SMALLEST_DISC = 1.5


def snap(
    image: np.ndarray, centre: tuple[float, float], size: int, rule: SnapRule
) -> tuple[float, float]:
    """Move a patch's centre onto what it shows.

    Parameters
    ----------
    image
        ``(Y, X)`` or ``(Y, X, 3 or 4)``, any number type; only the patch is read.
    centre
        Row and column that were clicked.
    size
        Side of the patch in pixels.
    rule
        ``"object"``: the centroid of the object nearest to the click, bright or dark, told from the
        patch's rim by Otsu's threshold (1979, https://doi.org/10.1109/TSMC.1979.4310076);
        ``"brightest"``: the highest point of the slightly smoothed patch; ``"off"``: the click.

    Returns
    -------
    tuple of float
        Row and column; the click itself where the patch shows nothing.
    """
    starts = [max(0, round(c - size / 2)) for c in centre]
    stops = [min(n, round(c + size / 2)) for c, n in zip(centre, image.shape[:2], strict=True)]
    patch = np.asarray(image[starts[0] : stops[0], starts[1] : stops[1]], np.float32)
    grey = np.nan_to_num(patch[..., :3].mean(-1) if patch.ndim == 3 else patch)
    if rule == "off" or min(grey.shape) < 3 or np.ptp(grey) == 0:
        return centre
    if rule == "brightest":
        smooth = ndimage.gaussian_filter(grey, max(1.0, size / 32))
        found = np.unravel_index(int(smooth.argmax()), smooth.shape)
    else:
        found = _nearest_object(grey, [c - s for c, s in zip(centre, starts, strict=True)])
    return tuple(float(f + s) for f, s in zip(found, starts, strict=True))


def snap_to_spot(image: np.ndarray, place: tuple[float, float], radius: int) -> tuple[float, float]:
    """Return the middle of the brightest spot near a click, to a fraction of a pixel.

    The brightest pixel (slightly smoothed) within the radius is refined: the centroid of the
    intensities above the background in a disc is where the disc goes next, until it rests.

    Parameters
    ----------
    image
        ``(Y, X)`` or ``(Y, X, 3 or 4)``, any number type; only the surroundings are read.
    place
        Row and column that were clicked.
    radius
        In pixels: how far from the click a spot may be, and about its own radius.

    Returns
    -------
    tuple of float
        Row and column; the click itself where all is equally bright.

    References
    ----------
    Crocker & Grier 1996, https://doi.org/10.1006/jcis.1996.0217.
    """
    starts = [max(0, round(c) - 2 * radius - 1) for c in place]
    stops = [round(c) + 2 * radius + 2 for c in place]
    near = np.asarray(image[starts[0] : stops[0], starts[1] : stops[1]], np.float32)
    grey = np.nan_to_num(near[..., :3].mean(-1) if near.ndim == 3 else near)
    if grey.size == 0 or np.ptp(grey) == 0:
        return place
    rows, columns = np.indices(grey.shape)
    clicked = np.subtract(place, starts)
    reached = np.hypot(rows - clicked[0], columns - clicked[1]) <= radius + 0.5
    smooth = np.where(reached, ndimage.gaussian_filter(grey, 1.0), -np.inf)
    found = np.array(np.unravel_index(int(smooth.argmax()), smooth.shape), float)
    for _ in range(_REFINEMENTS):
        # At the image's border the disc is smaller, as half a disc would pull the centroid inwards.
        to_border = min(*(found + 0.5), *(grey.shape - found - 0.5))
        reach = min(radius + 0.5, max(_SMALLEST_DISC, to_border))
        distance = np.hypot(rows - found[0], columns - found[1])
        disc, rim = distance <= reach, (distance <= reach) & (distance > reach - 1.5)
        weights = np.where(disc, np.maximum(grey - np.median(grey[rim]), 0), 0).astype(float)
        if not weights.any():
            break
        before, found = found, np.array(ndimage.center_of_mass(weights))
        if np.abs(found - before).max() < _RESTS_WITHIN:
            break
    return tuple(float(f + s) for f, s in zip(found, starts, strict=True))


def _nearest_object(grey: np.ndarray, clicked: list[float]) -> tuple[float, float]:
    from skimage.filters import threshold_otsu

    rim = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    contrast = np.abs(ndimage.gaussian_filter(grey, 1.0) - np.median(rim))
    objects, n_objects = ndimage.label(contrast > threshold_otsu(contrast))
    if n_objects == 0:
        return tuple(clicked)
    rows, columns = np.nonzero(objects)
    distances = np.hypot(rows - clicked[0], columns - clicked[1])
    # A click inside counts as 0 for every pixel near it, so that a speck does not win over its cell.
    nearest = objects[rows, columns][distances.argmin()]
    return ndimage.center_of_mass(objects == nearest)
