"""Settings chosen from the data, each with its reason."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from napari_convnet.errors import UserError
from napari_convnet.networks import network_entry
from napari_convnet.networks.entry import NetworkEntry, Task
from napari_convnet.samples import HeatMapSet, TrainingSet
from napari_convnet.samples.stacks import StackSet
from napari_convnet.settings import TrainingSettings
from napari_convnet.training.precision import uses_bfloat16

_NETWORKS = {"classify": "convnet", "segment": "unet", "locate": "position_convnet"}
#: Training steps in all, fewest and most epochs.
_STEPS = {"classify": (1500, 10, 80), "segment": (240, 10, 60), "locate": (2400, 10, 400)}
#: From so many samples on a batch may be large: fewer, steadier steps.
_MANY_SAMPLES = 500
#: A class this many times as frequent as another one is said to be so.
_UNEQUAL = 1.5


@dataclass(frozen=True)
class Suggestion:
    """Settings, and a sentence for each field that was chosen from the data."""

    settings: TrainingSettings
    reasons: dict[str, str]

    @property
    def text(self) -> str:
        """All reasons as one paragraph."""
        return " ".join(self.reasons.values())


def network_task(samples: TrainingSet) -> Task:
    """Return the task of the networks that can learn it: a heat map, like a segmentation, has a value a pixel."""
    return "segment" if isinstance(samples, HeatMapSet) else samples.task


def default_network(samples: TrainingSet) -> str:
    """Return the network of the catalogue that suits most."""
    return "unet3d" if isinstance(samples, StackSet) else _NETWORKS[network_task(samples)]


def check_dimensions(entry: NetworkEntry, samples: TrainingSet) -> None:
    """Refuse a network of stacks for images, and one of images for stacks.

    Raises
    ------
    UserError
        CN-676, naming both.
    """
    wanted = 3 if isinstance(samples, StackSet) else 2
    if entry.dimensions != wanted:
        kinds = {2: "single images", 3: "z-stacks"}
        raise UserError(
            "CN-676",
            f"Network '{entry.network_id}' learns from {kinds[entry.dimensions]}, and these annotations are of "
            f"{kinds[wanted]}. Nothing was started. Choose {'unet3d' if wanted == 3 else 'unet'}.",
        )


def suggest_settings(
    samples: TrainingSet,
    network_id: str,
    device: torch.device | str = "cpu",
    settings: TrainingSettings | None = None,
) -> Suggestion:
    """Choose settings that suit the samples, the network and the device.

    Parameters
    ----------
    device
        Where it would be trained.
    settings
        Where everything else comes from; by default the defaults.
    """
    device = torch.device(device)
    batch_size, why_batch = _batch_size(samples, device)
    epochs = suggest_epochs(samples, batch_size)
    rate = network_entry(network_id).learning_rate
    steps = samples.batches_per_epoch(batch_size)
    intensity = "0.5" if samples.task == "segment" else "0.2"
    side = samples.input_size[0]
    kind = "CPU" if device.type == "cpu" else "graphics card"
    chosen = replace(
        settings or TrainingSettings(), batch_size=batch_size, epochs=epochs, learning_rate=rate
    )
    reasons = {
        "batch_size": why_batch,
        "epochs": f"{epochs} epochs of {steps} steps: small sets are shown more often.",
        "learning_rate": f"Learning rate {rate:g}, as {network_id} was tried with.",
        "augment": (
            f"Augmented by mirror images, any turn, {chosen.scale_min:g} to {chosen.scale_max:g} times the size, "
            f"moves of {chosen.crop * side / 2:.1f} of {side} pixels and {intensity} of the contrast."
            if chosen.augment
            else "Not augmented, as you chose."
        ),
        "mixed_precision": (
            f"Computed in bfloat16, which is faster on this {kind}."
            if uses_bfloat16(chosen.mixed_precision, device)
            else f"Computed in 32 bits on this {kind}."
        ),
    }
    if samples.task != "locate":
        reasons["balance"] = _why_balance(samples, chosen)
    return Suggestion(chosen, reasons)


def suggest_epochs(samples: TrainingSet, batch_size: int) -> int:
    """Choose a number of epochs from the size of the training set: small sets are shown more often."""
    steps, low, high = _STEPS[network_task(samples)]
    return min(high, max(low, round(steps / samples.batches_per_epoch(batch_size))))


def _batch_size(samples: TrainingSet, device: torch.device) -> tuple[int, str]:
    if isinstance(samples, StackSet):
        return 2, "2 patches a step, as each holds many voxels."
    if network_task(samples) == "segment":
        return 8, "8 patches a step, as each holds many pixels."
    n = samples.n_training
    if n < _MANY_SAMPLES:
        return 16, f"16 samples a step, as there are only {n:,}."
    if device.type == "cpu":
        return 32, f"32 samples a step, as there are {n:,}."
    return 64, f"64 samples a step, as there are {n:,} and a graphics card computes them together."


def _why_balance(samples: TrainingSet, settings: TrainingSettings) -> str:
    counts = np.asarray(samples.class_counts())
    names = [info.name for info in samples.classes]
    present = np.flatnonzero(counts)
    most, fewest = present[counts[present].argmax()], present[counts[present].argmin()]
    share = f"'{names[most]}' has {counts[most]:,}, '{names[fewest]}' {counts[fewest]:,}"
    if settings.balance == "off":
        return f"Every sample counts the same ({share}), as you chose."
    if counts[most] < _UNEQUAL * counts[fewest]:
        return f"The classes are about equally frequent ({share})."
    return f"Rare classes count more, as the classes are not equally frequent ({share})."
