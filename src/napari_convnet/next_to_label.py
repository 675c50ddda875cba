"""What to annotate next: a place drawn by chance, but far from what has been annotated or looked at.

No order is kept: each answer takes in what was annotated since the last one, and costs the same for
twenty cells and for twenty thousand.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

import numpy as np

#: The farthest of so many places drawn by chance is next.
_N_DRAWN = 24
#: Cells of a class with fewer annotations keep others away less, down to this share.
_LEAST_REPULSION = 0.25


def choose_next(
    places: np.ndarray,
    values: np.ndarray,
    generator: np.random.Generator,
    *,
    images: np.ndarray | None = None,
    visited: np.ndarray | None = None,
) -> int | None:
    """Return the index of the place to annotate next, or None when every one is annotated.

    Of some unannotated places drawn by chance, it is the one farthest from annotated and visited
    ones. An image where nothing is annotated comes first; the surroundings of a rare class come
    sooner than those of a common one, as what is rare is often found together.

    Parameters
    ----------
    places
        ``(N, n)`` float, positions such as (row, column), in one unit.
    values
        ``(N,)`` int, 0 = not annotated, k = class k.
    generator
        Decides what is drawn, so that a seed repeats an order.
    images
        ``(N,)`` int, which image each place is in; by default one.
    visited
        ``(N,)`` bool, True where a person has been sent before; such places come again only when
        no others are left.

    References
    ----------
    Mitchell 1991, https://doi.org/10.1145/122718.122736 (the best of several candidates).
    """
    places, values = np.asarray(places, float), np.asarray(values)
    seen = np.zeros(len(values), bool) if visited is None else np.asarray(visited, bool)
    is_open = (values == 0) & ~seen
    if not is_open.any():
        is_open = values == 0
    if not is_open.any():
        return None
    open_places = np.flatnonzero(is_open)
    n_drawn = min(_N_DRAWN, len(open_places))
    drawn = generator.choice(open_places, n_drawn, replace=False)
    known = np.flatnonzero((values > 0) | (seen & ~is_open))
    if not known.size:
        return int(drawn[0])
    difference = places[drawn, None] - places[known]
    distance = np.sqrt((difference**2).sum(axis=2)) / _repulsion(values[known])
    if images is not None:
        images = np.asarray(images)
        distance[images[drawn, None] != images[known]] = np.inf
    return int(drawn[distance.min(axis=1).argmax()])


def _repulsion(values: np.ndarray) -> np.ndarray:
    """Return how far each known place keeps others away; 1 for the commonest class."""
    counts = np.bincount(values)
    counts[0] = 0
    if not counts.any():
        return np.ones(len(values))
    share = np.clip(counts / counts.max(), _LEAST_REPULSION, 1.0)
    share[0] = 1.0  # only visited
    return share[values]


def next_plane(
    counts: Sequence[int], plane: Sequence[int], annotated: Collection[tuple[int, ...]]
) -> tuple[int, ...] | None:
    """Return the next plane of a stack or film without annotations, after the last one the first.

    Parameters
    ----------
    counts
        Number of planes along each axis before Y and X.
    plane
        Indices of the plane to go on from, which comes last.
    annotated
        Planes to pass over.

    Returns
    -------
    tuple of int or None
        None when every plane is annotated.
    """
    n_planes = math.prod(counts)
    start = int(np.ravel_multi_index(tuple(plane), tuple(counts)))
    for step in range(1, n_planes + 1):
        found = np.unravel_index((start + step) % n_planes, tuple(counts))
        if (indices := tuple(int(i) for i in found)) not in annotated:
            return indices
    return None


def grid_places(shape: Sequence[int], size: int) -> np.ndarray:
    """Return the centres ``(N, 2)`` of the squares of about ``size`` pixels that tile an image.

    Parameters
    ----------
    shape
        (Y, X); every pixel lies in one square.
    """
    counts = [max(1, math.ceil(extent / size)) for extent in shape]
    rows, columns = (
        (np.arange(n) + 0.5) * extent / n - 0.5 for n, extent in zip(counts, shape, strict=True)
    )
    return np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1).reshape(-1, 2)


def grid_index(shape: Sequence[int], size: int, positions: np.ndarray) -> np.ndarray:
    """Return which square of `grid_places` each position ``(M, 2)`` lies in; outside, the nearest."""
    counts = np.array([max(1, math.ceil(extent / size)) for extent in shape])
    cells = np.floor((np.asarray(positions, float).reshape(-1, 2) + 0.5) / shape * counts)
    cells = np.clip(cells.astype(int), 0, counts - 1)
    return cells[:, 0] * counts[1] + cells[:, 1]
