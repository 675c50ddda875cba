"""Checkpoints: everything that a training needs to go on to the bit on a CPU, as bytes without pickle."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from napari_convnet.errors import UserError
from napari_convnet.model_file.tensor_file import (
    file_bytes,
    read_data,
    read_header,
    refuse_damage,
    tensors_in,
)
from napari_convnet.training.loop import TrainingLoop
from napari_convnet.training.smaller import has_patches

_NAME = "checkpoint"
#: Keeping checkpoints takes at most one part in so many of the time.
_SHARE_OF_TIME = 20
#: A model file's limit; a larger state is not kept.
_MOST_BYTES = 1_900_000_000


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """The state of a training between two batches.

    Parameters
    ----------
    tensors
        Weights, the best weights, the optimiser's state and the random state, on the CPU.
    recipe
        Network, settings and data of the training, as JSON values: see `Recipe`.
    state
        Everything else that changes from batch to batch, as JSON values.
    """

    tensors: Mapping[str, Tensor]
    recipe: Mapping[str, Any]
    state: Mapping[str, Any]

    @property
    def step(self) -> int:
        """Training steps that are done."""
        return self.state["step"]

    def to_bytes(self) -> bytes:
        """Return a ``.safetensors`` file with a check sum."""
        text = json.dumps({"recipe": self.recipe, "state": self.state})
        return file_bytes(self.tensors, {_NAME: text})

    @classmethod
    def from_bytes(cls, data: bytes) -> Checkpoint:
        """Read what `to_bytes` wrote.

        Raises
        ------
        UserError
            CN-103 or CN-105 for bytes that are damaged or something else.
        """
        stream = io.BytesIO(data)
        header = read_header(stream, len(data), _NAME)
        content = read_data(stream, header, _NAME)
        refuse_damage(header, content, _NAME)
        try:
            described = json.loads(header.metadata[_NAME])
            return cls(tensors_in(header, content), described["recipe"], described["state"])
        except (KeyError, ValueError) as error:
            raise UserError(
                "CN-105", "This is not the state of a training. Nothing was changed."
            ) from error


def take_checkpoint(loop: TrainingLoop, recipe: Mapping[str, Any]) -> Checkpoint:
    """Return the state of a training, copied."""
    tensors = {"random": loop.feeder.epoch_random.clone()}
    for prefix, weights in (("now", loop.module.state_dict()), ("best", loop.best.weights)):
        tensors |= {f"{prefix}.{name}": _copy(tensor) for name, tensor in weights.items()}
    optimiser = loop.stepper.optimiser.state_dict()
    plain: dict[str, Any] = {}
    for index, values in optimiser["state"].items():
        for name, value in values.items():
            if isinstance(value, Tensor):
                tensors[f"optimiser.{index}.{name}"] = _copy(value)
            elif value is not None:
                plain[f"{index}.{name}"] = value
    state = {
        "step": loop.step,
        "batch": loop.batch,
        "batch_size": loop.batch_size,
        "patch_size": getattr(loop.samples, "patch_size", None),
        "at_once": loop.examiner.at_once,
        "epochs_trained": loop.epochs_trained,
        "tally": loop.tally,
        "rate": loop.rate,
        "seconds": loop.clock.seconds,
        "measuring_seconds": loop.examiner.seconds,
        "waiting_seconds": loop.feeder.waiting_seconds,
        "pace": loop.pace.steps,
        "first_loss": loop.stepper.first_loss,
        "schedule": loop.schedule.state(),
        "best": loop.best.state(),
        "training_losses": loop.training_losses,
        "validation_losses": loop.validation_losses,
        "optimiser": plain,
    }
    return Checkpoint(tensors, recipe, json.loads(json.dumps(state)))


def restore(loop: TrainingLoop, checkpoint: Checkpoint) -> None:
    """Let a loop, made for the same network and samples, go on from a checkpoint.

    Raises
    ------
    UserError
        CN-204 if the checkpoint does not fit the network.
    """
    state, tensors = checkpoint.state, checkpoint.tensors
    try:
        loop.module.load_state_dict(_part(tensors, "now."))
        best = {name: t.to(loop.device) for name, t in _part(tensors, "best.").items()}
        loop.best.restore(state["best"], best)
        _restore_optimiser(loop, _part(tensors, "optimiser."), state["optimiser"])
    except (KeyError, RuntimeError, ValueError) as error:
        raise UserError(
            "CN-204",
            "The training cannot go on: what was kept of it belongs to another network. Nothing was "
            "changed. Train anew.",
            details=str(error),
        ) from error
    loop.use_batches_of(state["batch_size"])
    if has_patches(loop.samples):
        loop.use_patches_of(state.get("patch_size") or loop.samples.patch_size)
    loop.examiner.at_once = state["at_once"]
    loop.feeder.epoch_random = tensors["random"].clone()
    loop.feeder.waiting_seconds = state["waiting_seconds"]
    loop.step, loop.batch = state["step"], state["batch"]
    loop.epochs_trained, loop.tally = state["epochs_trained"], list(state["tally"])
    loop.rate = state["rate"]
    loop.clock.set(state["seconds"])
    loop.examiner.seconds = state["measuring_seconds"]
    loop.pace.steps = list(state["pace"])
    loop.stepper.first_loss = state["first_loss"]
    loop.schedule.restore(state["schedule"])
    loop.training_losses = list(state["training_losses"])
    loop.validation_losses = list(state["validation_losses"])


def _restore_optimiser(
    loop: TrainingLoop, tensors: Mapping[str, Tensor], plain: Mapping[str, Any]
) -> None:
    found: dict[int, dict[str, Any]] = {}
    for key, value in (*tensors.items(), *plain.items()):
        index, _, name = key.partition(".")
        found.setdefault(int(index), {})[name] = value
    groups = loop.stepper.optimiser.state_dict()["param_groups"]
    loop.stepper.optimiser.load_state_dict({"state": found, "param_groups": groups})


class Keeper:
    """Keeps a checkpoint now and then: looked at after every batch.

    Parameters
    ----------
    keep
        Stores one; an error of the disk ends the keeping and is told with the scores.
    seconds
        Time between two; more where keeping one takes long.
    """

    def __init__(
        self, keep: Callable[[Checkpoint], None], recipe: Mapping[str, Any], seconds: float
    ) -> None:
        self._keep, self._recipe, self._seconds = keep, recipe, seconds
        self._next = time.monotonic() + seconds
        self.problem = ""

    def __call__(self, loop: TrainingLoop) -> None:
        """Keep a checkpoint if it is time to, or if the training pauses or was stopped."""
        is_wanted = loop.clock.is_paused or loop.ended_by == "stopped"
        if self.problem or not (is_wanted or time.monotonic() >= self._next):
            return
        began = time.monotonic()
        try:
            checkpoint = take_checkpoint(loop, self._recipe)
            size = sum(tensor.nbytes for tensor in checkpoint.tensors.values())
            if size > _MOST_BYTES:
                raise UserError("CN-204", f"Its state is too large to keep: {size / 1e9:.1f} GB.")
            self._keep(checkpoint)
        except (OSError, UserError, MemoryError) as error:
            self.problem = f"This training cannot be resumed later: {error}"
        ended = time.monotonic()
        self._next = ended + max(self._seconds, _SHARE_OF_TIME * (ended - began))


def _copy(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", copy=True).contiguous()


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): tensor.clone()
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }


def check_same(checkpoint: Checkpoint, recipe: Mapping[str, Any]) -> None:
    """Refuse a checkpoint of another network or of other samples.

    Raises
    ------
    UserError
        CN-204.
    """
    for key, what in (
        ("network", "network is another one"),
        ("network_settings", "network has other settings"),
        ("data_sha256", "annotations or their split have changed since"),
    ):
        if checkpoint.recipe.get(key) != recipe[key]:
            raise UserError(
                "CN-204",
                f"The training cannot go on, because the {what}. Nothing was changed; its best model "
                "is kept. Train anew, starting from that model.",
            )
