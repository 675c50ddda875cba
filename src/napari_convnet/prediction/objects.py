"""Objects from a class map: connected areas of each class, cut where two of them touch."""

from __future__ import annotations

import threading
from collections.abc import Generator

import numpy as np
from scipy import ndimage

from napari_convnet.progress import Progress
from napari_convnet.separation import cut_waists, fill_holes
from napari_convnet.settings import ObjectSettings


def separate_objects(
    classes: np.ndarray,
    background: int,
    settings: ObjectSettings | None = None,
    *,
    depth: np.ndarray | None = None,
    stop: threading.Event | None = None,
    block: int = 1024,
) -> Generator[Progress, None, tuple[np.ndarray, np.ndarray] | None]:
    """Turn a class map into objects, cutting touching ones by what a model has learned, or where they narrow.

    Parameters
    ----------
    classes
        ``(Y, X)`` uint8 class values.
    background
        Class value that forms no objects; 0 (not predicted) never does.
    settings
        Which areas count, and whether and how readily touching ones are cut; None: the default.
    depth
        ``(Y, X)`` uint8: how deep each pixel lies in its own object, see `Segmentation`; None where the model does
        not know.
    stop
        Ends the work, with None as the result.
    block
        Side in pixels of what is worked on at once; the result does not depend on it.

    Returns
    -------
    tuple of numpy.ndarray
        Objects ``(Y, X)`` int32, labels 1..n without gaps, class by class and in each from top to
        bottom, and their class values ``(n + 1,)`` uint8, of which the first is 0.
    """
    settings = settings or ObjectSettings()
    objects = np.zeros(classes.shape, np.int32)
    values = [np.zeros(1, np.uint8)]
    n_objects = 0
    for value in np.unique(classes):
        if value in (0, background):
            continue
        # A hole is filled to see the object's shape, but never takes another object's pixels.
        nothing = (classes == background) | (classes == 0)
        shape = classes == value
        if settings.fill_holes > 0:
            shape = fill_holes(shape, settings.fill_holes, nothing)
        if settings.touching == "off":
            parts = ndimage.label(shape)[0]
        else:
            learned = depth if settings.touching == "automatic" else None
            parts = yield from cut_waists(shape, settings.strength, stop, block, learned)
        if parts is None or (stop is not None and stop.is_set()):
            return None
        is_free = objects == 0  # a ring in a ring: both see its hole
        parts = np.where(is_free & (nothing | (classes == value)), parts, 0)
        parts, n_parts = _keep(parts, settings)
        objects += np.where(parts > 0, parts + n_objects, 0).astype(np.int32)
        n_objects += n_parts
        values.append(np.full(n_parts, value, np.uint8))
    return objects, np.concatenate(values)


def _keep(parts: np.ndarray, settings: ObjectSettings) -> tuple[np.ndarray, int]:
    """Leave out what is too small or at the border; number the rest by their first pixels, and count them."""
    sizes = np.bincount(parts.ravel(), minlength=1)
    is_kept = sizes >= settings.smallest_area
    if settings.drop_border:
        is_kept[np.concatenate([parts[0], parts[-1], parts[:, 0], parts[:, -1]])] = False
    is_kept[0] = False
    inside = np.flatnonzero(parts)
    first = np.full(len(sizes), parts.size)
    first[parts.ravel()[inside[::-1]]] = inside[::-1]  # of several, the last one written stays
    order = np.argsort(np.where(is_kept, first, parts.size), kind="stable")
    number = np.zeros(len(sizes), np.int32)
    n_kept = int(is_kept.sum())
    number[order[:n_kept]] = np.arange(1, n_kept + 1)
    return number[parts], n_kept
