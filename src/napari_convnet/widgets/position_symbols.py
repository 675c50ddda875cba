"""The symbols of positions on the screen: how large they are, where there are any, and which is under the mouse."""

from __future__ import annotations

import numpy as np
from napari.components import ViewerModel
from napari.layers import Points

#: Side of a symbol in pixels of the image.
SIZE = 12
_SMALLEST, _LARGEST = 10, 20  # on the screen, in its pixels


def row_under(
    layer: Points, plane: tuple[int, ...], place: tuple[float, float], zoom: float
) -> int | None:
    """Return the row of the nearest point of a plane whose symbol holds (row, column) on the screen.

    Parameters
    ----------
    zoom
        The camera's, in pixels of the screen by unit of the world.
    """
    rows = np.flatnonzero((np.rint(layer.data[:, :-2]) == plane).all(axis=1))
    if not len(rows):
        return None
    here = np.array([*plane, *place], float)
    ahead = here + np.eye(len(here))[-2:]
    steps = np.array([layer.data_to_world(a) for a in ahead]) - layer.data_to_world(here)
    distances = np.hypot(*((layer.data[rows, -2:] - place) @ steps[:, -2:] * zoom).T)
    nearest = distances.argmin()
    side = np.clip(SIZE * abs(layer.scale[-1]) * zoom, _SMALLEST, _LARGEST)
    return int(rows[nearest]) if distances[nearest] <= side / 2 else None


def limit_sizes(layer: Points, viewer: ViewerModel) -> None:
    """Keep symbols legible where some are in view, and show none where there are none.

    For a plane without points napari draws one of size 0 at the origin, which a lower limit would make visible.
    """
    limits = (_SMALLEST if _is_any_in_view(layer, viewer) else 0, _LARGEST)
    if layer.canvas_size_limits != limits:
        layer.canvas_size_limits = limits


def _is_any_in_view(layer: Points, viewer: ViewerModel) -> bool:
    dims = viewer.dims
    n_before = dims.ndim - layer.ndim  # axes that only other layers have
    hidden = [axis - n_before for axis in dims.not_displayed if axis >= n_before]
    if not hidden or not len(layer.data):
        return len(layer.data) > 0
    here = np.rint(np.asarray(layer.world_to_data(dims.point))[hidden])
    return bool((np.abs(layer.data[:, hidden] - here) <= 0.5).all(axis=1).any())
