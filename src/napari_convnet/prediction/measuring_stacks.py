"""What is measured of each object of a stack: class, voxels, place, slices, and the brightness of every channel."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from napari_convnet.images import CleanImage, LazyImage
from napari_convnet.prediction.measuring import different_names


def measure_stack_objects(
    objects: np.ndarray,
    class_names: Sequence[str],
    planes: Sequence[CleanImage | LazyImage],
    channel_names: Sequence[str],
) -> dict[str, np.ndarray]:
    """Measure the objects of a stack, one row each.

    Parameters
    ----------
    objects
        ``(Z, Y, X)`` int32 labels 1..n without gaps.
    class_names
        ``n`` names: the class of each object.
    planes
        The slices, with pixels as they were measured.
    channel_names
        One for each channel.

    Returns
    -------
    dict of numpy.ndarray
        ``label``, ``class``, ``voxels``; the centroid ``z``, ``y``, ``x`` in pixels; the first and last slice
        (``z_min``, ``z_max``); and ``mean NAME`` of each channel.
    """
    n = len(class_names)
    counts, places = np.zeros(n + 1), np.zeros((3, n + 1))
    sums = np.zeros((len(channel_names), n + 1))
    first, last = np.full(n + 1, len(objects)), np.full(n + 1, -1)
    for z, labels in enumerate(objects):
        flat = labels.ravel()
        here = np.bincount(flat, minlength=n + 1)
        counts += here
        rows, columns = np.indices(labels.shape)
        places += [
            z * here,
            np.bincount(flat, rows.ravel(), n + 1),
            np.bincount(flat, columns.ravel(), n + 1),
        ]
        is_here = here > 0
        first[is_here] = np.minimum(first[is_here], z)
        last[is_here] = z
        plane = planes[z]
        if isinstance(plane, LazyImage):
            plane = plane.read(slice(0, labels.shape[0]), slice(0, labels.shape[1]))
        for channel, pixels in enumerate(plane.pixels):
            sums[channel] += np.bincount(flat, pixels.ravel(), n + 1)
    z, y, x = places[:, 1:] / np.maximum(1, counts[1:])
    table = {
        "label": np.arange(1, n + 1), "class": np.array(class_names, object),
        "voxels": counts[1:].astype(np.int64), "z": z, "y": y, "x": x, "z_min": first[1:], "z_max": last[1:],
    }  # fmt: skip
    for name, total in zip(different_names(channel_names), sums, strict=True):
        table[f"mean {name}"] = total[1:] / np.maximum(1, counts[1:])
    return table
