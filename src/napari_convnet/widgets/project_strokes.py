"""Strokes of all images of a project, read in a worker's thread, and how the pixels below them are read."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from napari_convnet.images import CleanImage, LazyImage, LazyPlane
from napari_convnet.instant import PaintedPart
from napari_convnet.instant.features import ReadableImage
from napari_convnet.project import ImageRecord, Project
from napari_convnet.widgets.closed_images import FilePlane, is_there
from napari_convnet.widgets.open_image import OpenImage
from napari_convnet.widgets.planes import planes_of
from napari_convnet.widgets.session import Session
from napari_convnet.widgets.source import Source, find_by_id

#: (array with all axes, axes of a plane, name) of each image layer.
_Channels = tuple[tuple[Any, str, str], ...]
_Key = tuple[Any, ...]
#: Tiles of strokes, 64 KB each, that are kept from one preview to the next.
_MOST_KEPT = 1000


@dataclass(frozen=True, eq=False)
class StrokeTask:
    """What the worker is given; it reads the rest from the project.

    Parameters
    ----------
    image_id, plane
        What is shown.
    window
        Rows and columns in view.
    opened
        The layers' arrays of each image that is open, by image id. They are read where they are, not copied.
    n_changes
        Another number whenever something may have been painted.
    """

    project: Project
    image_id: int
    plane: tuple[int, ...]
    window: tuple[slice, slice]
    opened: Mapping[int, _Channels]
    n_changes: int

    @property
    def shown(self) -> _Key:
        """The key of the plane that is shown."""
        return self.image_id, self.plane, self.arrays(self.image_id)

    def arrays(self, image_id: int) -> tuple[int, ...]:
        """Tell the arrays of an open image from others."""
        return tuple(id(array) for array, _, _ in self.opened[image_id])


@dataclass(frozen=True, eq=False)
class PaintedPlane:
    """Strokes of a plane; ``key`` tells it from others, and from itself with other pixels."""

    record: ImageRecord
    plane: tuple[int, ...]
    key: _Key
    parts: tuple[PaintedPart, ...]


class KnownStrokes:
    """The strokes of all images of a project, read anew only when some may have changed."""

    def __init__(self) -> None:
        self._key: _Key | None = None
        self._planes: tuple[PaintedPlane, ...] = ()

    def planes(self, task: StrokeTask) -> Sequence[PaintedPlane]:
        """Return what is painted, that of the shown image first; images of the test set teach nothing else."""
        records = sorted(task.project.images(), key=lambda record: record.id != task.image_id)
        key = (
            task.n_changes, task.image_id, *((each, task.arrays(each)) for each in sorted(task.opened)),
            *((record.id, record.split, record.source) for record in records),
        )  # fmt: skip
        if key == self._key:
            return self._planes
        planes = tuple(_read_strokes(task, records))
        if sum(len(found.parts) for found in planes) <= _MOST_KEPT:
            self._key, self._planes = key, planes
        else:
            self._key, self._planes = None, ()
        return planes


def painted_image(session: Session) -> OpenImage | None:
    """Return the image that is painted, if its layers are there."""
    image = session.open_images.get(Source(session.source.image_ids))
    is_there = image is not None and all(
        find_by_id(session.viewer, identifier) for identifier in image.source.image_ids
    )
    return image if is_there else None


def make_task(
    session: Session,
    image: OpenImage,
    plane: tuple[int, ...],
    window: tuple[slice, slice],
    n_changes: int,
) -> StrokeTask:
    """Collect what the worker needs of the layers, on the GUI thread."""
    opened = {}
    for each in (image, *session.open_images.values()):
        ids = each.source.image_ids
        if each.image_id not in opened and all(find_by_id(session.viewer, i) for i in ids):
            opened[each.image_id] = planes_of(session.viewer, Source(ids), axes=0).channels
    project = session.ensure_project()
    return StrokeTask(project, image.image_id, plane, window, opened, n_changes)


def openers(
    task: StrokeTask, planes: Sequence[PaintedPlane]
) -> dict[_Key, Callable[[], ReadableImage]]:
    """Return, for the plane that is shown and for each painted one, by its key, a function that opens it."""
    found: dict[_Key, Callable[[], ReadableImage]] = {
        task.shown: partial(_open_layers, task.opened[task.image_id], task.plane)
    }
    for painted in planes:
        channels = task.opened.get(painted.record.id)
        found[painted.key] = (
            partial(_open_file, painted.record, painted.plane)
            if channels is None
            else partial(_open_layers, channels, painted.plane)
        )
    return found


def _read_strokes(task: StrokeTask, records: Sequence[ImageRecord]) -> Iterator[PaintedPlane]:
    """Read what is painted in images that are open or whose files are there."""
    for record in records:
        is_used = record.split != "test" or record.id == task.image_id
        if not is_used or not (record.id in task.opened or is_there(record)):
            continue
        # Other pixels, in a layer or in a file, make it another plane.
        pixels = task.arrays(record.id) if record.id in task.opened else _version(record)
        for plane in task.project.painted_planes(record.id):
            key = (record.id, plane, pixels)
            tiles = task.project.painted_tiles(record.id, plane)
            parts = tuple(PaintedPart(key, origin, labels) for origin, labels in tiles)
            yield PaintedPlane(record, plane, key, parts)


def _version(record: ImageRecord) -> tuple[str, int]:
    """Return what changes with an image's file."""
    try:
        return record.source, os.stat(record.source).st_mtime_ns
    except OSError:  # an address on the net
        return record.source, 0


def _open_layers(channels: _Channels, plane: tuple[int, ...]) -> LazyImage:
    return LazyImage(tuple((LazyPlane(array, plane, name), axes) for array, axes, name in channels))


def _open_file(record: ImageRecord, plane: tuple[int, ...]) -> CleanImage:
    return FilePlane(record, plane).clean()
