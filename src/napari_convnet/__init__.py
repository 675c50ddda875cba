"""Train convolutional networks on your own annotations, in napari, in Python and on the command line.

The names below are the whole public interface. They are imported when first used, so that importing the
package (which napari does at every start) costs next to nothing and brings in neither torch nor Qt.
"""

from __future__ import annotations

import importlib
import os
from typing import Any

__version__ = "0.1.0"

# torch's threads wait for each other hundreds of times a step, and GNU OpenMP lets them spin for
# milliseconds while they do. Where other programs are busy, that made a step 10 times slower
# (benchmarks/busy_machine.py); a short spin does not. It must be said before torch is loaded, and
# whoever set it already knows better.
os.environ.setdefault("GOMP_SPINCOUNT", "2000")

_HOME_OF = {
    "AnnotatedFrames": "samples",
    "AnnotatedObjects": "samples",
    "AnnotatedPixels": "samples",
    "AnnotatedPositions": "samples",
    "AnnotatedStack": "samples",
    "ClassInfo": "classes",
    "ClassificationSet": "samples",
    "Film": "samples",
    "HeatMapSet": "samples",
    "Model": "model_file",
    "PositionSet": "samples",
    "Project": "project",
    "SegmentationSet": "samples",
    "StackSet": "samples",
    "TrainingSettings": "settings",
    "UserError": "errors",
    "WholeObjectSet": "samples",
    "classify_objects": "prediction",
    "clean_image": "images",
    "compare_cells": "evaluation",
    "compare_masks": "evaluation",
    "compare_stacks": "evaluation",
    "extract_features": "training",
    "load_imagenet_network": "prediction",
    "load_model": "model_file",
    "locate_in_frames": "prediction",
    "locate_positions": "prediction",
    "make_classes": "classes",
    "name_image": "prediction",
    "object_centres": "prediction",
    "read_sample": "sample_data",
    "run": "progress",
    "save_model": "model_file",
    "score_cells": "evaluation",
    "score_masks": "evaluation",
    "segment_image": "prediction",
    "segment_stack": "prediction",
    "segment_to_file": "prediction",
    "suggest_epochs": "training",
    "train": "training",
    "train_on_features": "training",
}

__all__ = ["__version__", *_HOME_OF]


def __getattr__(name: str) -> Any:
    """Import a public name from its module when it is first asked for (PEP 562)."""
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names."""
    return sorted(__all__)
