"""The mask of a prediction that is going on: a layer that appears with the first tile and fills tile by tile.

It shows the arrays that the worker writes to, at several sizes, so that napari reads no more of them than is in view.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer
from qtpy.QtCore import QObject, QTimer

from napari_convnet.classes import ClassInfo
from napari_convnet.progress import Progress
from napari_convnet.widgets.layers import (
    add_below_strokes,
    class_layer_data,
    find_layer,
    layer_id,
)
from napari_convnet.widgets.placement import placement_of
from napari_convnet.widgets.plane_in_stack import in_stack
from napari_convnet.widgets.source import looked_at

#: The layer is drawn again at most once in this time.
_REDRAW_MILLISECONDS = 400
_KINDS = ("predicted-mask", "predicted-objects")


class GrowingMask(QObject):
    """Shows the mask of one running prediction over its image; the results of an earlier one are hidden meanwhile.

    Parameters
    ----------
    viewer, image
        Where the prediction belongs.
    plane
        Indices along the axes before Y and X; ignored for the mask of a whole stack.
    classes
        Names and colours.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        image: Image,
        plane: tuple[int, ...],
        classes: Sequence[ClassInfo],
    ) -> None:
        super().__init__()
        self._viewer, self._image, self._plane, self._classes = viewer, image, plane, classes
        self._levels: Sequence[Any] = ()
        self._layer: Labels | None = None
        self._hidden: list[Layer] = []
        self._redraw = QTimer(self)
        self._redraw.setSingleShot(True)
        self._redraw.setInterval(_REDRAW_MILLISECONDS)
        self._redraw.timeout.connect(self._draw)

    def take(self, events: Sequence[Progress]) -> None:
        """Take what a job told: where the mask is, and that there is more of it."""
        before = self._levels
        for event in events:
            self._levels = getattr(event, "levels", self._levels)
        if self._levels is not before and self._is_shown:  # its file has another name now
            self._layer.data = self._shown_data()
        event = events[-1]
        if not len(self._levels) or not 0 < event.done < event.total:
            return
        if self._layer is None and self._image in self._viewer.layers:
            self._add()
        elif self._layer is not None and not self._redraw.isActive():
            self._redraw.start()

    def remove(self) -> None:
        """Take the layer away and show what was hidden."""
        self._redraw.stop()
        if self._is_shown:
            self._layer.locked = False
            self._viewer.layers.remove(self._layer)
        self._layer, self._levels = None, ()
        for layer in self._hidden:
            layer.visible = True
        self._hidden = []

    @property
    def _is_shown(self) -> bool:
        return self._layer is not None and self._layer in self._viewer.layers

    def _draw(self) -> None:
        if self._is_shown:
            self._layer.refresh(extent=False, thumbnail=False)

    def _add(self) -> None:
        source = layer_id(self._image)
        found = [find_layer(self._viewer, kind, source) for kind in _KINDS]
        self._hidden = [layer for layer in found if layer is not None and layer.visible]
        for layer in self._hidden:
            layer.visible = False
        shown, origin = self._shown_data(), np.zeros(self._image.ndim, int)
        is_multiscale = isinstance(shown, list)
        if self._levels[0].ndim < self._image.ndim:
            origin[: len(self._plane)] = self._plane
        _, arguments, _ = class_layer_data(
            shown[0] if is_multiscale else shown, self._classes, placement_of(self._image).moved(origin),
            name=f"{self._image.name} mask so far", kind="growing-mask", source=source,
        )  # fmt: skip
        self._layer = add_below_strokes(
            self._viewer, source,
            lambda: self._viewer.add_labels(shown, multiscale=is_multiscale, cache=False, **arguments),
        )  # fmt: skip

    def _shown_data(self) -> Any:
        """Return the levels as a layer takes them: with an image's axes, in a list if there are several."""
        levels = list(self._levels)
        if levels[0].ndim < self._image.ndim:
            levels = list(in_stack(levels, len(self._plane)))
        return levels if len(levels) > 1 else levels[0]


def view_centre(viewer: ViewerModel, layer: Layer) -> tuple[float, float] | None:
    """Return the row and column of a layer that the middle of the view shows; None in 3-D."""
    return looked_at(viewer, layer) if viewer.dims.ndisplay == 2 else None
