"""Seams: whole objects as classes of pixels that keep touching ones apart."""

from __future__ import annotations

import numpy as np

#: Values of the class map that `instance_classes` makes.
BACKGROUND, OBJECT = 1, 2


def instance_classes(instances: np.ndarray) -> np.ndarray:
    """Turn instance labels into classes: 1 = background, 2 = object; a seam where objects touch is background.

    Parameters
    ----------
    instances
        ``(Y, X)`` integers, 0 = background, every object a value of its own.

    Returns
    -------
    numpy.ndarray
        ``(Y, X)`` uint8. The seam is one pixel wide on either side, so that connected components give back the
        objects.
    """
    classes = np.where(instances > 0, OBJECT, BACKGROUND).astype(np.uint8)
    for axis in (0, 1):
        low, high = [slice(None)] * 2, [slice(None)] * 2
        low[axis], high[axis] = slice(None, -1), slice(1, None)
        before, after = instances[tuple(low)], instances[tuple(high)]
        touch = (before != after) & (before > 0) & (after > 0)
        classes[tuple(low)][touch] = BACKGROUND
        classes[tuple(high)][touch] = BACKGROUND
    return classes
