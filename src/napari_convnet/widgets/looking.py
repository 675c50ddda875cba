"""Moving the view of a viewer to a place, without showing more nothing than need be."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from napari.components import ViewerModel
from napari.layers import Layer

#: The zoom stays as it is if what is shown is not this many times too large or too small.
_ZOOM_TOLERANCE = 2.0


def look_at(
    viewer: ViewerModel, layer: Layer, place: Sequence[float], size: float, share: float
) -> None:
    """Show a place of a layer: its plane, and in the middle of the view unless a border is near.

    Parameters
    ----------
    layer
        Where the place is; the view never shows more than all of it.
    place
        In data coordinates, one for each axis of the layer.
    size
        Of what is there, in pixels of the layer.
    share
        Of the smaller side of the view that it shall fill, where the zoom has to change.
    """
    centre = np.asarray(layer.data_to_world(place), float)
    n_hidden = viewer.dims.ndim - viewer.dims.ndisplay
    offset = viewer.dims.ndim - len(centre)
    for axis in range(offset, n_hidden):
        viewer.dims.set_point(axis, centre[axis - offset])
    camera, canvas = viewer.scene.camera, np.asarray(viewer.canvas.size, float)
    extent = size * float(np.abs(layer.scale[-2:]).max())
    low, high = layer.extent.world[:, -2:]
    whole = min(canvas / np.maximum(high - low, 1e-9))
    wanted = max(share * min(canvas) / max(extent, 1e-9), whole)
    if not 1 / _ZOOM_TOLERANCE < camera.zoom / wanted < _ZOOM_TOLERANCE:
        camera.zoom = wanted
    if viewer.dims.ndisplay == 2:
        half = canvas / camera.zoom / 2
        inside = centre[-2:].clip(low + half, np.maximum(high - half, low + half))
        centre[-2:] = np.where(2 * half < high - low, inside, (low + high) / 2)
    camera.center = (*camera.center[: -viewer.dims.ndisplay], *centre[-viewer.dims.ndisplay :])
