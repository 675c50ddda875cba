"""First labels: cells of a raw image by a threshold and a watershed, before there is any segmentation.

Two numbers steer everything: how sensitive the threshold is, and how large a cell is.
"""

from __future__ import annotations

from napari_convnet.first_labels.finding import find_cells
from napari_convnet.first_labels.measuring import measure_level, suggest_settings
from napari_convnet.first_labels.reading import read_block, sample_image
from napari_convnet.first_labels.settings import CellSettings, Colour, Level, Region
from napari_convnet.first_labels.tiles import label_image

__all__ = [
    "CellSettings",
    "Colour",
    "Level",
    "Region",
    "find_cells",
    "label_image",
    "measure_level",
    "read_block",
    "sample_image",
    "suggest_settings",
]
