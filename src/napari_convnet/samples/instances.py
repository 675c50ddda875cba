"""Whole objects as a target: classes of pixels, and for each pixel how deep it lies in its own object."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

#: Depths are kept as whole numbers up to this one, which is the deepest place of an object.
DEEPEST = 1000


def painted_objects(labels: np.ndarray, background: int) -> np.ndarray:
    """Take every connected area of one painted class for a whole object.

    Parameters
    ----------
    labels
        ``(Y, X)`` integers: 0 = not annotated, k = class k.
    background
        The class that forms no objects.

    Returns
    -------
    numpy.ndarray
        ``(Y, X)`` int32, 0 = no object, every object a value of its own.
    """
    objects = np.zeros(labels.shape, np.int32)
    n_objects = 0
    for value in np.unique(labels):
        if value in (0, background):
            continue
        found, n_found = ndimage.label(labels == value)
        objects += np.where(found > 0, found + n_objects, 0).astype(np.int32)
        n_objects += n_found
    return objects


def object_depths(instances: np.ndarray) -> np.ndarray:
    """Return how deep each pixel lies in its object: its distance to the border, as a share of the largest.

    A share, because it stays true when the picture is scaled, and for objects of all sizes.

    Parameters
    ----------
    instances
        ``(Y, X)`` integers, 0 = no object. What lies outside of the image is no border: an object that is cut off
        there is as deep as its visible part.

    Returns
    -------
    numpy.ndarray
        ``(Y, X)`` int16 from 0, outside of objects, to `DEEPEST`.
    """
    depths = np.zeros(instances.shape, np.int16)
    # Labels of files may be huge; places in this list are not.
    labels = np.unique(instances, return_inverse=True)[1].reshape(instances.shape)
    labels += 0 if (instances == 0).any() else 1
    for label, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None:
            continue
        around = tuple(slice(max(0, span.start - 1), span.stop + 1) for span in box)
        inside = labels[around] == label
        if inside.all():  # the image shows nothing else
            depths[around] = DEEPEST
            continue
        distance = ndimage.distance_transform_edt(inside)
        share = np.rint(distance * (DEEPEST / distance.max())).astype(np.int16)
        depths[around][inside] = share[inside]
    return depths
