"""Settings chosen from the data, each with its reason."""

from __future__ import annotations

from napari_convnet.samples import TrainingSet


def suggest_epochs(samples: TrainingSet, batch_size: int) -> int:
    """Choose a number of epochs from the size of the training set: small sets are shown more often."""
    steps, low, high = (240, 10, 60) if samples.task == "segment" else (1500, 10, 80)
    return min(high, max(low, round(steps / samples.batches_per_epoch(batch_size))))
