"""Repeating a run: the same seed, settings, samples and steps."""

from __future__ import annotations

import threading
from collections.abc import Generator, Mapping
from typing import Any, Protocol

from torch import Tensor

from napari_convnet.errors import UserError
from napari_convnet.model_file import Model
from napari_convnet.progress import Progress
from napari_convnet.samples import TrainingSet
from napari_convnet.settings import TrainingSettings
from napari_convnet.training.features import train_on_features
from napari_convnet.training.fine_tuning import start_from_model
from napari_convnet.training.job import Replay, train
from napari_convnet.training.recipe import fingerprint


class Recorded(Protocol):
    """What a run's record in a project and a model's card have in common."""

    scores: Mapping[str, Any]


def repeat_run(
    record: Recorded,
    samples: TrainingSet,
    *,
    initial_weights: Mapping[str, Tensor] | None = None,
    initial_model: Model | None = None,
    stop: threading.Event | None = None,
    name: str = "model",
) -> Generator[Progress, None, Model | None]:
    """Train once more what was trained before: on a CPU with identical losses and weights.

    A run that a time limit or a person ended is repeated by its number of steps, with the learning
    rates that it had. On a graphics card the numbers are the same if the run was `deterministic`.

    Parameters
    ----------
    record
        A run's record in the project, or a model's card.
    samples, initial_weights, initial_model
        What the run was trained on and started from.

    Yields
    ------
    Progress
        See `train`.

    Returns
    -------
    Model or None
        None if a fit to features was told to stop before its end.

    Raises
    ------
    UserError
        CN-205 if the record does not say how, or samples or first weights are not the same.
    """
    recipe = record.scores.get("repeat")
    if not isinstance(recipe, Mapping):
        raise _refusal("it was made by an older program, which did not write down how")
    if recipe.get("is_reduced"):
        raise _refusal("memory ran out during it, and where that happens is by chance")
    settings = TrainingSettings.from_record(recipe["settings"])
    if initial_model is not None:
        start = start_from_model(samples, initial_model, settings)
        samples, initial_weights = start.samples, start.weights
    if fingerprint(samples) != recipe["data_sha256"]:
        raise _refusal("the annotations or their split have changed since")
    found = None if initial_weights is None else fingerprint(dict(initial_weights))
    if found != recipe["weights_sha256"]:
        raise _refusal("it started from other weights")
    common = {
        "network_settings": recipe["network_settings"], "initial_weights": initial_weights, "stop": stop,
        "name": name, "start": recipe.get("start"),
    }  # fmt: skip
    if recipe.get("features"):
        return (yield from train_on_features(samples, recipe["network"], settings, **common))
    replay = Replay(recipe["steps"], recipe["pace"], recipe["threads"])
    return (yield from train(samples, recipe["network"], settings, **common, replay=replay))


def _refusal(why: str) -> UserError:
    return UserError(
        "CN-205", f"This run cannot be repeated: {why}. Nothing was changed. Train anew instead."
    )
