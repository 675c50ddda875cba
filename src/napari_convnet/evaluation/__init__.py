"""Evaluation: a model's answers compared with the truth, with everything a reader needs to judge the figure."""

from napari_convnet.evaluation.classes import (
    evaluate_classification,
    evaluate_objects,
    score_classification,
)
from napari_convnet.evaluation.comparison import (
    ComparedCells,
    ComparedMasks,
    compare_cells,
    compare_masks,
    compare_stacks,
)
from napari_convnet.evaluation.differences import (
    Comparison,
    Difference,
    SharedClasses,
    compare_answers,
    match_classes,
)
from napari_convnet.evaluation.pixels import (
    evaluate_pixels,
    evaluate_segmentation,
    evaluate_stacks,
    whole_object_classes,
)
from napari_convnet.evaluation.positions import evaluate_marked, evaluate_positions
from napari_convnet.evaluation.side_by_side import score_cells, score_masks
from napari_convnet.evaluation.suspects import Suspects, find_suspects, judge
from napari_convnet.evaluation.versions import versions

__all__ = [
    "ComparedCells",
    "ComparedMasks",
    "Comparison",
    "Difference",
    "SharedClasses",
    "Suspects",
    "compare_answers",
    "compare_cells",
    "compare_masks",
    "compare_stacks",
    "evaluate_classification",
    "evaluate_marked",
    "evaluate_objects",
    "evaluate_pixels",
    "evaluate_positions",
    "evaluate_segmentation",
    "evaluate_stacks",
    "find_suspects",
    "judge",
    "match_classes",
    "score_cells",
    "score_classification",
    "score_masks",
    "versions",
    "whole_object_classes",
]
