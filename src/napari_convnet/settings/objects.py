"""How a mask becomes objects: every option of the Predict dock and of `napari-convnet predict`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from napari_convnet.settings.fields import Checked


@dataclass(frozen=True)
class ObjectSettings(Checked):
    """How a mask becomes objects; the defaults suit cells and nuclei of more than some 5 pixels across."""

    touching: Annotated[str, {
        "choices": ("automatic", "shape", "off"), "label": "separate touching", "group": "objects",
        "tooltip": "automatic: cut touching objects apart as a model has learned that was trained on whole objects, "
        "and where they narrow if it was not; shape: always where they narrow; off: what touches is one object.",
    }] = "automatic"  # fmt: skip
    strength: Annotated[int, {
        "min": 0, "max": 100, "group": "objects",
        "tooltip": "Higher cuts at shallower waists, so objects fall into more pieces; lower keeps them together.",
    }] = 50  # fmt: skip
    smallest_area: Annotated[int, {
        "min": 1, "max": 1_000_000, "group": "objects",
        "tooltip": "Objects of fewer pixels are left out.",
    }] = 20  # fmt: skip
    fill_holes: Annotated[int, {
        "min": 0, "max": 100_000_000, "label": "fill holes up to", "group": "objects",
        "tooltip": "Holes in objects of at most this many pixels are filled; 0 fills none.",
    }] = 1000  # fmt: skip
    drop_border: Annotated[bool, {
        "label": "drop objects at the border", "group": "objects",
        "tooltip": "Leave out objects that touch the border of the image, which are cut off there.",
    }] = False  # fmt: skip
