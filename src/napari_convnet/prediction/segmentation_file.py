"""Classes of pixels of an image whose result does not fit into the memory: written to a file, tile by tile."""

from __future__ import annotations

import os
import threading
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from napari_convnet.images import CleanImage, ImageNote, LazyImage
from napari_convnet.model_file import Model
from napari_convnet.prediction.fitting import check_model_fits, check_sees_planes
from napari_convnet.prediction.reading import NormalisedImage, PredictionInterrupted
from napari_convnet.prediction.result_file import ResultFile
from napari_convnet.prediction.segmentation import SegmentationBegun, class_values
from napari_convnet.prediction.tile_by_tile import predict_tiles
from napari_convnet.prediction.tiled_objects import label_blocks
from napari_convnet.prediction.tiles import Tile, suggest_tile_size
from napari_convnet.progress import Progress, run
from napari_convnet.settings import ObjectSettings


@dataclass(frozen=True)
class SegmentationFile:
    """Classes of pixels and the objects they form, in a file; nothing of it is in memory.

    Parameters
    ----------
    path
        The zarr folder.
    class_levels, object_levels
        Zarr arrays of the classes, uint8 (k = k-th class, 0 where prediction was stopped before), and of the
        objects, int32 (0 = background): ``(Y, X)``, then half as large and so on.
    object_values
        ``(n + 1,)`` uint8: class value of each object by its label; index 0 is background.
    notes
        What a person should know about the image and its result.
    """

    path: Path
    class_levels: tuple[Any, ...]
    object_levels: tuple[Any, ...]
    object_values: np.ndarray
    notes: tuple[ImageNote, ...] = ()


def segment_to_file(
    model: Model,
    image: CleanImage | LazyImage,
    path: str | os.PathLike[str],
    *,
    tile_size: int | None = None,
    objects: ObjectSettings | None = None,
    device: str = "auto",
    stop: threading.Event | None = None,
    centre: tuple[float, float] | None = None,
) -> Generator[Progress, None, SegmentationFile]:
    """Give every pixel of an image a class and label its objects, in the memory of a few tiles.

    Objects are connected areas: touching ones are not cut apart, and holes are not filled.

    Parameters
    ----------
    path
        A zarr folder, replaced when the new result is finished or stopped.
    tile_size, objects, device, stop, centre
        As for `segment_image`; of ``objects``, smallest area and border are used.

    Raises
    ------
    UserError
        CN-106 when the model does not fit the image, CN-301 and CN-312 when the file cannot be written;
        `PredictionInterrupted` with what is done when a lazy image cannot be read any further.
    """
    check_model_fits(model, "segment", image)
    check_sees_planes(model, image)
    objects = objects or ObjectSettings()
    size = tile_size or suggest_tile_size(model.network)
    pixels = NormalisedImage(model, image)
    names = [entry.name for entry in model.card.classes]
    facts = {"image": image.name, "model": model.card.name, "classes": names, "is_complete": False}
    file = ResultFile(path, image.shape, size, facts)
    try:
        yield SegmentationBegun.of(file.levels("classes"))

        def keep(tile: Tile, outputs: Tensor) -> None:
            file.write("classes", tile.write, class_values(outputs, len(names))[tile.within])

        problem = yield from predict_tiles(
            model, pixels, image.shape, keep,
            tile_size=size, device=device, stop=stop, centre=centre,
        )  # fmt: skip
        is_complete = problem is None and not (stop is not None and stop.is_set())
        background = model.card.background_value
        steps = label_blocks(
            file.levels("classes")[0], size, background, objects,
            lambda window, labels: file.write("objects", window, labels),
            stop=stop if is_complete else None,
        )  # fmt: skip
        # After a stop, a job may tell little more; what is not predicted is empty, and soon over.
        values = (yield from steps) if is_complete else run(steps)
        file.finish({"is_complete": is_complete and values is not None})
        if is_complete:
            yield SegmentationBegun.of(file.levels("classes"))  # which have moved
    except BaseException:
        file.discard()
        raise
    notes = (*pixels.notes, ImageNote(image.name, _what_is_there(values is not None)))
    values = np.zeros(1, np.uint8) if values is None else values
    levels = (file.levels("classes"), file.levels("objects"))
    result = SegmentationFile(file.path, *levels, values, notes)
    if problem is not None:
        raise PredictionInterrupted(problem, result)
    return result


def _what_is_there(has_objects: bool) -> str:
    if not has_objects:
        return "its result is in a file; stopped before all objects were numbered, it has none"
    return "its result is in a file; touching objects are not cut apart and holes not filled there"
