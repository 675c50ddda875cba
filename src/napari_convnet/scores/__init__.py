"""Scores: how good answers are, how sure that is, and on what it was measured.

Every function takes plain arrays (truth, probabilities, groups) and gives plain values, which
become JSON as they are and a table by `as_text`.
"""

from napari_convnet.scores.calibration import (
    Reliability,
    fit_temperature,
    log_softmax,
    reliability,
)
from napari_convnet.scores.classifier import ClassifierScores, measure_classifier
from napari_convnet.scores.confusion import Scores, confusion_matrix
from napari_convnet.scores.intervals import (
    bootstrap_confusions,
    interval_of_mean,
    percentile_interval,
    wilson_interval,
)
from napari_convnet.scores.objects import ObjectMatches, match_objects
from napari_convnet.scores.positions import PositionMatches, match_positions
from napari_convnet.scores.report import (
    PARTS,
    ClassRow,
    Figure,
    ScoreReport,
    main_figure,
    read_report,
)
from napari_convnet.scores.text import as_text

__all__ = [
    "PARTS",
    "ClassRow",
    "ClassifierScores",
    "Figure",
    "ObjectMatches",
    "PositionMatches",
    "Reliability",
    "ScoreReport",
    "Scores",
    "as_text",
    "bootstrap_confusions",
    "confusion_matrix",
    "fit_temperature",
    "interval_of_mean",
    "log_softmax",
    "main_figure",
    "match_objects",
    "match_positions",
    "measure_classifier",
    "percentile_interval",
    "read_report",
    "reliability",
    "wilson_interval",
]
