"""Pictures of located positions: rings on an image, a track on a film."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from napari_convnet.images.pictures import grey_to_rgb
from napari_convnet.model_file import Model
from napari_convnet.prediction.many_images.sources import Source

#: Small images are enlarged to about this side, so that a fraction of a pixel can be seen.
_SIDE = 512


def draw_positions(
    source: Source, found: Sequence[tuple[int, np.ndarray, np.ndarray, np.ndarray]], model: Model
) -> Image.Image:
    """Draw rings around the positions of an image, in the colours of their classes.

    Of a film, one picture is drawn: the first frame, and a line from position to position where there is one a
    frame, else the first frame's rings.
    """
    pixels = source.frames[0].pixels
    shown = grey_to_rgb(pixels[0] if len(pixels) != 3 else pixels.max(0))
    zoom = max(1, round(_SIDE / max(shown.shape[:2])))
    size = (shown.shape[1] * zoom, shown.shape[0] * zoom)
    picture = Image.fromarray(shown).resize(size, Image.Resampling.NEAREST)
    pen = ImageDraw.Draw(picture)
    colours = [entry.colour for entry in model.card.classes]

    def at(position: np.ndarray) -> tuple[float, float]:
        return float((position[1] + 0.5) * zoom), float((position[0] + 0.5) * zoom)

    if source.is_film and all(len(positions) == 1 for _, positions, _, _ in found):
        points = [at(positions[0]) for _, positions, _, _ in found]
        pen.line(points, fill=colours[0], width=1)
    radius = zoom * (model.card.locate.sigma or 1.0) * 1.5
    for (y, x), value in zip(found[0][1], found[0][2], strict=True):
        column, row = at((y, x))
        box = (column - radius, row - radius, column + radius, row + radius)
        pen.ellipse(box, outline=colours[value - 1], width=2)
    return picture
