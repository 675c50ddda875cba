"""Pictures of results: outlines and tints over the image, with a legend that says how many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage
from skimage.segmentation import find_boundaries

from napari_convnet.classes import ClassInfo

#: Pictures have this many screen pixels to an image pixel, so that outlines stay thin and text readable.
ZOOM = 2
_TEXT_SIZE = 22
_MARGIN = 12


def draw_objects(
    image: np.ndarray, objects: np.ndarray, values: np.ndarray, classes: Sequence[ClassInfo]
) -> np.ndarray:
    """Outline objects in the colour of their class and tint them.

    Parameters
    ----------
    image
        ``(Y, X, 3)`` uint8.
    objects
        ``(Y, X)`` labels, 0 = background.
    values
        Class value by label; 0 = not drawn.

    Returns
    -------
    numpy.ndarray
        ``(ZOOM * Y, ZOOM * X, 3)`` uint8.
    """
    labels = _enlarged(np.where(values[objects] > 0, objects, 0))
    outlines = ndimage.binary_dilation(find_boundaries(labels, mode="inner")) & (labels > 0)
    return _tinted(image, values[labels], outlines, classes)


def draw_strokes(
    image: np.ndarray, strokes: np.ndarray, classes: Sequence[ClassInfo]
) -> np.ndarray:
    """Draw painted pixels ``(Y, X)`` in full colour over an image ``(Y, X, 3)`` uint8."""
    values = _enlarged(strokes)
    return _tinted(image, values, values > 0, classes)


def mark(picture: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Draw a white cross with a black rim at positions ``(N, 2)``, rows and columns of the image."""
    drawn = Image.fromarray(picture)
    pen = ImageDraw.Draw(drawn)
    for row, column in positions * ZOOM:
        for colour, width in (("black", 7), ("white", 3)):
            for slope in (-1, 1):
                ends = [(column - 9, row - 9 * slope), (column + 9, row + 9 * slope)]
                pen.line(ends, fill=colour, width=width)
    return np.asarray(drawn)


def with_legend(
    picture: np.ndarray, title: str, entries: Mapping[str, str], remark: str = ""
) -> Image.Image:
    """Put a title and a legend under a picture.

    Parameters
    ----------
    entries
        Text of each entry and its colour ``#rrggbb``.
    remark
        Another line below.
    """
    font = ImageFont.load_default(_TEXT_SIZE)
    line = _TEXT_SIZE + _MARGIN
    n_lines = 2 + bool(remark)
    height, width = picture.shape[:2]
    page = Image.new("RGB", (width, height + n_lines * line + _MARGIN), "white")
    page.paste(Image.fromarray(picture))
    pen = ImageDraw.Draw(page)
    pen.text((_MARGIN, height + _MARGIN), title, "black", font)
    left, top = _MARGIN, height + _MARGIN + line
    for text, colour in entries.items():
        box = (left, top + 3, left + _TEXT_SIZE, top + 3 + _TEXT_SIZE)
        pen.rectangle(box, fill=colour, outline="black")
        pen.text((left + _TEXT_SIZE + 8, top), text, "black", font)
        left += _TEXT_SIZE + 8 + round(pen.textlength(text, font)) + 3 * _MARGIN
    if remark:
        pen.text((_MARGIN, top + line), remark, "black", font)
    return page


def _enlarged(image: np.ndarray) -> np.ndarray:
    return image.repeat(ZOOM, axis=0).repeat(ZOOM, axis=1)


def _tinted(
    image: np.ndarray, values: np.ndarray, solid: np.ndarray, classes: Sequence[ClassInfo]
) -> np.ndarray:
    """Colour an enlarged image by class values: fully where ``solid``, as a tint elsewhere."""
    size = (image.shape[1] * ZOOM, image.shape[0] * ZOOM)
    picture = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC))
    palette = np.array([(0, 0, 0), *(_rgb(info.colour) for info in classes)], np.float32)
    share = np.where(values > 0, np.where(solid, 1.0, 0.25), 0.0)[..., np.newaxis]
    return (picture * (1 - share) + palette[values] * share).round().astype(np.uint8)


def _rgb(colour: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(colour[1:]))
