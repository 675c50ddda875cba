"""The background part of objects: a class mask becomes objects and their table."""

from __future__ import annotations

import threading
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from napari.layers import Layer

from napari_convnet.images import CleanImage, LazyImage
from napari_convnet.progress import Progress, run
from napari_convnet.settings import ObjectSettings
from napari_convnet.widgets.planes import image_of
from napari_convnet.widgets.prediction_result import Prediction
from napari_convnet.widgets.source import PlaneArrays

if TYPE_CHECKING:
    from napari_convnet.prediction import Segmentation, SegmentationFile


@dataclass(frozen=True)
class ObjectOptions:
    """How objects are formed, and how large their pixels are (height, width, unit)."""

    settings: ObjectSettings
    pixel_size: tuple[float, float, str]


@dataclass(frozen=True, eq=False)
class ClassMask:
    """A plane's class map ``(Y, X)`` uint8, the names of its classes, and which one forms no objects (0: none).

    ``depth`` is what a model that learned whole objects said beside it, see `Segmentation`; else None.
    """

    classes: np.ndarray
    names: tuple[str, ...]
    background: int
    depth: np.ndarray | None = None


def options_for(layer: Layer, settings: ObjectSettings) -> ObjectOptions:
    """Return the options for objects on a layer, with the size of its pixels."""
    height, width = (float(abs(size)) for size in layer.scale[-2:])
    return ObjectOptions(settings, (height, width, str(layer.units[-1])))


def settings_of(mark: Mapping[str, Any]) -> ObjectSettings:
    """Return how the objects of a layer with this mark were formed; the default where it does not say."""
    return ObjectSettings(**mark.get("objects", {}))


def separation_steps(
    mask: ClassMask, arrays: PlaneArrays, options: ObjectOptions, stop: threading.Event
) -> Generator[Progress, None, Prediction | None]:
    """Form objects from a mask that is there already; None when stopped. Runs in the worker."""
    yield Progress(done=0, total=0, text="separating objects")
    from napari_convnet.prediction import separate_objects

    found = yield from separate_objects(
        mask.classes, mask.background, options.settings, depth=mask.depth, stop=stop
    )
    if found is None:
        return None
    image = image_of(arrays)
    table = yield from table_steps(found, mask.names, arrays, image, options, stop)
    if stop.is_set():
        return None
    return Prediction("segment", mask.classes, found[0], table, object_settings=options.settings)


def segmented_steps(
    result: Segmentation | SegmentationFile,
    names: Sequence[str],
    arrays: PlaneArrays,
    image: CleanImage | LazyImage,
    options: ObjectOptions,
    stop: threading.Event,
) -> Generator[Progress, None, Prediction]:
    """Measure what a model segmented, in memory or in a file."""
    levels = getattr(result, "class_levels", ()), getattr(result, "object_levels", ())
    if levels[0]:
        found = levels[1][0], result.object_values
        table = yield from table_steps(found, names, arrays, image, options, stop)
        return Prediction(
            "segment", levels[0][0], levels[1][0], table, object_settings=options.settings,
            class_levels=levels[0], object_levels=levels[1], path=result.path,
        )  # fmt: skip
    found = result.objects, result.object_values
    table = yield from table_steps(found, names, arrays, image, options, stop)
    return Prediction(
        "segment", result.classes, result.objects, table, object_settings=options.settings, depth=result.depth
    )  # fmt: skip


def table_steps(
    found: tuple[np.ndarray, np.ndarray],
    names: Sequence[str],
    arrays: PlaneArrays,
    image: CleanImage | LazyImage,
    options: ObjectOptions,
    stop: threading.Event,
) -> Generator[Progress, None, pd.DataFrame]:
    """Measure objects; napari calls the column of labels ``index``."""
    from napari_convnet.prediction import PixelSize, measure_objects

    objects, values = found
    arguments = (
        objects, [names[value - 1] for value in values[1:]], image, arrays.channel_names,
        PixelSize(*options.pixel_size),
    )  # fmt: skip
    if stop.is_set():  # the rest of a stopped job may say nothing more
        is_in_file = not isinstance(objects, np.ndarray)
        table = run(measure_objects(*arguments, stop=stop if is_in_file else None))
    else:
        table = yield from measure_objects(*arguments, stop=stop)
    return pd.DataFrame(table).rename(columns={"label": "index"})
