"""The background part of the list of images: which files are there, how they look, where lost ones went."""

from __future__ import annotations

import os
import threading
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_convnet.progress import Progress
from napari_convnet.project import ImageRecord, content_hash
from napari_convnet.widgets.arrangement import possible_images
from napari_convnet.widgets.closed_images import is_there, read_image_layers

#: Larger files are shown without a picture, so that a list of slides is there at once.
_LARGEST_FILE = 300 * 2**20
_SIDE, _MOST_CHANNELS = 40, 16


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageSeen(Progress):
    """An image of the list was looked at.

    Parameters
    ----------
    image_id
        The project's id.
    is_missing
        Whether its file is not where it was.
    picture
        ``(Y, X, 3)`` uint8, at most 40 pixels a side, or None.
    """

    image_id: int
    is_missing: bool
    picture: np.ndarray | None


def look_at_images(
    images: Sequence[ImageRecord], seen: frozenset[int], stop: threading.Event
) -> Generator[Progress, None, None]:
    """Tell of each image whether its file is there, then how those look that were not ``seen`` yet."""
    there = [image for image in images if image.source and is_there(image)]
    ids = {image.id for image in there}
    pictures = [image for image in there if image.id not in seen]
    total = len(images) + len(pictures)
    for done, image in enumerate(images, start=1):
        is_missing = image.id not in ids and bool(image.source)
        yield ImageSeen(
            done=done, total=total, text="looking for the images", image_id=image.id,
            is_missing=is_missing, picture=None,
        )  # fmt: skip
    for done, image in enumerate(pictures, start=len(images) + 1):
        if stop.is_set():
            return
        yield ImageSeen(
            done=done, total=total, text="making small pictures", image_id=image.id,
            is_missing=False, picture=_picture_of(image),
        )  # fmt: skip


def find_missing(
    missing: Sequence[ImageRecord], folder: Path, stop: threading.Event
) -> Generator[Progress, None, dict[int, str]]:
    """Look for images in a folder and all below it; return the path of each that was found.

    A file is the image if it has its pixels. Files of its name are tried first, then those of its
    size, whatever they are called.
    """
    yield Progress(done=0, total=0, text=f"listing {folder.name}")
    by_name: dict[str, list[Path]] = {}
    by_size: dict[int, list[Path]] = {}
    for place, _folders, names in os.walk(folder):
        if stop.is_set():
            return {}
        for name in names:
            path = Path(place, name)
            by_name.setdefault(name.lower(), []).append(path)
    if any(image.file_size >= 0 for image in missing):
        for path in (path for paths in by_name.values() for path in paths):
            try:
                by_size.setdefault(path.stat().st_size, []).append(path)
            except OSError:  # gone, or a broken link
                continue
    found: dict[int, str] = {}
    for done, image in enumerate(missing, start=1):
        name = image.source.replace("\\", "/").rsplit("/", 1)[-1].lower()
        candidates = dict.fromkeys((*by_name.get(name, ()), *by_size.get(image.file_size, ())))
        for path in candidates:
            if stop.is_set():
                return found
            if holds(path, image):
                found[image.id] = str(path)
                break
        yield Progress(done=done, total=len(missing), text="comparing images")
    return found


def holds(path: Path, image: ImageRecord) -> bool:
    """Return whether a file holds the pixels of an image of the project, maybe as one of its first channels."""
    return any(
        content_hash(part) == image.content_hash
        for array in _read(path)
        for parts in possible_images(array, image.shape)
        for part in parts[:_MOST_CHANNELS]
    )


def _read(path: Path | str) -> Iterator[Any]:
    """Yield the arrays of a file's images; none if it is no image."""
    try:
        layers = read_image_layers(str(path))
    except Exception:  # noqa: BLE001 - any reader of anyone's; a file that cannot be read is no image
        return
    yield from (array for array, _arguments in layers)


def _picture_of(image: ImageRecord) -> np.ndarray | None:
    """Return a small picture of a file, or None for one that is large or cannot be read."""
    if "://" in image.source or os.path.getsize(image.source) > _LARGEST_FILE:
        return None
    return next((small_picture(array) for array in _read(image.source)), None)


def small_picture(array: Any, side: int = _SIDE) -> np.ndarray | None:
    """Return ``(Y, X, 3)`` uint8 of the middle plane of an image, bright as napari would show it.

    ``side`` is the most pixels that it may have along an axis.
    """
    is_colour = array.ndim >= 3 and array.shape[-1] in (3, 4)
    n_leading = array.ndim - 2 - is_colour
    if n_leading < 0 or 0 in array.shape:
        return None
    plane = array[tuple(size // 2 for size in array.shape[:n_leading])]
    step = max(1, -(-max(plane.shape[:2]) // side))
    small = np.nan_to_num(np.asarray(plane[::step, ::step]).astype(np.float32))
    if is_colour:
        small = small[..., :3] / (255 if array.dtype == np.uint8 else max(1e-9, small.max())) * 255
    else:
        low, high = np.percentile(small, (1, 99.5))
        small = np.repeat(((small - low) / max(1e-9, high - low) * 255)[..., None], 3, axis=-1)
    return np.ascontiguousarray(small.clip(0, 255).astype(np.uint8))
