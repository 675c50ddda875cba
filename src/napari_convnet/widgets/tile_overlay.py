"""A layer of ours that lies on an image, follows the view, and is filled tile by tile; nobody's annotation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, Protocol

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Layer

from napari_convnet.widgets.layers import add_below_strokes, image_data, layer_id
from napari_convnet.widgets.painted_region import Region, region_around
from napari_convnet.widgets.placement import Placement, placement_of


class OverlayTile(Protocol):
    """What a job tells of a tile."""

    @property
    def origin(self) -> tuple[int, int]:
        """First row and column in the plane."""


class TileOverlay(ABC):
    """Shows tiles on an image.

    Of an image larger than `painted_region.LARGEST_SIDE` it holds the part around the middle of the view.

    Parameters
    ----------
    viewer
        Where the image is.
    image
        The layer below.
    """

    def __init__(self, viewer: ViewerModel, image: Image) -> None:
        self._viewer, self._image = viewer, image
        self._layer: Any = None
        self._plane: tuple[int, ...] = ()
        self._region = Region((0, 0), (0, 0))
        self._values = np.zeros((0, 0), np.uint8)

    @abstractmethod
    def _add(self, data: np.ndarray, placement: Placement) -> Layer:
        """Add the layer to the viewer."""

    @abstractmethod
    def _values_of(self, tile: Any) -> np.ndarray:
        """Return what is shown of a tile, ``(Y, X)`` uint8."""

    @property
    def image(self) -> Image:
        """The layer below."""
        return self._image

    @property
    def is_shown(self) -> bool:
        """Whether the layer is there; the person may delete it."""
        return self._layer is not None and self._layer in self._viewer.layers

    @property
    def _shape(self) -> tuple[int, int]:
        return tuple(image_data(self._image).array.shape[: self._image.ndim][-2:])

    def window_in_view(self) -> tuple[slice, slice]:
        """Return the rows and columns of the image that are in view, in pixels of level 0."""
        viewer, layer, shape = self._viewer, self._image, self._shape
        low, high = np.zeros(2), np.array(shape, float)
        if viewer.dims.ndisplay == 2:
            # From the camera: what a layer knows of the view is as old as the last drawing.
            half = np.asarray(viewer.canvas.size, float) / viewer.scene.camera.zoom / 2
            world = np.tile(np.asarray(viewer.dims.point, float), (4, 1))
            signs = np.array([(-1, -1), (-1, 1), (1, -1), (1, 1)])
            world[:, list(viewer.dims.displayed)] = viewer.scene.camera.center[-2:] + signs * half
            corners = np.array([layer.world_to_data(corner)[-2:] for corner in world])
            low, high = np.clip(corners.min(0), 0, shape), np.clip(corners.max(0) + 1, 0, shape)
        if (high - low < 2).any():  # out of view
            low, high = np.zeros(2), np.array(shape, float)
        region = region_around(tuple((low + high) / 2), shape)
        spans = [
            slice(max(int(a), start), max(start, min(int(np.ceil(b)), start + size)))
            for a, b, start, size in zip(low, high, region.origin, region.shape, strict=True)
        ]
        return spans[0], spans[1]

    def show(self, plane: tuple[int, ...], window: tuple[slice, slice]) -> None:
        """Make the layer cover a window of a plane; what it shows there already stays."""
        middle = tuple((span.start + span.stop) / 2 for span in window)
        region = region_around(middle, self._shape)
        is_same_plane = plane == self._plane
        if not self.is_shown:
            self._plane, self._region = plane, region
            self._values = np.zeros(region.shape, np.uint8)
            self._layer = add_below_strokes(
                self._viewer, layer_id(self._image), lambda: self._add(self._data, self._placement)
            )
        elif not is_same_plane or self._region.is_left_by(middle, self._shape):
            before, origin, shape = self._values, self._region.origin, self._region.shape
            self._plane, self._region = plane, region
            self._values = np.zeros(region.shape, np.uint8)
            if is_same_plane:
                here, there = region.window(origin, shape)
                self._values[here] = before[there]
            self._layer.data = self._data
            self._layer.translate = self._placement.translate

    def paste(self, tiles: Iterable[OverlayTile]) -> None:
        """Take some tiles; `draw` shows them."""
        for tile in tiles:
            values = self._values_of(tile)
            here, there = self._region.window(tile.origin, values.shape)
            self._values[here] = values[there]

    def draw(self) -> None:
        """Show what was taken since the last time."""
        if self.is_shown:
            self._layer.refresh(extent=False, thumbnail=False)

    def clear(self, window: tuple[slice, slice] | None = None) -> None:
        """Take everything away, or all but a window."""
        before = self._values.copy()
        self._values.fill(0)
        if window is not None:
            origin = (window[0].start, window[1].start)
            shape = (window[0].stop - window[0].start, window[1].stop - window[1].start)
            here, _ = self._region.window(origin, shape)
            self._values[here] = before[here]

    def remove(self) -> None:
        """Take the layer away."""
        if self.is_shown:
            self._layer.locked = False
            self._viewer.layers.remove(self._layer)
        self._layer = None

    @property
    def _data(self) -> np.ndarray:
        return self._values.reshape((1,) * len(self._plane) + self._region.shape)

    @property
    def _placement(self) -> Placement:
        return placement_of(self._image).moved((*self._plane, *self._region.origin))
