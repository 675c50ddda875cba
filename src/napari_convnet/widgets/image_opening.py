"""Making an image known to the project: hashed and searched for its cells in the background, once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from dataclasses import replace

import numpy as np
from napari.layers import Image
from napari.utils.notifications import show_warning
from qtpy.QtWidgets import QWidget

from napari_convnet.errors import UserError
from napari_convnet.progress import Progress
from napari_convnet.project import Project, content_hash
from napari_convnet.widgets.axes import file_of
from napari_convnet.widgets.background import JobResult
from napari_convnet.widgets.job_slot import JobSlot
from napari_convnet.widgets.layers import image_data
from napari_convnet.widgets.messages import guarded
from napari_convnet.widgets.object_index import ObjectIndex
from napari_convnet.widgets.open_image import OpenImage
from napari_convnet.widgets.placement import lie_alike
from napari_convnet.widgets.session import Session
from napari_convnet.widgets.source import Source, source_layers

_Found = tuple[str, ObjectIndex | None]

#: Bytes up to which an array is copied before it is looked at, so that nobody paints on it meanwhile. A larger
#: one would keep the GUI thread, and fill the memory, for longer than the look takes.
_LARGEST_COPY = 64 * 2**20


class ImageOpener:
    """Opens the image of a source in the session's project."""

    def __init__(self, dock: QWidget, session: Session) -> None:
        self._session = session
        self._slot = JobSlot(dock)

    @property
    def is_busy(self) -> bool:
        """Whether an image is being looked at."""
        return self._slot.state != "idle"

    def check(self, source: Source) -> None:
        """Refuse layers that cannot be annotated, before a project is started for them.

        Raises
        ------
        UserError
            CN-401, CN-404, CN-613, CN-616.
        """
        self._arrays(source)

    def open(self, source: Source, then: Callable[[bool], None]) -> None:
        """Call ``then(True)`` once the image is in ``session.open_images``, ``then(False)`` when it cannot be.

        Raises
        ------
        UserError
            CN-401, CN-404, CN-613, CN-616 for layers that cannot be annotated.
        """
        image, cells = self._arrays(source)
        known = self._session.open_images.get(source)
        if known is not None and known.shows(cells):
            then(True)
            return
        arrays = [_held(array) for array in (image, cells)]
        self._slot.start(
            lambda stop: _look_at(*arrays, stop), description="Looking at the image",
            on_progress=lambda _events: None,
            on_done=lambda result: then(bool(guarded(lambda: self._finish(source, cells, result)))),
        )  # fmt: skip

    def _arrays(self, source: Source) -> tuple:
        images, labels = source_layers(self._session.viewer, source)
        image = image_data(images[0])
        if labels is None:
            return image.array, None
        cells = image_data(labels).array
        if cells.shape != image.array.shape[: images[0].ndim]:
            raise UserError(
                "CN-613",
                f"Layer '{labels.name}' has shape {cells.shape} but image '{images[0].name}' has "
                f"{image.array.shape[: images[0].ndim]}. Nothing was changed. Choose labels of this image.",
            )
        if not lie_alike(images[0], labels):
            raise UserError(
                "CN-616",
                f"Layer '{labels.name}' lies elsewhere than image '{images[0].name}': scale {_short(labels.scale)} "
                f"and {_short(images[0].scale)}, position {_short(labels.translate)} and "
                f"{_short(images[0].translate)}. Nothing was changed. Give both the same scale and position, or "
                "choose labels of this image.",
            )
        return image.array, cells

    def _finish(self, source: Source, cells, result: JobResult) -> bool:
        if result.outcome != "finished":
            if result.error_text:
                show_warning(result.error_text)
            return False
        digest, objects = result.value
        images, labels = source_layers(self._session.viewer, source)
        project, layer = self._session.ensure_project(), images[0]
        known = project.find_images(content_hash=digest)
        image_id = known[0].id if known else project.add_image(
            name=layer.name, source=file_of(layer), shape=image_data(layer).array.shape,
            dtype=str(image_data(layer).array.dtype), axes=_axis_letters(layer),
            pixel_size=tuple(float(s) for s in layer.scale), units=tuple(str(u) for u in layer.units),
            content_hash=digest,
        )  # fmt: skip
        opened = OpenImage(image_id, source, labels.name if labels else "", objects, cells)
        if labels is not None:
            opened = replace(opened, labels_name=_known_name(project, opened))
        self._session.open_images[source] = opened
        return True


def _held(array):
    is_copied = isinstance(array, np.ndarray) and array.nbytes <= _LARGEST_COPY
    return np.array(array) if is_copied else array


def _short(numbers: np.ndarray) -> str:
    return f"({', '.join(f'{number:.4g}' for number in numbers)})"


def _known_name(project: Project, image: OpenImage) -> str:
    """Return the name under which the project knows a label layer, which napari may call otherwise now."""
    known: dict[str, list[bool]] = {}
    for annotation in project.object_annotations(image.image_id):
        known.setdefault(annotation.labels_name, []).append(image.has_cell(annotation))
    if image.labels_name in known:
        return image.labels_name
    fitting = [(sum(fits), name) for name, fits in known.items() if all(fits)]
    return max(fitting)[1] if fitting else image.labels_name


def _look_at(image, labels, _stop: threading.Event) -> Generator[Progress, None, _Found]:
    """Hash an image and find its objects; runs in the worker."""
    yield Progress(done=0, total=2, text="reading the image")
    digest = content_hash(image)
    yield Progress(done=1, total=2, text="finding the cells")
    return digest, None if labels is None else ObjectIndex.of(np.asarray(labels))


def _axis_letters(layer: Image) -> str:
    """Return one letter for each axis, "?" where napari only knows a number, and C for colour."""
    letters = [label if len(label) == 1 else "?" for label in map(str, layer.axis_labels)]
    return "".join([*letters[:-2], "Y", "X", *("C" if layer.rgb else "")])
