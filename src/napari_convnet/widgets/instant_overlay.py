"""The layer of the instant preview: it lies on its image, follows the view and is nobody's annotation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Labels

from napari_convnet.classes import ClassInfo
from napari_convnet.instant import PreviewPart
from napari_convnet.widgets.layers import (
    class_layer_data,
    find_layer,
    image_data,
    layer_id,
    show_class_colours,
)
from napari_convnet.widgets.painted_region import Region, region_around
from napari_convnet.widgets.placement import placement_of

KIND = "instant-preview"
_OPACITY = 0.4


class InstantOverlay:
    """Shows the tiles of a preview.

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
        self._layer: Labels | None = None
        self._plane: tuple[int, ...] = ()
        self._region = Region((0, 0), (0, 0))
        self._classes = np.zeros((0, 0), np.uint8)

    @property
    def image(self) -> Image:
        """The layer below."""
        return self._image

    @property
    def is_shown(self) -> bool:
        """Whether the layer is there; the person may delete it."""
        return self._layer is not None and self._layer in self._viewer.layers

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

    def show(
        self, plane: tuple[int, ...], window: tuple[slice, slice], classes: Sequence[ClassInfo]
    ) -> None:
        """Make the layer cover a window of a plane; what it shows there already stays."""
        middle = tuple((span.start + span.stop) / 2 for span in window)
        region = region_around(middle, self._shape)
        is_same_plane = plane == self._plane
        if not self.is_shown:
            self._add(plane, region, classes)
        elif not is_same_plane or self._region.is_left_by(middle, self._shape):
            before, origin, shape = self._classes, self._region.origin, self._region.shape
            self._plane, self._region = plane, region
            self._classes = np.zeros(region.shape, np.uint8)
            if is_same_plane:
                here, there = region.window(origin, shape)
                self._classes[here] = before[there]
            self._layer.data = self._classes.reshape((1,) * len(plane) + region.shape)
            self._layer.translate = self._placement().translate
        self.show_classes(classes)

    def show_classes(self, classes: Sequence[ClassInfo]) -> None:
        """Colour by the classes of now."""
        if self.is_shown:
            show_class_colours(self._layer, classes)

    def paste(self, parts: Iterable[PreviewPart]) -> None:
        """Take some tiles; `draw` shows them."""
        for part in parts:
            here, there = self._region.window(part.origin, part.classes.shape)
            self._classes[here] = part.classes[there]

    def draw(self) -> None:
        """Show what was taken since the last time."""
        if self.is_shown:
            self._layer.refresh(extent=False, thumbnail=False)

    def clear(self, window: tuple[slice, slice] | None = None) -> None:
        """Take everything away, or all but a window."""
        before = self._classes.copy()
        self._classes.fill(0)
        if window is not None:
            origin = (window[0].start, window[1].start)
            shape = (window[0].stop - window[0].start, window[1].stop - window[1].start)
            here, _ = self._region.window(origin, shape)
            self._classes[here] = before[here]

    def remove(self) -> None:
        """Take the layer away."""
        if self.is_shown:
            self._layer.locked = False
            self._viewer.layers.remove(self._layer)
        self._layer = None

    @property
    def _shape(self) -> tuple[int, int]:
        return tuple(image_data(self._image).array.shape[: self._image.ndim][-2:])

    def _placement(self):
        return placement_of(self._image).moved((*self._plane, *self._region.origin))

    def _add(self, plane: tuple[int, ...], region: Region, classes: Sequence[ClassInfo]) -> None:
        """Add the layer below the strokes, which stay selected."""
        self._plane, self._region = plane, region
        self._classes = np.zeros(region.shape, np.uint8)
        data, arguments, _ = class_layer_data(
            self._classes.reshape((1,) * len(plane) + region.shape), classes, self._placement(),
            name=f"Preview: {self._image.name}", kind=KIND, source=layer_id(self._image),
        )  # fmt: skip
        layers = self._viewer.layers
        selected = set(layers.selection)
        strokes = find_layer(self._viewer, "painting", layer_id(self._image))
        self._layer = self._viewer.add_labels(data, **arguments | {"opacity": _OPACITY})
        self._layer.editable = False
        if strokes is not None:
            layers.move(layers.index(self._layer), layers.index(strokes))
        layers.selection = selected
