"""The planes of an image, one after the other: read where they lie, and only when they are asked for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Sequence
from typing import Any, TypeVar, overload

import numpy as np
from napari.components import ViewerModel

from napari_convnet.images import CleanImage, LazyImage, LazyPlane, UnreadableError, is_lazy
from napari_convnet.progress import Progress, told_as
from napari_convnet.widgets.layers import image_data
from napari_convnet.widgets.source import PlaneArrays, Source, current_plane, source_layers

#: Pixels of a lazy plane that are read together, as those of an image in memory; larger ones tile by tile.
READ_WHOLE = 4096**2
#: Planes that a job is given at once.
_BLOCK = 64

Result = TypeVar("Result")


class Planes(Sequence[CleanImage]):
    """Some planes of an image, each brought into the core's form when it is asked for, in the worker.

    It holds the layers' arrays and not the layers, which only the GUI thread may touch.

    Parameters
    ----------
    channels
        (array with all axes, axes of a plane, name) of each image layer, as in `PlaneArrays`.
    indices
        Of the planes, along the axes before Y and X.
    axis_names
        What those axes and Y and X are called.
    pixel_size
        Distance of pixels along each of these axes, and its unit ("pixel" where there is none).
    """

    def __init__(
        self,
        channels: Sequence[tuple[Any, str, str]],
        indices: Sequence[tuple[int, ...]],
        axis_names: Sequence[str],
        pixel_size: Sequence[tuple[float, str]],
    ) -> None:
        self.channels, self.indices = tuple(channels), tuple(indices)
        self.axis_names, self.pixel_size = tuple(axis_names), tuple(pixel_size)

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of all axes but that of colour."""
        return tuple(self.channels[0][0].shape[: len(self.axis_names)])

    @property
    def name(self) -> str:
        """What to call the image in messages."""
        return self.channels[0][2]

    def __len__(self) -> int:
        return len(self.indices)

    @overload
    def __getitem__(self, index: int) -> CleanImage: ...
    @overload
    def __getitem__(self, index: slice) -> list[CleanImage]: ...
    def __getitem__(self, index: int | slice) -> CleanImage | list[CleanImage]:
        if isinstance(index, slice):
            return [self[k] for k in range(*index.indices(len(self)))]
        return self.arrays(index).clean()

    def part(self, start: int) -> Planes:
        """Return the planes of a block that begins with a number."""
        return Planes(
            self.channels, self.indices[start : start + _BLOCK], self.axis_names, self.pixel_size
        )

    def arrays(self, index: int) -> PlaneArrays:
        """Return the pixels of a plane, not read yet where they are lazy."""
        plane = self.indices[index]
        where = f", plane {', '.join(map(str, plane))}" if plane else ""
        channels = tuple(
            (
                LazyPlane(array, plane, name + where) if is_lazy(array) else array[plane],
                axes,
                name + where,
            )
            for array, axes, name in self.channels
        )
        return PlaneArrays(channels, None, plane)


def planes_of(viewer: ViewerModel, source: Source, axes: int | None = None) -> Planes:
    """Return the planes of an image along its first ``axes`` axes (by default all), as shown along the others.

    Raises
    ------
    UserError
        CN-401, CN-404 as `source_layers`.
    """
    images, _ = source_layers(viewer, source)
    shown = current_plane(viewer, images[0])
    shape = image_data(images[0]).array.shape[: images[0].ndim]
    n_free = len(shown) if axes is None else min(axes, len(shown))
    channels = []
    for layer in images:
        found = image_data(layer)
        channels.append((found.array, "YXC" if found.is_rgb else "YX", layer.name))
    units = [str(unit) for unit in images[0].units]
    return Planes(
        channels,
        [(*index, *shown[n_free:]) for index in np.ndindex(*shape[:n_free])],
        _axis_names(images[0].axis_labels, len(shown)),
        list(zip(map(float, images[0].scale), units, strict=True)),
    )


def in_blocks(
    planes: Planes,
    steps_of: Callable[[Planes], Generator[Progress, None, Result]],
    stop: threading.Event,
) -> Generator[Progress, None, tuple[list[Result], str]]:
    """Give a job some planes at a time, so that one that cannot be read costs no more than its neighbours.

    Returns
    -------
    tuple
        The results of the blocks, and why the last planes are missing, or "".

    Raises
    ------
    UnreadableError
        When nothing could be done before.
    """
    results: list[Result] = []
    for start in range(0, len(planes), _BLOCK):
        try:
            results.append((yield from _as_part(steps_of(planes.part(start)), start, len(planes))))
        except UnreadableError as error:
            if not results:
                raise
            from napari_convnet.prediction import PredictionInterrupted

            return results, PredictionInterrupted(error, None).message
        if stop.is_set():
            break
    return results, ""


def _as_part(
    steps: Generator[Progress, None, Result], start: int, n: int
) -> Generator[Progress, None, Result]:
    def tell(event: Progress) -> Progress:
        done = start + event.done
        return Progress(done=done, total=n, text=f"plane {done:,} of {n:,}")

    return told_as(steps, tell)


def _axis_names(labels: Sequence[str], n_leading: int) -> list[str]:
    """Name axes as the layer does; napari's own labels say nothing."""
    names = [str(label).strip() for label in labels[:n_leading]]
    for axis, name in enumerate(names):
        if not name or name.startswith("-") or "axis" in name or names.count(name) > 1:
            names[axis] = "plane" if n_leading == 1 else f"plane {axis + 1}"
    return [*names, "y", "x"]


def image_of(arrays: PlaneArrays) -> CleanImage | LazyImage:
    """Read an image, or leave it where it is if it is lazy and large."""
    height, width = arrays.shape
    is_any_lazy = any(isinstance(pixels, LazyPlane) for pixels, _, _ in arrays.channels)
    if not is_any_lazy or height * width <= READ_WHOLE:
        return arrays.clean()
    return LazyImage(
        tuple(
            (pixels if isinstance(pixels, LazyPlane) else LazyPlane(pixels, (), name), axes)
            for pixels, axes, name in arrays.channels
        )
    )
