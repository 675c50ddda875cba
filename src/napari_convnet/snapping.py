"""Where a person meant to click: the object in the middle of a patch, or its brightest spot."""

from __future__ import annotations

from typing import Literal

import numpy as np
from scipy import ndimage

SnapRule = Literal["off", "object", "brightest"]
SNAP_RULES: tuple[SnapRule, ...] = ("off", "object", "brightest")


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
