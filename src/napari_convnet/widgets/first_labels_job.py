"""The background part of first labels: what an image suggests, a preview of a part, and the whole."""

from __future__ import annotations

import functools
import threading
from collections.abc import Generator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from napari.layers import Labels
from scipy import ndimage

from napari_convnet.errors import UserError
from napari_convnet.first_labels import (
    CellSettings,
    Colour,
    Region,
    find_cells,
    label_image,
    measure_level,
    read_block,
    sample_image,
    suggest_settings,
)
from napari_convnet.progress import Progress

Window = tuple[slice, slice]


@dataclass(frozen=True, eq=False)
class CellImage:
    """The image that cells are looked for in.

    Parameters
    ----------
    array
        ``(..., Y, X)``, or ``(..., Y, X, C)`` when ``is_colour``; it is read in the worker's thread.
    region
        The plane or volume that is shown.
    z_step
        Distance of a volume's planes in pixels.
    """

    array: Any
    is_colour: bool
    region: Region
    name: str
    z_step: float

    @property
    def n_planes(self) -> int:
        """How many planes are looked at together."""
        is_volume = bool(self.region) and isinstance(self.region[-1], slice)
        return self.array.shape[len(self.region) - 1] if is_volume else 1


@dataclass(frozen=True)
class Choices:
    """What a person chose; None leaves it to the image."""

    sensitivity: float
    diameter: float | None
    are_bright: bool | None
    colour: Colour


@dataclass(eq=False)
class Memory:
    """What was read of an image and need not be read again; used by one job at a time."""

    array: Any = None
    region: Region = ()
    sample: list[np.ndarray] = field(default_factory=list)
    look_key: tuple = ()
    suggested: CellSettings | None = None

    def settings(self, image: CellImage, choices: Choices) -> CellSettings:
        """Return the settings to use: the person's choices, else what the image suggests."""
        if image.array is not self.array or image.region != self.region:
            self.sample = sample_image(image.array, image.region, image.is_colour, image.name)
            self.look_key = ()
            self.array, self.region = image.array, image.region
        if self.look_key != (choices.colour, choices.are_bright):
            self.suggested = suggest_settings(self.sample, choices.colour, choices.are_bright)
            self.look_key = (choices.colour, choices.are_bright)
        return replace(
            self.suggested,
            diameter=choices.diameter or self.suggested.diameter,
            sensitivity=choices.sensitivity,
            z_step=image.z_step,
        )


@dataclass(frozen=True, eq=False)
class Preview:
    """Cells of a part of an image: their ``outlines`` and its own, as labels, belong where ``origin`` says."""

    outlines: np.ndarray
    n_cells: int
    origin: tuple[int, ...]
    settings: CellSettings


def preview_cells(
    image: CellImage, window: Window, choices: Choices, memory: Memory, stop: threading.Event
) -> Generator[Progress, None, Preview | None]:
    """Find the cells of a part of the plane or volume that is shown."""
    yield Progress(done=0, total=3, text="looking at the image")
    settings = memory.settings(image, choices)
    if stop.is_set():
        return None
    yield Progress(done=1, total=3, text="finding the threshold")
    level = measure_level(memory.sample, settings)
    if stop.is_set():
        return None
    yield Progress(done=2, total=3, text="finding cells")
    pixels = read_block(image.array, (*image.region, *window), image.is_colour, image.name)
    labels = find_cells(pixels, settings, level)
    n_single = sum(not isinstance(index, slice) for index in image.region)
    origin = (
        *(0 if isinstance(index, slice) else index for index in image.region),
        *(part.start for part in window),
    )
    outlines = _with_frame(_outlines(labels)).reshape((1,) * n_single + labels.shape)
    warm_up_labels(outlines.dtype)
    return Preview(outlines, int(labels.max(initial=0)), origin, settings)


@functools.cache
def warm_up_labels(dtype: np.dtype) -> None:
    """Load what napari loads with the first label layer of a type: pandas, colours and compiled code.

    On the GUI thread that takes a second. The layer made here is in no viewer and draws nothing.
    """
    Labels(np.ones((2, 2), dtype))


def _outlines(labels: np.ndarray) -> np.ndarray:
    """Keep the border of each label, two pixels wide; napari would compute it on the GUI thread."""
    size = (1,) * (labels.ndim - 2) + (5, 5)
    is_inside = ndimage.minimum_filter(labels, size) == ndimage.maximum_filter(labels, size)
    return np.where(is_inside, 0, labels)


def _with_frame(outlines: np.ndarray) -> np.ndarray:
    """Outline the part itself, too, as a label that no cell has.

    napari's bounding box would do it, but where Mesa draws without a graphics card the process dies when a
    second layer with one is drawn after the first was removed (napari 0.9.2, vispy 0.17).
    """
    rows, columns = outlines.shape[-2:]
    frame = np.ones((rows, columns), bool)
    width = max(2, min(rows, columns) // 128)  # is seen of a whole large image, too
    frame[width : rows - width, width : columns - width] = False
    return np.where(frame, np.iinfo(outlines.dtype).max, outlines)


def make_labels(
    image: CellImage,
    regions: list[Region],
    choices: Choices,
    memory: Memory,
    stop: threading.Event,
) -> Generator[Progress, None, tuple[np.ndarray, CellSettings] | None]:
    """Find the cells of whole planes or volumes; a stop makes nothing.

    Raises
    ------
    UserError
        CN-615 when there are none.
    """
    yield Progress(done=0, total=0, text="looking at the image")
    settings = memory.settings(image, choices)
    level = measure_level(memory.sample, settings)
    labels = yield from label_image(image.array, regions, settings, level, image.name, stop)
    if labels is None:
        return None
    if not labels.any():
        raise UserError(
            "CN-615",
            f"No cells were found in '{image.name}', so no layer was made. Raise the sensitivity, check the cell "
            "diameter, or choose whether cells are bright or dark.",
        )
    return labels, settings
