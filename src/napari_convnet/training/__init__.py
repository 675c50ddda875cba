"""Training: one loop for every task, written as a generator of events that returns the best model.

Headless use is a ``for`` loop or `run`; in the viewer a background worker drains the same generator.
"""

from napari_convnet.training.events import (
    BatchFinished,
    EpochFinished,
    StoppedEarly,
    TrainingStarted,
)
from napari_convnet.training.job import (
    TrainingInterrupted,
    TrainingSet,
    run,
    suggest_epochs,
    train,
)

__all__ = [
    "BatchFinished",
    "EpochFinished",
    "StoppedEarly",
    "TrainingInterrupted",
    "TrainingSet",
    "TrainingStarted",
    "run",
    "suggest_epochs",
    "train",
]
