"""Evaluation: a model's answers compared with the truth, with everything a reader needs to judge the figure."""

from napari_convnet.evaluation.classes import (
    evaluate_classification,
    evaluate_objects,
    score_classification,
)
from napari_convnet.evaluation.pixels import (
    evaluate_pixels,
    evaluate_segmentation,
    whole_object_classes,
)
from napari_convnet.evaluation.positions import evaluate_marked, evaluate_positions
from napari_convnet.evaluation.versions import versions

__all__ = [
    "evaluate_classification",
    "evaluate_marked",
    "evaluate_objects",
    "evaluate_pixels",
    "evaluate_positions",
    "evaluate_segmentation",
    "score_classification",
    "versions",
    "whole_object_classes",
]
