"""Training: one loop for every task, written as a generator of events that returns the best model.

Headless use is a ``for`` loop or `run`; in the viewer a background worker drains the same generator.
"""

from napari_convnet.progress import run
from napari_convnet.training.checkpoint import Checkpoint
from napari_convnet.training.defaults import Suggestion, suggest_epochs, suggest_settings
from napari_convnet.training.events import (
    BatchFinished,
    BatchSizeReduced,
    EpochFinished,
    PatchSizeReduced,
    Paused,
    StoppedEarly,
    TrainingStarted,
    Validated,
)
from napari_convnet.training.features import Features, extract_features, train_on_features
from napari_convnet.training.fine_tuning import start_from_model
from napari_convnet.training.job import TrainingInterrupted, TrainingSet, train
from napari_convnet.training.repeat import repeat_run

__all__ = [
    "BatchFinished",
    "BatchSizeReduced",
    "Checkpoint",
    "EpochFinished",
    "Features",
    "PatchSizeReduced",
    "Paused",
    "StoppedEarly",
    "Suggestion",
    "TrainingInterrupted",
    "TrainingSet",
    "TrainingStarted",
    "Validated",
    "extract_features",
    "repeat_run",
    "run",
    "start_from_model",
    "suggest_epochs",
    "suggest_settings",
    "train",
    "train_on_features",
]
