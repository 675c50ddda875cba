"""Import and export: a project's annotations in the formats of other programs, and back.

An import reads and checks its files completely, then writes all of it or nothing, and can be taken back as
one step. An export appears under its name only when it is complete.
"""

from __future__ import annotations

from napari_convnet.exchange.applying import ImportResult, apply_plan
from napari_convnet.exchange.cellpose import read_cellpose_masks
from napari_convnet.exchange.class_table import read_class_table, write_class_table
from napari_convnet.exchange.formats import (
    FORMATS,
    ExportOptions,
    Format,
    export_project,
    import_files,
)
from napari_convnet.exchange.image_files import ImageList
from napari_convnet.exchange.matching import ImportOptions
from napari_convnet.exchange.object_table import PredictedObjects
from napari_convnet.exchange.pixels import Pixels
from napari_convnet.exchange.plan import ImportPlan
from napari_convnet.exchange.results import ExportResult
from napari_convnet.exchange.whole_objects import import_label_layer

__all__ = [
    "FORMATS",
    "ExportOptions",
    "ExportResult",
    "Format",
    "ImageList",
    "ImportOptions",
    "ImportPlan",
    "ImportResult",
    "Pixels",
    "PredictedObjects",
    "apply_plan",
    "export_project",
    "import_files",
    "import_label_layer",
    "read_cellpose_masks",
    "read_class_table",
    "write_class_table",
]
