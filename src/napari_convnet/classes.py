"""Classes: what an annotation can say, with a name and a colour each.

Label values everywhere: 0 is "not annotated", k is the k-th class (1-based).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from napari_convnet.errors import UserError

#: At most this many classes, because class maps are ``uint8`` with 0 reserved.
MAX_CLASSES = 255

#: Okabe and Ito's colours without black (Okabe & Ito 2008, https://jfly.uni-koeln.de/color/), then those that
#: lie farthest from all before (CIEDE2000, lightness 38 to 93) for normal sight, protanopia, deuteranopia and
#: tritanopia (Machado et al. 2009, https://doi.org/10.1109/TVCG.2009.113): 10 or more for the first 15, 5.9 for all.
PALETTE = (
    "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#bbddbb",
    "#775555", "#bb0000", "#00ffff", "#bb0077", "#bbbb77", "#7777ff", "#bb9999", "#ffbbdd",
    "#7700ff", "#997755", "#99ff99", "#999955", "#99bbbb", "#dd0033", "#dd0099", "#ff77dd",
    "#dd33dd", "#ffdddd", "#77dd99", "#777777", "#ddbb55", "#007733", "#bb0055", "#9999bb",
)  # fmt: skip


@dataclass(frozen=True)
class ClassInfo:
    """One class: its name and its colour as ``#rrggbb``."""

    name: str
    colour: str

    def __post_init__(self) -> None:
        if not self.name.strip() or len(self.name) > 60:
            raise UserError("CN-511", "A class needs a name of 1 to 60 characters.")
        if not re.fullmatch(r"#[0-9a-fA-F]{6}", self.colour):
            raise UserError("CN-512", f"'{self.colour}' is not a colour of the form #rrggbb.")


def palette_colour(index: int) -> str:
    """Return the colour of the class at 0-based ``index``, repeating after the palette's end."""
    return PALETTE[index % len(PALETTE)]


def make_classes(names: Iterable[str]) -> tuple[ClassInfo, ...]:
    """Give every name the palette's next colour.

    Raises
    ------
    UserError
        If a name is empty, given twice, or there are more than 255.
    """
    names = tuple(names)
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UserError("CN-513", f"Two classes are called '{twice}'. Give each its own name.")
    if len(names) > MAX_CLASSES:
        raise UserError(
            "CN-514",
            f"{len(names)} classes: at most {MAX_CLASSES}. Is this an instance label image?",
        )
    return tuple(ClassInfo(name, palette_colour(index)) for index, name in enumerate(names))


def background_index(classes: tuple[ClassInfo, ...]) -> int:
    """Return the index of the class that forms no objects: the one called "background", else the first."""
    names = [info.name.strip().casefold() for info in classes]
    return names.index("background") if "background" in names else 0
