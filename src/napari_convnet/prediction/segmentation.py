"""Classes of pixels, tile by tile."""

from __future__ import annotations

import threading
from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from napari_convnet.images import CleanImage, ImageNote, LazyImage
from napari_convnet.model_file import Model
from napari_convnet.prediction.fitting import check_model_fits, check_result_fits
from napari_convnet.prediction.objects import separate_objects
from napari_convnet.prediction.reading import NormalisedImage, PredictionInterrupted
from napari_convnet.prediction.tile_by_tile import predict_tiles
from napari_convnet.prediction.tiles import Tile
from napari_convnet.progress import Progress


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
    """

    classes: np.ndarray
    objects: np.ndarray
    object_values: np.ndarray
    notes: tuple[ImageNote, ...] = ()


def segment_image(
    model: Model,
    image: CleanImage | LazyImage,
    *,
    tile_size: int = 512,
    smallest_object: int = 20,
    device: str = "auto",
    stop: threading.Event | None = None,
) -> Generator[Progress, None, Segmentation]:
    """Give every pixel of an image a class, then tell objects apart.

    Parameters
    ----------
    tile_size
        Side in pixels of the tiles that are predicted at once; the result does not depend on it,
        because tiles overlap by what the network can see.
    smallest_object
        Objects of fewer pixels are left out.
    stop
        Looked at after every tile; pixels that were not reached are 0.

    Raises
    ------
    UserError
        CN-106 when the model does not fit the image, CN-605 when the result would not fit into memory;
        `PredictionInterrupted` with what is done when a lazy image cannot be read any further.
    """
    check_model_fits(model, "segment", image)
    check_result_fits(image)
    pixels = NormalisedImage(model, image)
    classes = np.zeros(image.shape, np.uint8)

    def keep(tile: Tile, logits: Tensor) -> None:
        best = logits.argmax(0).to(torch.uint8).cpu().numpy()
        classes[tile.write] = best[tile.within] + 1

    problem = yield from predict_tiles(
        model, pixels, image.shape, keep, tile_size=tile_size, device=device, stop=stop
    )
    # Without a class called background every class forms objects.
    entries = enumerate(model.card.classes, start=1)
    background = next((value for value, entry in entries if entry.is_background), 0)
    objects, values = separate_objects(classes, background, smallest_object)
    result = Segmentation(classes, objects, values, pixels.notes)
    if problem is not None:
        raise PredictionInterrupted(problem, result) if classes.any() else problem
    return result
