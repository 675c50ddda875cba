"""Opening a project with its images: the reader of ``*.convnet`` files, and what the dock's menu uses.

A layer that napari opens itself knows its file, which is how a project finds it again; so the images are
opened by the viewer one by one, and the reader gives napari no layer of its own.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from napari.utils.notifications import show_info, show_warning

from napari_convnet.widgets.closed_images import is_there
from napari_convnet.widgets.messages import guarded

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_convnet.project import ImageRecord
    from napari_convnet.widgets.session import Session

#: What napari takes for a file without layers.
NO_LAYERS: list[tuple[None]] = [(None,)]
#: A project may have hundreds of images; so many are opened with it, up to so many bytes of pixels.
_MOST_IMAGES, _MOST_BYTES = 5, 2**30


def get_reader(path: str | list[str]) -> Callable[[str], list[tuple[None]]] | None:
    """Return the reader of one project file, None for anything else: napari's reader contribution."""
    if isinstance(path, str | Path) and str(path).lower().endswith(".convnet"):
        return read_project
    return None


def read_project(path: str) -> list[tuple[None]]:
    """Open a project in the viewer that is used now; what is wrong with it is shown as a message."""
    from napari import current_viewer

    from napari_convnet.widgets.session import session_of

    viewer = current_viewer()
    if viewer is None:
        show_warning(f"'{Path(path).name}' is a project: open it in napari's window.")
        return NO_LAYERS
    # The window is shown by now also for `napari x.convnet`; the dock may offer an older project first.
    viewer.window.add_plugin_dock_widget("napari-convnet", "Annotate")
    guarded(lambda: open_project(session_of(viewer), Path(path)))
    return NO_LAYERS


def open_project(session: Session, path: Path) -> None:
    """Make a project that of the session and open its images where they can be found.

    Raises
    ------
    UserError
        If the project cannot be opened; the session's own one then stays as it is.
    """
    present = session.project
    if present is not None and present.path == Path(os.path.realpath(path)):
        show_info(f"'{present.path.name}' is open already.")
        return
    session.open_project(path)
    _open_images(session)


def _open_images(session: Session) -> None:
    viewer = session.viewer
    shown = {str(layer.source.path) for layer in viewer.layers if layer.source.path}
    by_file: dict[str, ImageRecord] = {}
    for image in session.project.images():  # two resolutions of one file are two images
        by_file.setdefault(image.source, image)
    waiting = [image for source, image in by_file.items() if source and source not in shown]
    missing = [image for image in waiting if not is_there(image)]
    found = [image for image in waiting if image not in missing]
    chosen = _first_that_fit(found)
    failed = [image for image in chosen if not _open_image(viewer, image)]
    if missing or failed:
        first = (missing + failed)[0]
        count = len(missing) + len(failed)
        others = f" and {count - 1} more" if count > 1 else ""
        show_warning(
            f"'{first.name[:60]}'{others} could not be opened (was '{first.source[-90:]}'). Annotations are safe: "
            "open the image from where it is now, and they come back with it."
        )
    if len(found) > len(chosen):
        show_info(
            f"{len(found) - len(chosen)} more images belong to this project. Open them when you need them."
        )


def _first_that_fit(images: list[ImageRecord]) -> list[ImageRecord]:
    """Return the first images, at least one, that together stay within the limits."""
    import numpy as np

    chosen: list[ImageRecord] = []
    total = 0
    for image in images[:_MOST_IMAGES]:
        size = np.dtype(image.dtype).itemsize
        for length in image.shape:
            size *= length
        total += size
        if chosen and total > _MOST_BYTES:
            break
        chosen.append(image)
    return chosen


def _open_image(viewer: Viewer, image: ImageRecord) -> bool:
    from napari.layers import Image

    from napari_convnet.widgets.image_switching import layers_showing, open_file

    try:
        opened = open_file(viewer, image.source)
        layers_showing(viewer, image, [layer for layer in opened if isinstance(layer, Image)])
        return bool(opened)
    except Exception:  # noqa: BLE001 - a reader is code of another plugin, and the file may be anything
        return False
