"""Annotated positions of images: checked, and held out by film, by image or by region."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from napari_convnet.errors import UserError
from napari_convnet.images import CleanImage
from napari_convnet.samples.areas import Area, Areas, choose_areas, given_areas
from napari_convnet.samples.films import split_films


@dataclass(frozen=True)
class AnnotatedPositions:
    """An image on which every position is marked, in the whole image or within a region of it.

    Parameters
    ----------
    image
        The image, or one plane or frame of it.
    centres
        ``(N, 2)`` rows and columns in pixels; the middle of the first pixel is (0, 0).
    values
        ``(N,)`` class values, k = k-th class; by default all are of class 1.
    region
        Rows and columns within which every position is marked; by default the whole image.
    film, time
        Frames of one film (or planes of one stack) have the same name here and a number each, so that
        neighbours are not held out from each other; "" for an image of its own.
    """

    image: CleanImage
    centres: np.ndarray
    values: np.ndarray | None = None
    region: tuple[slice, slice] | None = None
    film: str = ""
    time: int = 0

    @property
    def window(self) -> tuple[slice, slice]:
        """Rows and columns within which every position is marked."""
        rows, columns = self.image.pixels.shape[1:]
        given = self.region or (slice(None), slice(None))
        bounds = (span.indices(extent) for span, extent in zip(given, (rows, columns), strict=True))
        top, left = (slice(start, stop) for start, stop, _ in bounds)
        return top, left


def check_points(part: AnnotatedPositions, n_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the positions ``(N, 2)`` float64 and class values ``(N,)`` int64 of an image.

    Raises
    ------
    UserError
        CN-624 for a class that does not exist, CN-644 for a point outside of its image.
    """
    points = np.asarray(part.centres, np.float64).reshape(-1, 2)
    given = np.ones(len(points)) if part.values is None else part.values
    values = np.asarray(given, np.int64)
    wrong = (values < 1) | (values > n_classes)
    if wrong.any():
        first = int(values[wrong][0])
        what = "no class" if first == 0 else f"class {first}"
        raise UserError(
            "CN-624",
            f"A position in '{part.image.name}' has {what}, but there are {n_classes} classes. "
            "Give it one of them, or remove it.",
        )
    shape = np.array(part.image.pixels.shape[1:])
    outside = ~((points >= -0.5) & (points <= shape - 0.5)).all(1)  # NaN is outside, too
    if outside.any():
        y, x = points[outside][0]
        raise UserError(
            "CN-644",
            f"The position ({y:.6g}, {x:.6g}) lies outside of '{part.image.name}', which has "
            f"{shape[0]} x {shape[1]} pixels. Positions are row and column in pixels. Correct it.",
        )
    return points, values


def points_inside(points: np.ndarray, rows: slice, columns: slice) -> np.ndarray:
    """Return which points ``(N, 2)`` belong to a pixel of a window, bool ``(N,)``."""
    pixels = np.floor(points + 0.5)
    first, last = (rows.start, columns.start), (rows.stop, columns.stop)
    return ((pixels >= first) & (pixels < last)).all(1)


def split_positions(
    parts: Sequence[AnnotatedPositions],
    n_training: int,
    patch_size: int,
    fraction: float,
    groups: Sequence | None,
    seed: int,
) -> Areas:
    """Decide what is held out.

    Parameters
    ----------
    parts
        All images.
    n_training
        The images after so many were chosen to be held out; where there are none, they are chosen here.
    patch_size, fraction, groups, seed
        See `choose_areas`.

    Returns
    -------
    Areas
        Within the regions that are completely marked.
    """
    targets = [_sparse_map(part) for part in parts]
    if n_training < len(parts):
        areas = given_areas(targets, n_training)
    elif len({part.film or number for number, part in enumerate(parts)}) < len(parts):
        areas = _split_by_time(parts, targets, fraction, seed)
    else:
        areas = choose_areas(targets, patch_size, fraction, groups, seed)
    return replace(
        areas,
        training=_within_regions(areas.training, parts),
        validation=_within_regions(areas.validation, parts),
        warning=areas.warning.replace("strokes", "positions"),
    )


def _sparse_map(part: AnnotatedPositions) -> np.ndarray:
    """Return a map ``(Y, X)`` of class indices at the pixels of positions, -1 elsewhere."""
    found = np.full(part.image.pixels.shape[1:], -1, np.int16)
    pixels = np.floor(np.asarray(part.centres, np.float64).reshape(-1, 2) + 0.5).astype(int)
    pixels = np.clip(pixels, 0, np.array(found.shape) - 1)
    found[tuple(pixels.T)] = 0 if part.values is None else np.asarray(part.values) - 1
    return found


def _split_by_time(
    parts: Sequence[AnnotatedPositions], targets: Sequence[np.ndarray], fraction: float, seed: int
) -> Areas:
    names = [part.film or f"image {number}" for number, part in enumerate(parts)]
    members = [
        sorted((k for k, name in enumerate(names) if name == film), key=lambda k: parts[k].time)
        for film in dict.fromkeys(names)
    ]
    split = split_films(
        [np.array([parts[k].time for k in film]) for film in members], fraction, seed
    )
    order = np.concatenate(members)
    whole: list[Area] = [
        (int(k), slice(0, targets[k].shape[0]), slice(0, targets[k].shape[1])) for k in order
    ]
    training, validation = (
        tuple(whole[i] for i in side) for side in (split.training, split.validation)
    )
    return Areas(training, validation, split.description, split.warning)


def _within_regions(areas: Sequence[Area], parts: Sequence[AnnotatedPositions]) -> tuple[Area, ...]:
    """Cut areas down to what is completely marked."""
    found = []
    for index, *area in areas:
        cut = [
            slice(max(span.start, marked.start), min(span.stop, marked.stop))
            for span, marked in zip(area, parts[index].window, strict=True)
        ]
        if all(span.stop > span.start for span in cut):
            found.append((index, cut[0], cut[1]))
    return tuple(found)
