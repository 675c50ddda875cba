"""Classes of pixels, tile by tile."""

from __future__ import annotations

import threading
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from napari_convnet.images import CleanImage, ImageNote, LazyImage
from napari_convnet.model_file import Model
from napari_convnet.prediction.fitting import (
    check_model_fits,
    check_result_fits,
    check_sees_planes,
)
from napari_convnet.prediction.objects import separate_objects
from napari_convnet.prediction.reading import NormalisedImage, PredictionInterrupted
from napari_convnet.prediction.tile_by_tile import predict_tiles
from napari_convnet.prediction.tiles import Tile
from napari_convnet.progress import Progress, run
from napari_convnet.settings import ObjectSettings

#: Smaller views of a class map are made until the longer side has at most this many pixels.
_SMALLEST_LEVEL = 1024


@dataclass(frozen=True)
class Segmentation:
    """Classes of pixels and the objects they form.

    Parameters
    ----------
    classes
        ``(Y, X)`` uint8, k = k-th class; 0 where prediction was stopped before.
    objects
        ``(Y, X)`` int32 instance labels, 0 = background.
    object_values
        ``(n + 1,)`` uint8: class value of each object by its label; index 0 is background.
    notes
        What a person should know about the image.
    depth
        ``(Y, X)`` uint8: how deep each pixel lies in its own object, from 0 at the border to 255, if the model was
        trained on whole objects; else None.
    """

    classes: np.ndarray
    objects: np.ndarray
    object_values: np.ndarray
    notes: tuple[ImageNote, ...] = ()
    depth: np.ndarray | None = None


@dataclass(frozen=True, kw_only=True)
class SegmentationBegun(Progress):
    """The class map is there and will be filled tile by tile.

    Parameters
    ----------
    levels
        Arrays ``(Y, X)`` uint8, or with further axes before, that show it at full size, half the size and so on.
    """

    levels: tuple[Any, ...]

    @classmethod
    def of(cls, levels: Sequence[Any]) -> SegmentationBegun:
        """Tell of a class map, before the first tile."""
        return cls(done=0, total=0, text="predicting", levels=tuple(levels))


def segment_image(
    model: Model,
    image: CleanImage | LazyImage,
    *,
    tile_size: int | None = None,
    objects: ObjectSettings | None = None,
    device: str = "auto",
    stop: threading.Event | None = None,
    centre: tuple[float, float] | None = None,
) -> Generator[Progress, None, Segmentation]:
    """Give every pixel of an image a class, then tell objects apart.

    Parameters
    ----------
    tile_size
        Side in pixels of the tiles that are predicted at once, by default what suits the network; the result
        does not depend on it, because tiles overlap by what the network can see.
    objects
        How the mask becomes objects; None: the default.
    stop
        Looked at after every tile; pixels that were not reached are 0. A stop while touching objects are
        cut leaves them uncut.
    centre
        Row and column whose tiles are predicted first; by default row by row.

    Raises
    ------
    UserError
        CN-106 when the model does not fit the image, CN-605 when the result would not fit into memory;
        `PredictionInterrupted` with what is done when a lazy image cannot be read any further.
    """
    check_model_fits(model, "segment", image)
    check_sees_planes(model, image)
    check_result_fits(image)
    objects = objects or ObjectSettings()
    pixels = NormalisedImage(model, image)
    classes = np.zeros(image.shape, np.uint8)
    depth = np.zeros(image.shape, np.uint8) if model.card.has_depth else None
    yield SegmentationBegun.of(strided_levels(classes))
    n_classes = len(model.card.classes)

    def keep(tile: Tile, outputs: Tensor) -> None:
        classes[tile.write] = class_values(outputs, n_classes)[tile.within]
        if depth is not None:
            deep = (outputs[-1].clamp(0, 1) * 255).round().to(torch.uint8)
            depth[tile.write] = deep.cpu().numpy()[tile.within]

    problem = yield from predict_tiles(
        model, pixels, image.shape, keep,
        tile_size=tile_size, device=device, stop=stop, centre=centre,
    )  # fmt: skip
    background = model.card.background_value
    if stop is not None and stop.is_set():
        found = run(separate_objects(classes, background, objects, depth=depth))
    else:
        found = yield from separate_objects(classes, background, objects, depth=depth, stop=stop)
    if found is None:
        found = run(separate_objects(classes, background, replace(objects, touching="off")))
    result = Segmentation(classes, *found, pixels.notes, depth)
    if problem is not None:
        raise PredictionInterrupted(problem, result) if classes.any() else problem
    return result


def class_values(outputs: Tensor, n_classes: int) -> np.ndarray:
    """Return the likeliest class of each pixel, from 1, of a network's outputs ``(K, Y, X)``: ``(Y, X)`` uint8."""
    return outputs[:n_classes].argmax(0).to(torch.uint8).cpu().numpy() + 1


def strided_levels(array: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return an array ``(..., Y, X)`` at full size, half the size and so on; nothing is copied."""
    levels = [array]
    while max(levels[-1].shape[-2:]) > _SMALLEST_LEVEL:
        levels.append(levels[-1][..., ::2, ::2])
    return tuple(levels)
