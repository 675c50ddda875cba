"""Starting from a model of one's own: its network, its classes by name, and its normalisation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from napari_convnet.errors import UserError
from napari_convnet.images import Normalisation
from napari_convnet.model_file import Model, ModelCard
from napari_convnet.networks import build_network
from napari_convnet.samples import (
    ClassificationSet,
    SegmentationSet,
    TrainingSet,
    WholeObjectSet,
)
from napari_convnet.settings import TrainingSettings
from napari_convnet.training.defaults import network_task
from napari_convnet.training.objectives import output_count
from napari_convnet.training.recipe import Recipe


@dataclass(frozen=True, eq=False)
class Start:
    """What a training begins with when it begins with a model.

    Parameters
    ----------
    samples
        Normalised as the model expects it, where that is by fixed numbers.
    network, network_settings
        The model's.
    weights
        A whole state dict for the samples' classes.
    facts
        What was kept, new and left out, as JSON values; ``"text"`` says it in words.
    """

    samples: TrainingSet
    network: str
    network_settings: dict[str, Any]
    weights: dict[str, Tensor]
    facts: dict[str, Any]


def start_from_model(
    samples: TrainingSet, model: Model, settings: TrainingSettings | None = None
) -> Start:
    """Prepare a training that goes on from a model, on other samples and perhaps with other classes.

    Classes are matched by their names: known ones keep their row of the last layer wherever they are in the
    list now, new ones begin at random, and those that are gone are left out. Where both the model and the
    samples are normalised by fixed numbers, the model's are used.

    Parameters
    ----------
    settings
        Their seed draws the rows of new classes.

    Raises
    ------
    UserError
        CN-106 if the model does another task or sees another number of channels; CN-536 if it only takes
        images of another size.
    """
    card = model.card
    _check(samples, card)
    settings = settings or TrainingSettings()
    names = [info.name for info in samples.classes]
    samples, about_values = _with_values_of(samples, card)
    recipe = Recipe(samples, card.network, dict(card.network_settings), settings, None, card.name)
    weights = _weights(recipe, model, names)
    known = [entry.name for entry in card.classes]
    facts: dict[str, Any] = {
        "model": card.name,
        "classes_kept": [name for name in names if name in known],
        "classes_new": [name for name in names if name not in known],
        "classes_left_out": [name for name in known if name not in names],
    }
    knows_objects = isinstance(samples, WholeObjectSet)
    if card.has_depth or knows_objects:
        facts["whole_objects"] = _about_objects(card.has_depth, knows_objects)
    if card.channels != samples.channels:
        facts["channels"] = f"{', '.join(card.channels)} became {', '.join(samples.channels)}"
    return Start(
        samples, card.network, recipe.network_settings, weights,
        {**facts, "text": _in_words(facts, about_values)},
    )  # fmt: skip


def check_same_network(
    model: Model,
    network: str | None,
    network_settings: Mapping[str, Any] | None,
    initial_weights: Mapping[str, Tensor] | None,
) -> None:
    """Refuse another network, or weights besides, where a model to start from decides both (CN-537)."""
    card = model.card
    is_same = network in (None, card.network) and network_settings in (None, card.network_settings)
    if not is_same or initial_weights is not None:
        what = "other weights were given, too" if is_same else "another network was asked for"
        raise UserError(
            "CN-537",
            f"Model '{card.name}' to start from is a '{card.network}' with weights of its own, but {what}. Nothing "
            "was changed. Give one or the other.",
        )


def with_normalisation(samples: TrainingSet, wanted: Normalisation) -> TrainingSet:
    """Return samples normalised by other fixed numbers, or whole images in another way each by itself.

    As they are where that is no change, or not possible any more.
    """
    now = samples.normalisation
    by_image = now.goes_by_image and wanted.goes_by_image and now.mode != wanted.mode
    if by_image and isinstance(samples, SegmentationSet):
        # Both ways give the same for an image whose values were scaled and shifted before.
        images = tuple(wanted.apply(image) for image in samples.images)
        return replace(samples, images=images, normalisation=wanted)
    modes = (now.mode, wanted.mode)
    if not isinstance(samples, ClassificationSet) or modes != ("training_set", "training_set"):
        return samples
    if now == wanted:
        return samples
    mean, std, new_mean, new_std = (
        torch.tensor(values, dtype=torch.float64)[:, None, None]
        for values in (now.mean, now.std, wanted.mean, wanted.std)
    )
    scale, shift = (std / new_std).float(), ((mean - new_mean) / new_std).float()
    return replace(samples, patches=samples.patches * scale + shift, normalisation=wanted)


def _check(samples: TrainingSet, card: ModelCard) -> None:
    if (card.task, card.network_task) != (samples.task, network_task(samples)):
        raise UserError(
            "CN-106",
            f"Model '{card.name}' was trained to {card.task}, and this is training to {samples.task}. Nothing was "
            "changed. Start from another model or from random weights.",
        )
    if len(card.channels) != samples.in_channels:
        raise UserError(
            "CN-106",
            f"Model '{card.name}' sees {len(card.channels)} channels ({', '.join(card.channels)[:80]}); these "
            f"images have {samples.in_channels} ({', '.join(samples.channels)[:80]}). Nothing was changed. Tick the "
            "same channels, or start from another model.",
        )


def _with_values_of(samples: TrainingSet, card: ModelCard) -> tuple[TrainingSet, str]:
    changed = with_normalisation(samples, Normalisation(**card.normalisation.model_dump()))
    if card.normalisation.mode != "training_set":
        return changed, ""
    if changed.normalisation.mode == "training_set":
        return changed, "Image values are normalised by the model's numbers."
    return changed, "Each image is normalised by its own values, unlike for that model."


def _weights(recipe: Recipe, model: Model, names: Sequence[str]) -> dict[str, Tensor]:
    """Return the new network's weights: the model's, except for rows of classes that it does not know."""
    card, samples = model.card, recipe.samples
    old = {name: tensor.detach().cpu() for name, tensor in model.network.state_dict().items()}
    new = recipe.random_network().state_dict()
    of_classes = set() if card.network_task == "locate" else _class_tensors(recipe)
    known = {entry.name: index for index, entry in enumerate(card.classes)}
    for name, tensor in new.items():
        given = old[name]
        fits = given.shape[1:] == tensor.shape[1:] and given.ndim == tensor.ndim
        if not fits or (name not in of_classes and given.shape != tensor.shape):
            raise UserError(
                "CN-536",
                f"Model '{card.name}' ({card.network}) takes images of {card.input_size[0]} x {card.input_size[1]} "
                f"pixels only; these have {samples.input_size[0]} x {samples.input_size[1]}. Nothing was changed. "
                f"Choose a size of {card.input_size[0]} pixels.",
            )
        if name not in of_classes:
            new[name] = given.clone()
            continue
        rows = every_class(tensor, output_count(samples)).clone()
        given = every_class(given, card.n_outputs)
        for place, class_name in enumerate(names):
            if class_name in known:
                rows[place] = given[known[class_name]]
        if card.has_depth and isinstance(samples, WholeObjectSet):
            rows[-1] = given[-1]
        new[name] = as_network(rows, len(tensor))
    return new


def every_class(rows: Tensor, n_classes: int) -> Tensor:
    """Return a row for each class, also where two classes share one unit, whose logits are (0, z)."""
    if n_classes == 2 and len(rows) == 1:
        return torch.cat([torch.zeros_like(rows), rows])
    return rows


def as_network(rows: Tensor, n_units: int) -> Tensor:
    """Return the rows of as many units as the network has: one unit stands for the difference of two classes."""
    return rows[1:] - rows[:1] if n_units == 1 and len(rows) == 2 else rows


def _class_tensors(recipe: Recipe) -> set[str]:
    """Return the names of the tensors with a row for each class: those that grow with the number of classes."""
    shapes: list[Mapping[str, Tensor]] = []
    for n_classes in (3, 4):
        with torch.device("meta"):
            network: nn.Module = build_network(
                recipe.network,
                recipe.samples.in_channels,
                n_classes,
                recipe.samples.input_size,
                **recipe.network_settings,
            )
        shapes.append(network.state_dict())
    return {name for name, tensor in shapes[0].items() if tensor.shape != shapes[1][name].shape}


def _about_objects(is_known: bool, is_taught: bool) -> str:
    """Say what becomes of telling touching objects apart."""
    if is_known and is_taught:
        return "The model's way to tell touching objects apart is learned further."
    if is_taught:
        return "To tell touching objects apart is new to it."
    return "No whole objects are known here, so touching ones are told apart by their shape again."


def _in_words(facts: Mapping[str, Any], about_values: str) -> str:
    parts = [
        f"{what}: {', '.join(facts[key])}"
        for key, what in (
            ("classes_kept", "known classes"),
            ("classes_new", "new"),
            ("classes_left_out", "left out"),
        )
        if facts[key]
    ]
    channels = f"Channels: {facts['channels']}." if "channels" in facts else ""
    objects = facts.get("whole_objects", "")
    text = (
        f"Started from '{facts['model']}' ({'; '.join(parts)}). {channels} {objects} {about_values}"
    )
    return " ".join(text.split())
