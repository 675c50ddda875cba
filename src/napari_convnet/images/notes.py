"""What a person should know about an image that was taken although not all of it could be."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

#: float32 tells whole numbers apart up to here.
_LARGEST_EXACT = 2**24
#: Several images may say the same; more lines than this are counted only.
_MOST_LINES = 5


@dataclass(frozen=True)
class ImageNote:
    """One thing about one image or channel.

    Parameters
    ----------
    name
        Of the image or channel.
    text
        What it is and what was done, without a full stop.
    """

    name: str
    text: str

    def __str__(self) -> str:
        return f"'{self.name}': {self.text}."


def describe_notes(notes: Iterable[ImageNote]) -> tuple[str, ...]:
    """Return the notes as lines for a person; images that have the same to say share one."""
    names: dict[str, list[str]] = {}
    for note in dict.fromkeys(notes):
        names.setdefault(note.text, []).append(note.name)
    lines = []
    for text, (first, *others) in names.items():
        more = f" and {len(others):,} other{'s' if len(others) > 1 else ''}" if others else ""
        lines.append(f"'{first}'{more}: {text}.")
    if len(lines) > _MOST_LINES:
        lines[_MOST_LINES:] = [f"{len(lines) - _MOST_LINES:,} more notes on other images."]
    return tuple(lines)


def invalid_pixels(n: int) -> str:
    """Say that pixels which are no numbers count as background."""
    pixels = "1 invalid pixel (NaN or infinite) was" if n == 1 else (
        f"{n:,} invalid pixels (NaN or infinite) were"
    )  # fmt: skip
    return f"{pixels} treated as background"


def is_rounded(pixels: np.ndarray, dtype: np.dtype) -> bool:
    """Return whether pixels, whose type was ``dtype``, are whole numbers larger than float32 tells apart."""
    if dtype.kind not in "ui" or dtype.itemsize < 4 or not pixels.size:
        return False
    return max(int(pixels.max()), -int(pixels.min())) > _LARGEST_EXACT


ROUNDED = f"values above {_LARGEST_EXACT:,} are rounded, so neighbouring ones may become equal"
TRANSPARENCY = "its transparency (fourth channel) was left out"


def no_contrast(pixels: np.ndarray) -> str:
    """Say that ``(C, Y, X)`` shows nothing, or return ""."""
    low, high = pixels.min((1, 2)), pixels.max((1, 2))
    if (low < high).any():
        return ""
    values = f"all pixels are {low[0]:g}" if len(low) == 1 else "each channel has one value only"
    return f"no contrast, {values}"
