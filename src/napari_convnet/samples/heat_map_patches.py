"""Patches with their heat maps: cut, changed together, and drawn."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from napari_convnet.samples.annotated_positions import points_inside
from napari_convnet.samples.areas import Area
from napari_convnet.samples.augmentation import Looks
from napari_convnet.samples.peaks import REACH, draw_spots

#: Draws the changes of a batch of pictures of a shape ``(N, C, Y, X)``.
LookMaker = Callable[[Sequence[int]], Looks]
Batch = tuple[Tensor, Tensor]


def cut_heat_maps(
    windows: Sequence[Area],
    size: int,
    images: Sequence[np.ndarray],
    points: Sequence[np.ndarray],
    values: Sequence[np.ndarray],
    *,
    n_classes: int,
    sigma: float,
    make_looks: LookMaker | None = None,
) -> Batch:
    """Cut windows out of images, and draw the heat maps of the points that they show.

    Points move with the pixels, and their spots are drawn afterwards, so that they are exact.

    Parameters
    ----------
    windows
        (image index, rows, columns); smaller ones are padded at their end by repeating the border.
    size
        Side of the patches in pixels.
    images, points, values
        Pixels ``(C, Y, X)``, positions ``(N, 2)`` and class values ``(N,)`` of each image.
    sigma
        Standard deviation of a spot in pixels.
    make_looks
        How the patches change; by default not at all.

    Returns
    -------
    tuple of Tensor
        Patches ``(N, C, size, size)`` and heat maps ``(N, K, size, size)``, float32; -1 in the heat maps where
        nothing is known because it comes from outside of the window.
    """
    inputs = torch.from_numpy(np.stack([_pixels(images[k], *w, size) for k, *w in windows]))
    known = torch.full((len(windows), size, size), -1)
    for number, (_, rows, columns) in enumerate(windows):
        known[number, : rows.stop - rows.start, : columns.stop - columns.start] = 0
    places, classes = _points_near(windows, size, points, values, math.ceil(REACH * sigma))
    if make_looks:
        looks = make_looks(inputs.shape)
        inputs, known = looks.pictures(inputs), looks.classes(known)
        places = looks.positions(places)
    maps = draw_spots(places, classes, n_classes, (size, size), sigma)
    return inputs, torch.where(known[:, None] < 0, -1.0, maps)


def _pixels(image: np.ndarray, rows: slice, columns: slice, size: int) -> np.ndarray:
    patch = image[:, rows, columns]
    missing = [(0, size - length) for length in patch.shape[1:]]
    return np.pad(patch, [(0, 0), *missing], mode="edge")


def _points_near(
    windows: Sequence[Area],
    size: int,
    points: Sequence[np.ndarray],
    values: Sequence[np.ndarray],
    margin: int,
) -> tuple[Tensor, Tensor]:
    """Return the points ``(N, P, 2)`` that a patch shows or whose spots reach into it, and their class values.

    Points are counted from the patch's first pixel; entries of value 0 only fill the tensor up. A patch that
    is made smaller shows places beyond its window, but these are not known anyway.
    """
    found = []
    for index, rows, columns in windows:
        origin = np.array([rows.start, columns.start])
        around = (slice(start - margin, start + size + margin) for start in origin)
        near = points_inside(points[index], *around)
        found.append((points[index][near] - origin, values[index][near]))
    most = max(len(classes) for _, classes in found)
    places = np.zeros((len(windows), most, 2), np.float32)
    kinds = np.zeros((len(windows), most), np.int64)
    for number, (near, classes) in enumerate(found):
        places[number, : len(near)], kinds[number, : len(near)] = near, classes
    return torch.from_numpy(places), torch.from_numpy(kinds)
