"""What the axes of an image mean: asked once where the file does not say, and remembered."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image
from napari.utils.colormaps import CMYBGR, MAGENTA_GREEN
from qtpy.QtWidgets import QDialog, QWidget

from napari_convnet.errors import UserError
from napari_convnet.widgets.arrangement import (
    CHANNELS,
    COLOURS,
    HEIGHT,
    WIDTH,
    arranged,
    axis_order,
)
from napari_convnet.widgets.axes_dialog import MEANINGS, AxesDialog
from napari_convnet.widgets.layers import image_data, layer_id
from napari_convnet.widgets.placement import Placement, placement_of
from napari_convnet.widgets.remembered import read_remembered, remember

_SYNONYMS = {
    "channel": CHANNELS, "channels": CHANNELS, "depth": "z", "plane": "z", "time": "t", "frame": "t",
    "height": HEIGHT, "row": HEIGHT, "width": WIDTH, "column": WIDTH,
}  # fmt: skip
#: What tifffile calls axes; of others, such as Q, the file does not say what they are.
_TIFF_AXES = {"Y": HEIGHT, "X": WIDTH, "C": CHANNELS, "Z": "z", "T": "t"}
#: TIFF's numbers for pixels of red, green and blue (RGB, YCbCr); the samples of other pixels are channels.
_COLOUR_PIXELS = (2, 6)
#: Formats of pictures, whose last axis is colour whatever its pixels look like.
_PICTURES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp"}
#: napari takes bytes with 3 or 4 values a pixel for colours from sides of 31 pixels on; below this side that may
#: be anything, a small stack of planes for one.
_SMALLEST_COLOUR_SIDE = 64
_NAME, _MOST_REMEMBERED = "axes", 1000
#: Keys of ``layer.metadata``: the file of the stack that a layer is a part of; colours were answered.
FILE_KEY, _COLOUR_KEY = "napari_convnet_file", "napari_convnet_colours"

_Letters = tuple[str, ...]


def file_of(layer: Image) -> str:
    """Return the file that a layer, or the stack that it is a part of, was read from; or ""."""
    return str(layer.source.path or layer.metadata.get(FILE_KEY, ""))


def settle_axes(viewer: ViewerModel, layer: Image, parent: QWidget) -> list[Image] | None:
    """Make sure that an image's axes are known, asking the person where they are not.

    Returns
    -------
    list of Image or None
        The layer with its axes named, or the layers that take its place: its channels, or itself with Y and X as
        the last axes; None when the person did not answer.

    Raises
    ------
    UserError
        CN-403 when a locked layer would have to be replaced.
    """
    known = known_axes(layer)
    if not _is_complete(known):
        path = file_of(layer)
        answer = _remembered(path, known) or _ask(layer, known, parent)
        if answer is None:
            return None
        if path:
            _remember(path, answer)
        known = answer
    return _carry_out(viewer, layer, "".join(known))


def settle_all(
    viewer: ViewerModel, layers: Sequence[Image], parent: QWidget
) -> tuple[str, ...] | None:
    """Do `settle_axes` for the channels of an image; return the ids of the layers that are worked on then.

    Raises
    ------
    UserError
        CN-403 as `settle_axes`.
    """
    ids: list[str] = []
    for layer in layers:
        found = settle_axes(viewer, layer, parent)
        if found is None:
            return None
        ids += [layer_id(each) for each in found]
    return tuple(ids)


def known_axes(layer: Image) -> _Letters:
    """Return one letter for each axis of the pixels, colours included, "" where it is not said what it is.

    A layer says it with its axis labels, some files with their format; napari's own guess that a short last axis
    is colour counts where hardly anything else is likely.
    """
    shape = tuple(image_data(layer).array.shape)
    if layer.ndim == 2 and not layer.rgb:
        return (HEIGHT, WIDTH)
    known = _named(layer)
    is_doubtful = layer.rgb and not _is_surely_colour(layer, shape)
    if all(known[:-2]) and not {HEIGHT, WIDTH} & {*known[:-2]} and not is_doubtful:
        known[-2:] = [HEIGHT, WIDTH]
    if layer.rgb:
        known = [*known, "" if is_doubtful else COLOURS]
    found = tuple(known)
    return found if _is_complete(found) else _said_by_file(file_of(layer), shape) or found


def _named(layer: Image) -> list[str]:
    """Return what the layer's own labels say."""
    labels = [str(label).casefold() for label in layer.axis_labels]
    letters = [_SYNONYMS.get(label, label) for label in labels]
    return [letter if letter in MEANINGS and letter != COLOURS else "" for letter in letters]


def _is_complete(letters: _Letters) -> bool:
    counts = Counter(letters)
    once = counts[HEIGHT] == counts[WIDTH] == 1
    return all(letters) and once and counts[CHANNELS] + counts[COLOURS] <= 1


def _is_surely_colour(layer: Image, shape: tuple[int, ...]) -> bool:
    if layer.metadata.get(_COLOUR_KEY) or min(shape[-3:-1]) <= 30:  # napari never guesses it then
        return True
    is_bytes = image_data(layer).array.dtype == np.uint8
    return is_bytes and min(shape[-3:-1]) >= _SMALLEST_COLOUR_SIDE


def _said_by_file(path: str, shape: tuple[int, ...]) -> _Letters | None:
    """Return the axes if the file's format names them all."""
    suffix = Path(path).suffix.lower()
    if suffix in _PICTURES and len(shape) == 3 and shape[-1] in (3, 4):
        return (HEIGHT, WIDTH, COLOURS)
    if suffix not in (".tif", ".tiff"):
        return None
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            series = file.series[0]
            samples = COLOURS if series.keyframe.photometric in _COLOUR_PIXELS else CHANNELS
            found = tuple({**_TIFF_AXES, "S": samples}.get(letter, "") for letter in series.axes)
            fits = shape in [tuple(level.shape) for level in series.levels]
    except Exception:  # noqa: BLE001 - whatever is wrong with the file, it does not say
        return None
    return found if fits and _is_complete(found) else None


def _ask(layer: Image, known: _Letters, parent: QWidget) -> _Letters | None:
    dialog = AxesDialog(layer, known, parent)
    try:
        is_answered = dialog.exec() == QDialog.DialogCode.Accepted
        return dialog.answer() if is_answered else None
    finally:
        dialog.deleteLater()


# What follows from the axes -------------------------------------------------------------------


def _carry_out(viewer: ViewerModel, layer: Image, letters: str) -> list[Image]:
    """Name the axes of a layer, or put layers in its place that napari can show as they are; nothing is copied."""
    is_in_order = axis_order(letters) == list(range(len(letters)))
    if not is_in_order or layer.rgb != (COLOURS in letters):
        return _replace(viewer, layer, letters)
    if layer.ndim > 2 and "".join(_named(layer)) != letters.replace(COLOURS, ""):
        layer.axis_labels = tuple(letters.replace(COLOURS, ""))
    if layer.rgb:
        layer.metadata[_COLOUR_KEY] = True
    return [layer]


def _replace(viewer: ViewerModel, layer: Image, letters: str) -> list[Image]:
    if layer.locked:
        raise UserError(
            "CN-403",
            f"Layer '{layer.name}' is locked, so it was not replaced by layers with its axes in order. Nothing was "
            "changed. Unlock it in the layer list.",
        )
    position, spatial = (
        viewer.layers.index(layer),
        [k for k in axis_order(letters) if letters[k] != COLOURS],
    )
    point = np.asarray(viewer.dims.point)[-layer.ndim :]
    images = _images(layer, letters, spatial)
    viewer.layers.remove(layer)
    for each in reversed(images):
        viewer.layers.insert(position, each)
    if max(spatial) < layer.ndim:  # the person goes on looking at the same plane
        first = viewer.dims.ndim - len(spatial)
        viewer.dims.set_point(range(first, viewer.dims.ndim), point[spatial])
    return images


def _images(layer: Image, letters: str, spatial: list[int]) -> list[Image]:
    """Return the layers that take a layer's place: one for each channel, or one."""
    levels = [
        arranged(level, letters) for level in (layer.data if layer.multiscale else [layer.data])
    ]
    is_colour = COLOURS in letters
    arguments = {
        "multiscale": layer.multiscale, "rgb": is_colour,
        "metadata": {**layer.metadata, FILE_KEY: file_of(layer), _COLOUR_KEY: is_colour},
        **_placement(layer, letters, spatial).as_arguments(),
    }  # fmt: skip
    parts = [list(part) if layer.multiscale else part[0] for part in zip(*levels, strict=True)]
    if CHANNELS not in letters:
        return [Image(parts[0], name=layer.name, **arguments)]
    colours = itertools.cycle(MAGENTA_GREEN if len(parts) == 2 else CMYBGR)
    return [
        Image(
            part,
            name=f"{layer.name} channel {number}",
            blending="additive",
            colormap=colour,
            **arguments,
        )
        for number, (part, colour) in enumerate(zip(parts, colours, strict=False), start=1)
    ]


def _placement(layer: Image, letters: str, spatial: list[int]) -> Placement:
    """Return where the axes ``spatial`` of a layer lie, in their order and with their letters as labels."""
    placement = placement_of(layer)
    if (
        layer.rgb and max(spatial) == layer.ndim
    ):  # what napari took for colour is an axis like the others
        placement = placement.with_axis()
    kept = sorted(spatial)
    ordered = placement.keep(kept).reordered([kept.index(axis) for axis in spatial])
    return ordered.labelled([letters[axis] for axis in spatial])


# Answers are kept for each file ---------------------------------------------------------------


def _all_remembered() -> dict[str, str]:
    found = read_remembered(_NAME)
    is_sound = isinstance(found, dict) and all(isinstance(value, str) for value in found.values())
    return found if is_sound else {}


def _remembered(path: str, known: _Letters) -> _Letters | None:
    letters = tuple(_all_remembered().get(path, "")) if path else ()
    is_sound = len(letters) == len(known) and set(letters) <= set(MEANINGS)
    return letters if is_sound and _is_complete(letters) else None


def _remember(path: str, answer: _Letters) -> None:
    kept = {**_all_remembered(), path: "".join(answer)}
    remember(_NAME, dict(list(kept.items())[-_MOST_REMEMBERED:]))
