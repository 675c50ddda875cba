"""Tables of positions, and the images and films that they belong to."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import tifffile

from napari_convnet.cli.console import say_ignored
from napari_convnet.errors import UserError
from napari_convnet.exchange.tables import read_table
from napari_convnet.folders import list_images, read_array, read_image
from napari_convnet.images import CleanImage, clean_image
from napari_convnet.samples import Film

_MICROMETRE = ("um", "\u00b5m", "\u03bcm", "micron", "microns", "micrometer", "\\u00B5m")


class FrameFolder(Sequence[CleanImage]):
    """A folder of frames, in the order of their names, each read when it is asked for."""

    def __init__(self, folder: Path) -> None:
        self.files = list_images(folder)
        if not self.files:
            raise UserError("CN-636", f"'{folder}' holds no images. Check the path.")

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index):
        if isinstance(index, slice):
            return [self[k] for k in range(*index.indices(len(self)))]
        return read_image(self.files[index])


@dataclass(frozen=True)
class Source:
    """An image, or a film: a file with several planes, or a folder of frames.

    Parameters
    ----------
    path
        File or folder.
    frames
        One frame for an image.
    is_film
        Whether frames have numbers.
    """

    path: Path
    frames: Sequence[CleanImage]
    is_film: bool

    @cached_property
    def pixel_size_um(self) -> float | None:
        """Side of a pixel in micrometres where the file says so."""
        file = self.frames.files[0] if isinstance(self.frames, FrameFolder) else self.path
        return pixel_size_um(file)


def open_source(path: Path, *, is_film: bool | None = None) -> Source:
    """Open an image or a film.

    Parameters
    ----------
    is_film
        Whether it is a film; by default a folder and a file with three axes that are no colours or channels
        are.

    Raises
    ------
    UserError
        CN-634, CN-60x for files that cannot be used, CN-631 if there is none.
    """
    if not path.exists():
        raise UserError("CN-631", f"There is no file or folder '{path}'. Check the path.")
    if path.is_dir():
        return Source(path, FrameFolder(path), True)
    array, axes = read_array(path)
    if array.ndim == 2 or axes == "YXC" or (axes == "CYX" and not is_film):
        image = clean_image(array, axes, path.name)
        say_ignored(image)
        return Source(path, [image], False)
    axes = "TYXC" if array.ndim == 4 and array.shape[-1] in (3, 4) else "TCYX"
    return Source(path, Film(array, axes if array.ndim == 4 else "TYX", path.name), True)


@dataclass(frozen=True)
class Marked:
    """The positions of one image or frame.

    Parameters
    ----------
    source
        Where it is from.
    frame
        Its number there; 0 for an image.
    centres
        ``(N, 2)`` rows and columns in pixels.
    class_names
        Of each position; "" where the table has no classes.
    """

    source: Source
    frame: int
    centres: np.ndarray
    class_names: tuple[str, ...]

    @property
    def image(self) -> CleanImage:
        """The image or frame itself, read now."""
        return self.source.frames[self.frame]


def read_positions(table: Path, folder: Path) -> list[Marked]:
    """Read a table of positions of the images in a folder.

    Parameters
    ----------
    table
        CSV with the columns ``image`` (name of a file, or of a folder of frames), ``y``, ``x`` in pixels, and
        if wanted ``frame`` (from 0) and ``class``.

    Raises
    ------
    UserError
        CN-65x for a table with an error in it, naming the line; CN-631 for an image that is not there.
    """
    rows = read_table(table, ("image", "y", "x"))
    if not rows:
        raise UserError("CN-621", f"'{table.name}' has no positions. Mark some, then train.")
    found: dict[tuple[str, int], list] = {}
    sources: dict[str, Source] = {}
    for row in rows:
        name, has_frame = row.text("image"), row.text("frame") != ""
        if name not in sources:
            path = folder / name
            if not path.resolve().is_relative_to(folder.resolve()):
                row.refuse(f"'{name}' is not in the folder of images")
            sources[name] = open_source(path, is_film=has_frame)
        if sources[name].is_film and not has_frame:
            row.refuse(f"'{name}' is a film, so a frame number is needed")
        last = len(sources[name].frames) - 1
        frame = row.whole("frame", 0, last) if sources[name].is_film else 0
        place = (row.number("y"), row.number("x"))
        found.setdefault((name, frame), []).append((place, row.text("class")))
    return [
        Marked(
            sources[name],
            frame,
            np.array([place for place, _ in places]),
            tuple(class_name for _, class_name in places),
        )
        for (name, frame), places in sorted(found.items())
    ]


def pixel_size_um(path: Path) -> float | None:
    """Return the side of a pixel in micrometres that a TIFF file states, or None."""
    if path.suffix.lower() not in (".tif", ".tiff"):
        return None
    try:
        with tifffile.TiffFile(path) as file:
            if file.is_ome:
                return _size_in_ome(file.ome_metadata or "")
            unit = (file.imagej_metadata or {}).get("unit", "")
            resolution = file.pages[0].tags.get("XResolution")
            if unit not in _MICROMETRE or resolution is None or not resolution.value[0]:
                return None
            return resolution.value[1] / resolution.value[0]
    except (OSError, ValueError, KeyError, IndexError, TypeError):
        return None  # how large a pixel is must not keep anybody from reading the image


def _size_in_ome(text: str) -> float | None:
    size = re.search(r'PhysicalSizeX="([0-9.eE+-]+)"', text)
    unit = re.search(r'PhysicalSizeXUnit="([^"]*)"', text)
    if size is None or (unit is not None and unit.group(1) not in _MICROMETRE):
        return None
    return float(size.group(1)) or None
