"""Levels of a multiscale image: full resolution is worked on unless another is chosen, which becomes a layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Layer

from napari_convnet.widgets.axes import FILE_KEY, file_of
from napari_convnet.widgets.layers import layer_id
from napari_convnet.widgets.placement import placement_of

#: Key of ``layer.metadata``: of which layer this is which level.
_LEVEL_KEY = "napari_convnet_level"
#: How the full image is shown goes on to a level of it.
_LOOKS_OF_COLOURS = ("blending", "opacity", "interpolation2d")
_LOOKS = ("colormap", "contrast_limits", "gamma")


def level_of(layer: Image) -> int:
    """Return which level of its image a layer holds, 0 for full resolution."""
    return _mark(layer).get("number", 0)


def whole_of(viewer: ViewerModel, layer: Image) -> Image | None:
    """Return the multiscale layer that a layer is, or is a level of; None without one."""
    if layer.multiscale and len(layer.data) > 1:
        return layer
    key = _mark(layer).get("of")
    return next((each for each in viewer.layers if key and layer_id(each) == key), None)


def level_text(layer: Image) -> str:
    """Return the line of a layer that is a level of an image, "" for others."""
    return _mark(layer).get("text", "")


def level_texts(layer: Image) -> list[str]:
    """Return one line for each level of a multiscale layer: its number, size in pixels and scale."""
    shapes = [tuple(level.shape[: layer.ndim]) for level in layer.data]
    return [
        f"{number}: {shape[-2]:,} x {shape[-1]:,} pixels, {_scale_text(shapes[0], shape)}"
        for number, shape in enumerate(shapes)
    ]


def show_level(viewer: ViewerModel, wholes: Sequence[Image], number: int) -> list[Image]:
    """Show one level of multiscale layers, which are channels of one image, instead of the others.

    Parameters
    ----------
    wholes
        Multiscale layers with the same number of levels.
    number
        0 for the multiscale layers themselves; each other level is a layer, made when it is first chosen.

    Returns
    -------
    list of Image
        One for each whole. Pixels are those of the file, read when they are needed; a pixel covers the area that it
        stands for.
    """
    found = [_find(viewer, whole, number) for whole in wholes]
    position = max(viewer.layers.index(whole) for whole in wholes) + 1
    for k in reversed(range(len(wholes))):  # channels stay side by side
        if found[k] is None:
            found[k] = _layer_of_level(wholes[k], number)
            viewer.layers.insert(position, found[k])
    keys = {layer_id(whole) for whole in wholes}
    for layer in viewer.layers:
        if layer_id(layer) in keys or _mark(layer).get("of") in keys:
            layer.visible = layer in found
    return found


def _find(viewer: ViewerModel, whole: Image, number: int) -> Image | None:
    wanted = {"of": layer_id(whole), "number": number}
    layers = (layer for layer in viewer.layers if wanted.items() <= _mark(layer).items())
    return whole if number == 0 else next(layers, None)


def _layer_of_level(whole: Image, number: int) -> Image:
    level = whole.data[number]
    factors = np.array(whole.data[0].shape[: whole.ndim]) / level.shape[: whole.ndim]
    mark = {"of": layer_id(whole), "number": number, "text": level_texts(whole)[number]}
    looks = _LOOKS_OF_COLOURS if whole.rgb else (*_LOOKS_OF_COLOURS, *_LOOKS)
    return Image(
        level, name=f"{whole.name}, level {number}", rgb=whole.rgb, multiscale=False,
        metadata={**whole.metadata, FILE_KEY: file_of(whole), _LEVEL_KEY: mark},
        **placement_of(whole).shrunk(factors).as_arguments(),
        **{name: getattr(whole, name) for name in looks},
    )  # fmt: skip


def _mark(layer: Layer) -> dict[str, Any]:
    return layer.metadata.get(_LEVEL_KEY, {})


def _scale_text(full: tuple[int, ...], shape: tuple[int, ...]) -> str:
    if shape == full:
        return "full resolution"
    factors = [f"1/{a / b:.3g}" for a, b in zip(full[-2:], shape[-2:], strict=True)]
    return f"{' x '.join(dict.fromkeys(factors))} scale"
