"""Image files read as samples: resized at once, what is broken named, what was unequal said."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_convnet.errors import UserError
from napari_convnet.folders import ClassFolder
from napari_convnet.images import CleanImage
from napari_convnet.progress import Progress
from napari_convnet.samples.patches import resize_patch

#: Names in a message; of more only the number is told.
_MOST_NAMES = 3
#: Images whose brightest pixel is below one of 8 bits, and others so many times above it, are not alike.
_EIGHT_BITS, _OTHER_SCALE = 255, 4


@dataclass(frozen=True, eq=False)
class ImageFiles:
    """Images of a folder, resized.

    Parameters
    ----------
    images
        Those that could be read.
    kept
        ``(N,)`` their indices in the folder.
    broken
        Why the others could not be read.
    note
        What was unequal and what was done about it, in plain words, or "".
    """

    images: tuple[CleanImage, ...]
    kept: np.ndarray
    broken: dict[Path, str]
    note: str


def read_image_files(
    folder: ClassFolder,
    size: int,
    *,
    skip_broken: bool = False,
    stop: threading.Event | None = None,
) -> Generator[Progress, None, ImageFiles | None]:
    """Read all images of a folder and resize them to squares of ``size`` pixels; None when stopped.

    Raises
    ------
    UserError
        CN-634 naming the images that cannot be read, unless they shall be skipped.
    """
    images: list[CleanImage] = []
    kept: list[int] = []
    broken: dict[Path, str] = {}
    looks: list[tuple[int, int, int, float]] = []
    for index, path in enumerate(folder.files):
        if stop is not None and stop.is_set():
            return None
        try:
            image = folder.read(index)
        except UserError as error:
            broken[path] = f"{error.code} {error.message}"
        else:
            looks.append((*image.shape, image.n_channels, float(image.pixels.max())))
            # Only what the network will see stays in memory.
            images.append(CleanImage(resize_patch(image.pixels, size), None, image.name))
            kept.append(index)
        yield Progress(done=index + 1, total=len(folder.files), text="reading images")
    if broken and not (skip_broken and kept):
        raise _refusal(broken, len(folder.files))
    return ImageFiles(tuple(images), np.array(kept, np.int64), broken, describe_looks(looks, size))


def _refusal(broken: dict[Path, str], n_files: int) -> UserError:
    names = ", ".join(f"'{path.name[:40]}'" for path in list(broken)[:_MOST_NAMES])
    more = ", ..." if len(broken) > _MOST_NAMES else ""
    return UserError(
        "CN-634",
        f"{len(broken)} of {n_files} images cannot be read: {names}{more}. Nothing was trained. Repair or remove "
        "them, or leave them out with --skip-broken.",
        details="\n".join(f"{path}: {why}" for path, why in broken.items()),
    )


def describe_looks(looks: Sequence[tuple[int, int, int, float]], size: int) -> str:
    """Say what is unequal among images of (height, width, channels, brightest pixel)."""
    if not looks:
        return ""
    parts = []
    shapes = {(height, width) for height, width, _, _ in looks}
    if shapes != {(size, size)}:
        low, high = min(shapes), max(shapes)
        what = f"{high[0]} x {high[1]}"
        if len(shapes) > 1:
            what = f"{len(shapes)} sizes, {low[0]} x {low[1]} to {what}"
        parts.append(f"images ({what} pixels) are resized to {size} x {size}")
    channels = Counter(n for _, _, n, _ in looks)
    if len(channels) > 1 and max(channels) == 3:
        parts.append(f"{channels[1]} grey images are taken as colour ones")
    maxima = np.array([brightest for *_, brightest in looks])
    is_small = maxima <= _EIGHT_BITS
    if is_small.any() and (maxima > _OTHER_SCALE * _EIGHT_BITS).any():
        parts.append(
            f"{is_small.sum()} images have 8 bits and {(~is_small).sum()} more, so their brightness cannot be "
            "compared: save all alike"
        )
    return "; ".join(parts)
