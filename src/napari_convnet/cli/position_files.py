"""Tables of positions, and the images and films that they belong to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_convnet.cli.console import say_ignored
from napari_convnet.errors import UserError
from napari_convnet.exchange.tables import read_table
from napari_convnet.images import CleanImage
from napari_convnet.prediction.many_images import Source, open_source


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
            if not sources[name].is_film:
                say_ignored(sources[name].frames[0])
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
