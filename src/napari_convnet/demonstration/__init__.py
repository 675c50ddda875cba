"""The demonstration: both main jobs on the sample images, with a simulated person who annotates."""

from napari_convnet.demonstration.jobs import (
    CELL_IMAGES,
    NUCLEI_IMAGES,
    CellsResult,
    NucleiResult,
    Setup,
    classify_cells,
    segment_nuclei,
)
from napari_convnet.demonstration.person import choose_clicks, labels_of, paint_strokes

__all__ = [
    "CELL_IMAGES",
    "NUCLEI_IMAGES",
    "CellsResult",
    "NucleiResult",
    "Setup",
    "choose_clicks",
    "classify_cells",
    "labels_of",
    "paint_strokes",
    "segment_nuclei",
]
