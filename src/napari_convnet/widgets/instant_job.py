"""The background part of the instant preview: strokes of all images of the project, and the pixels below them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from napari_convnet.images import LazyImage, LazyPlane
from napari_convnet.instant import (
    FeatureStore,
    InMemory,
    PaintedPart,
    PreviewLearned,
    PreviewRequest,
    missing_strokes,
    prepare,
    preview_steps,
)
from napari_convnet.instant.features import ReadableImage
from napari_convnet.progress import Progress
from napari_convnet.project import ImageRecord, Project
from napari_convnet.widgets.closed_images import FilePlane, is_there
from napari_convnet.widgets.open_image import OpenImage
from napari_convnet.widgets.planes import planes_of
from napari_convnet.widgets.session import Session
from napari_convnet.widgets.source import Source, find_by_id

#: (array with all axes, axes of a plane, name) of each image layer.
_Channels = tuple[tuple[Any, str, str], ...]
_Key = tuple[Any, ...]


@dataclass(frozen=True, eq=False)
class InstantTask:
    """What the worker is given; it reads the rest from the project.

    Parameters
    ----------
    image_id, plane
        What is shown.
    window
        Rows and columns in view.
    opened
        The layers' arrays of each image that is open, by image id. They are read where they are, not copied.
    """

    project: Project
    image_id: int
    plane: tuple[int, ...]
    window: tuple[slice, slice]
    opened: Mapping[int, _Channels]

    def key(self, image_id: int, plane: tuple[int, ...]) -> _Key:
        """Name a plane; other pixels in a layer make it another one."""
        arrays = tuple(id(array) for array, _, _ in self.opened.get(image_id, ()))
        return image_id, plane, arrays


def make_task(
    session: Session, image: OpenImage, plane: tuple[int, ...], window: tuple[slice, slice]
) -> InstantTask:
    """Collect what the worker needs of the layers, on the GUI thread."""
    opened = {}
    for each in (image, *session.open_images.values()):
        ids = each.source.image_ids
        if each.image_id not in opened and all(find_by_id(session.viewer, i) for i in ids):
            opened[each.image_id] = planes_of(session.viewer, Source(ids), axes=0).channels
    return InstantTask(session.ensure_project(), image.image_id, plane, window, opened)


def instant_steps(
    task: InstantTask, store: FeatureStore, stop: threading.Event
) -> Generator[Progress, None, PreviewLearned | str | None]:
    """Make a preview; runs in the worker.

    Strokes in files that were not read yet join when what is in view has been shown without them.

    Returns
    -------
    PreviewLearned, str or None
        What is missing, in words, where nothing can be learned yet; None after a stop.
    """
    yield Progress(done=0, total=0, text="getting ready")
    prepare()
    if stop.is_set():
        return None
    yield Progress(done=0, total=0, text="looking at the strokes")
    request, later = _request(task, store)
    result: PreviewLearned | str | None = None
    for painted in (request.painted, (*request.painted, *later)):
        values = {int(value) for part in painted for value in set(part.labels.ravel())} - {0}
        result = missing_strokes(sorted(values)) or result
        if not missing_strokes(sorted(values)):
            result = yield from preview_steps(replace(request, painted=painted), store, stop)
        if stop.is_set() or not later:
            break
    return result


def _request(task: InstantTask, store: FeatureStore) -> tuple[PreviewRequest, list[PaintedPart]]:
    """Return the request without strokes in files that are still to be read, and these."""
    shown = task.key(task.image_id, task.plane)
    images: dict[_Key, Callable[[], ReadableImage]] = {
        shown: partial(_open_layers, task.opened[task.image_id], task.plane)
    }
    now: list[PaintedPart] = []
    later: list[PaintedPart] = []
    for record, plane in _painted_planes(task):
        key, is_open = task.key(record.id, plane), record.id in task.opened
        if is_open:
            images[key] = partial(_open_layers, task.opened[record.id], plane)
        elif is_there(record):
            images[key] = partial(_open_file, record, plane)
        else:
            continue
        for origin, labels in task.project.painted_tiles(record.id, plane):
            part = PaintedPart(key, origin, labels)
            (now if is_open or store.is_known(part) else later).append(part)
    return PreviewRequest(images, now, shown, task.window), later


def _painted_planes(task: InstantTask) -> Iterator[tuple[ImageRecord, tuple[int, ...]]]:
    """Yield the painted planes, those of the shown image first; images of the test set teach nothing else."""
    records = sorted(task.project.images(), key=lambda record: record.id != task.image_id)
    for record in records:
        if record.split != "test" or record.id == task.image_id:
            for plane in task.project.painted_planes(record.id):
                yield record, plane


def _open_layers(channels: _Channels, plane: tuple[int, ...]) -> LazyImage:
    return LazyImage(tuple((LazyPlane(array, plane, name), axes) for array, axes, name in channels))


def _open_file(record: ImageRecord, plane: tuple[int, ...]) -> InMemory:
    return InMemory(FilePlane(record, plane).clean())
