"""The layers that show, tile by tile, which class every pixel in view has, and how unsure a network is of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Layer

from napari_convnet.classes import ClassInfo
from napari_convnet.widgets.layers import (
    MARK,
    Kind,
    class_layer_data,
    layer_id,
    show_class_colours,
)
from napari_convnet.widgets.placement import Placement
from napari_convnet.widgets.tile_overlay import TileOverlay

_OPACITY = 0.4


class ClassOverlay(TileOverlay):
    """Classes of pixels; its tiles have ``classes``.

    Parameters
    ----------
    viewer, image
        As for `TileOverlay`.
    kind, title
        What the layer is, for us and for a person.
    """

    def __init__(self, viewer: ViewerModel, image: Image, kind: Kind, title: str) -> None:
        super().__init__(viewer, image)
        self._kind, self._title = kind, title
        self._classes: Sequence[ClassInfo] = ()

    def show_classes(self, classes: Sequence[ClassInfo]) -> None:
        """Colour by the classes of now."""
        self._classes = classes
        if self.is_shown:
            show_class_colours(self._layer, classes)

    def _add(self, data: np.ndarray, placement: Placement) -> Layer:
        data, arguments, _ = class_layer_data(
            data, self._classes, placement, name=f"{self._title}: {self._image.name}", kind=self._kind,
            source=layer_id(self._image),
        )  # fmt: skip
        return self._viewer.add_labels(data, **arguments | {"opacity": _OPACITY})

    def _values_of(self, tile: Any) -> np.ndarray:
        return tile.classes


class UncertaintyOverlay(TileOverlay):
    """How unsure a network is; its tiles have an ``uncertainty``."""

    def _add(self, data: np.ndarray, placement: Placement) -> Layer:
        mark = {"kind": "live-uncertainty", "source": layer_id(self._image)}
        return self._viewer.add_image(
            data, name=f"Unsure: {self._image.name}", colormap="magma", contrast_limits=(0, 255),
            blending="additive", opacity=0.7, metadata={MARK: mark}, **placement.as_arguments(),
        )  # fmt: skip

    def _values_of(self, tile: Any) -> np.ndarray:
        return tile.uncertainty
