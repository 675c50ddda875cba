"""A simulated person, who annotates the sample images by their truth: clicks and brush strokes."""

from __future__ import annotations

import math

import numpy as np
from scipy import ndimage

from napari_convnet.classes import ClassInfo
from napari_convnet.sample_data import Sample

BRUSH_RADIUS = 2
#: Strokes in a row that paint nothing new, after which a class is full.
_MOST_IN_VAIN = 20


def labels_of(sample: Sample) -> np.ndarray:
    """Return the objects of a sample that has some, integers ``(Y, X)``."""
    if sample.labels is None:
        raise ValueError("this sample has no labelled objects")
    return sample.labels


def choose_clicks(sample: Sample, share: float, random: np.random.Generator) -> np.ndarray:
    """Return the labels that are clicked, sorted: the same share of the objects of every class."""
    clicked: list[int] = []
    for name in sorted(set(sample.classes.values())):
        members = [label for label, its_class in sample.classes.items() if its_class == name]
        clicked += random.permutation(members)[: round(share * len(members))].tolist()
    return np.sort(clicked)


def paint_strokes(
    truth: np.ndarray, shares: dict[int, float], random: np.random.Generator
) -> np.ndarray:
    """Paint short curved brush strokes, as a hand does that does not cross borders.

    Parameters
    ----------
    truth
        ``(Y, X)`` class values.
    shares
        Share of all pixels to paint, by class value; less where a class has no more room for the brush.

    Returns
    -------
    numpy.ndarray
        ``(Y, X)`` uint8 class values, 0 = not painted. Every other stroke begins near a border,
        where it teaches most.
    """
    rows, columns = np.ogrid[-BRUSH_RADIUS : BRUSH_RADIUS + 1, -BRUSH_RADIUS : BRUSH_RADIUS + 1]
    brush = rows**2 + columns**2 <= BRUSH_RADIUS**2
    strokes = np.zeros(truth.shape, np.uint8)
    for value, share in shares.items():
        # The brush's middle stays so far inside that its rim does not cross the border.
        inside = ndimage.binary_erosion(truth == value, brush)
        near_border = ndimage.distance_transform_edt(truth == value) < 3 * BRUSH_RADIUS
        starts = [np.argwhere(inside & near_border), np.argwhere(inside)]
        in_vain = 0 if all(map(len, starts)) else _MOST_IN_VAIN
        while (painted := (strokes == value).mean()) < share and in_vain < _MOST_IN_VAIN:
            path = np.zeros(truth.shape, bool)
            path[tuple(_walk(inside, random.choice(starts[0]), random).T)] = True
            strokes[ndimage.binary_dilation(path, brush)] = value
            starts.reverse()
            in_vain = in_vain + 1 if (strokes == value).mean() == painted else 0
    return strokes


def _walk(inside: np.ndarray, start: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Return the pixels ``(N, 2)`` of a curved walk of 4 to 12 steps that ends at a border."""
    position, angle = start.astype(float), random.uniform(0, 2 * math.pi)
    path = [start]
    for _ in range(random.integers(4, 13)):
        angle += random.normal(0, 0.2)
        position += (math.sin(angle), math.cos(angle))
        pixel = np.round(position).astype(int).clip(0, np.array(inside.shape) - 1)
        if not inside[tuple(pixel)]:
            break
        path.append(pixel)
    return np.array(path)


def true_values(sample: Sample, labels: np.ndarray, classes: tuple[ClassInfo, ...]) -> np.ndarray:
    """Return the true class values of objects, k = k-th class."""
    value_of = {info.name: value for value, info in enumerate(classes, start=1)}
    return np.array([value_of[sample.classes[int(label)]] for label in labels])
