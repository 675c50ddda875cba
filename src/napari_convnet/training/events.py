"""What a training tells while it goes on."""

from __future__ import annotations

from dataclasses import dataclass

from napari_convnet.progress import Progress


@dataclass(frozen=True, kw_only=True)
class TrainingStarted(Progress):
    """What is going to be trained, on what, and where."""

    device: str
    n_parameters: int
    n_training: int
    n_validation: int
    batches_per_epoch: int


@dataclass(frozen=True, kw_only=True)
class BatchFinished(Progress):
    """One training step; ``done`` counts steps (iterations) over all epochs."""

    epoch: int
    loss: float
    learning_rate: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Validated(Progress):
    """A measurement on held-out samples in the middle of an epoch, after ``done`` steps."""

    epoch: int
    validation_loss: float
    validation_accuracy: float
    score: float
    is_best: bool


@dataclass(frozen=True, kw_only=True)
class Paused(Progress):
    """The training waits; told again and again until it goes on."""


@dataclass(frozen=True, kw_only=True)
class BatchSizeReduced(Progress):
    """Memory ran out, and the epoch begins again with half of the samples in a step."""

    batch_size: int
    reason: str


@dataclass(frozen=True, kw_only=True)
class PatchSizeReduced(Progress):
    """Memory ran out with one sample in a step, and the epoch begins again with smaller patches."""

    patch_size: int
    reason: str


@dataclass(frozen=True, kw_only=True)
class EpochFinished(Progress):
    """One pass over the training samples.

    Parameters
    ----------
    training_loss, training_accuracy
        Means over the epoch's (augmented) batches.
    validation_loss, validation_accuracy, score
        On held-out samples only, or None when nothing is held out or it was not measured. ``score`` is
        what the best epoch is chosen by: balanced accuracy for classification, mean IoU for
        segmentation.
    is_best
        Whether this epoch's network is the one that would be returned now.
    seconds
        Time since the training started, without pauses.
    overfits_since
        The epoch since which training and validation part, or None; see `overfits_since`, and
        `advice` for words.
    """

    epoch: int
    training_loss: float
    training_accuracy: float
    validation_loss: float | None
    validation_accuracy: float | None
    score: float | None
    learning_rate: float
    is_best: bool
    seconds: float
    overfits_since: int | None = None


@dataclass(frozen=True, kw_only=True)
class StoppedEarly(Progress):
    """The training cannot go on; the model of an earlier epoch is returned and carries ``reason``."""

    reason: str
