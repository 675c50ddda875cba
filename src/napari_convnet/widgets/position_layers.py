"""Located positions over their image: points, and for a film a track."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from napari.layers import Image, Layer

from napari_convnet.classes import ClassInfo
from napari_convnet.errors import UserError
from napari_convnet.widgets.layers import MARK, find_layer, image_data, layer_id
from napari_convnet.widgets.placement import placement_of
from napari_convnet.widgets.prediction_result import Prediction
from napari_convnet.widgets.session import Session

#: Side of a symbol in pixels of the image at least, and its share of a large image. On the screen it does not grow
#: beyond a limit; with a lower limit, napari would show a dot at the origin of planes without points.
_SIZE, _SHARE, _SCREEN_SIZES = 9, 1 / 60, (2, 20)
#: What the person may have chosen for our layer, which the next one takes over.
_KEPT = ("name", "visible", "opacity", "blending")


def show_positions(
    session: Session, image: Image, classes: Sequence[ClassInfo], name: str, result: Prediction
) -> None:
    """Show positions in place of those of the prediction before.

    Parameters
    ----------
    image
        Gets the layers.
    name
        The model's name, noted on them.

    Raises
    ------
    UserError
        CN-401 when the image has another shape by now, CN-403 when our layer is locked; nothing is changed then.
    """
    shape = tuple(image_data(image).array.shape[: image.ndim])
    if shape != result.shape:
        raise UserError(
            "CN-401",
            f"Layer '{image.name}' got other pixels while predicting (now {shape}), so the result is not shown. "
            "Nothing was changed. Predict again.",
        )
    source, viewer = layer_id(image), session.viewer
    points, tracks = (
        find_layer(viewer, kind, source) for kind in ("predicted-positions", "predicted-tracks")
    )
    refuse_locked([points, tracks])
    common = {"model": name, "source": source}
    placement = placement_of(image).as_arguments()
    kept = [_taken_out(session, layer) for layer in (tracks, points)]
    if result.is_film and len(result.places) > 1:
        ids = np.ones((len(result.places), 1))
        viewer.add_tracks(np.hstack([ids, result.places]), **{
            "name": f"{image.name} track", "features": result.table, "tail_width": 3,
            "color_by": result.table.columns[0], "colormap": "turbo",
            "metadata": {MARK: {**common, "kind": "predicted-tracks"}}, **placement, **kept[0],
        })  # fmt: skip
    colour_of = {info.name: info.colour for info in classes}
    viewer.add_points(result.places, ndim=image.ndim, **{
        "name": f"{image.name} located", "features": result.table, "symbol": "diamond",
        "size": max(_SIZE, _SHARE * max(shape[-2:])), "canvas_size_limits": _SCREEN_SIZES,
        "face_color": "transparent", "border_width": 0.2,
        "border_color": [colour_of[name] for name in result.table["class"]] or "white",
        "metadata": {MARK: {**common, "kind": "predicted-positions"}}, **placement, **kept[1],
    })  # fmt: skip


def _taken_out(session: Session, layer: Layer | None) -> dict[str, Any]:
    """Remove our layer and return what the person chose for it."""
    if layer is None:
        return {}
    session.viewer.layers.remove(layer)
    return {name: getattr(layer, name) for name in _KEPT}


def refuse_locked(layers: Sequence[Layer | None]) -> None:
    """Refuse to change layers that the person locked (CN-403)."""
    for layer in layers:
        if layer is not None and layer.locked:
            raise UserError(
                "CN-403",
                f"Layer '{layer.name}' is locked, so the new result is not shown. Nothing was changed. "
                "Unlock it in the layer list and predict again.",
            )
