"""Settings chosen from the data, each with its reason."""

from __future__ import annotations

from napari_convnet.networks.entry import Task
from napari_convnet.samples import HeatMapSet, TrainingSet

_NETWORKS = {"classify": "convnet", "segment": "unet", "locate": "position_convnet"}
#: Training steps in all, fewest and most epochs.
_STEPS = {"classify": (1500, 10, 80), "segment": (240, 10, 60), "locate": (2400, 10, 400)}


def network_task(samples: TrainingSet) -> Task:
    """Return the task of the networks that can learn it: a heat map, like a segmentation, has a value a pixel."""
    return "segment" if isinstance(samples, HeatMapSet) else samples.task


def default_network(samples: TrainingSet) -> str:
    """Return the network of the catalogue that suits most."""
    return _NETWORKS[network_task(samples)]


def suggest_epochs(samples: TrainingSet, batch_size: int) -> int:
    """Choose a number of epochs from the size of the training set: small sets are shown more often."""
    steps, low, high = _STEPS[network_task(samples)]
    return min(high, max(low, round(steps / samples.batches_per_epoch(batch_size))))
