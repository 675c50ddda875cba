"""What the tests of transfer learning share: coloured noise and quick models."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_convnet import TrainingSettings, UserError, run, train
from napari_convnet.classes import make_classes
from napari_convnet.images import Normalisation
from napari_convnet.samples import ClassificationSet, split_by_sample

QUICK = TrainingSettings(epochs=1, batch_size=16, device="cpu")
SMALL = {"width": 4, "blocks": 2}


def colour_set(names=("red", "green"), n=24, size=32, mode="per_image", shift=0.0):
    """Make a set of noise in which the channel that a class is named for is brighter."""
    order = {"red": 0, "green": 1, "blue": 2}
    random = np.random.default_rng(0)
    targets = np.arange(n) % len(names)
    patches = random.normal(0, 1, (n, 3, size, size)).astype(np.float32)
    for patch, target in zip(patches, targets, strict=True):
        patch[order[names[target]]] += 2
    normalisation = Normalisation(mode)
    if mode == "training_set":
        normalisation = Normalisation(mode, (100.0 + shift,) * 3, (10.0 + shift,) * 3)
    return ClassificationSet(
        torch.from_numpy(patches),
        torch.from_numpy(targets.astype(np.int64)),
        make_classes(names),
        split_by_sample(targets, 0.25, 0),
        ("r", "g", "b"),
        normalisation,
        None,
    )


def quick_model(samples, network="convnet", settings=QUICK, **options):
    if network == "convnet":
        options.setdefault("network_settings", SMALL)
    return run(train(samples, network, settings, **options))


def code_of(function) -> tuple[str, str]:
    with pytest.raises(UserError) as caught:
        function()
    return caught.value.code, caught.value.message
