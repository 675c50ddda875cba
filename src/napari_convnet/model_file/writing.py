"""Writing a model file: rebuilt from its card and checked before the old file is touched."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch

from napari_convnet.atomic import write_atomically
from napari_convnet.errors import UserError
from napari_convnet.model_file import refusals
from napari_convnet.model_file.model import MAX_SAMPLE_SIDE, Model, rebuild_network, run_sample
from napari_convnet.model_file.reading import (
    CARD_KEY,
    NETWORK_PREFIX,
    SAMPLE_INPUT,
    SAMPLE_OUTPUT,
    model_from_bytes,
    verify_file,
)
from napari_convnet.model_file.tensor_file import file_bytes, refuse_non_finite


def save_model(model: Model, path: str | os.PathLike[str]) -> None:
    """Write a model file and read it back; only then return.

    Parameters
    ----------
    model
        Its network may be on any device and in any mode, and is left as it is.
    path
        A name ending in ``.safetensors``. An old file of that name is replaced, and stays as it was
        if anything goes wrong.

    Raises
    ------
    UserError
        CN-301 disk full or not writable, CN-312 unsuitable target, CN-105 a model that could not be
        opened again (invalid numbers, or a network that is not the one its card names).
    """
    path = Path(path)
    if path.suffix.lower() != ".safetensors":
        raise UserError(
            "CN-312",
            f"Not saved: a model's file name ends in .safetensors, not '{path.suffix[:20]}'. "
            "Nothing was changed. Choose such a name.",
        )
    write_atomically(path, model_bytes(model))
    verify_file(path)


def model_bytes(model: Model) -> bytes:
    """Return the model file as bytes, after opening them once to see that they give the same model.

    Raises
    ------
    UserError
        CN-105 if weights or sample hold NaN or infinity, or do not fit the card.
    """
    name = refusals.plain_name(model.card.name)
    weights = {key: value.detach().cpu() for key, value in model.network.state_dict().items()}
    sample = np.ascontiguousarray(model.sample_input, dtype=np.float32)
    sample = sample.reshape(-1, *sample.shape[-3:])[:1, :, :MAX_SAMPLE_SIDE, :MAX_SAMPLE_SIDE]
    tensors = {NETWORK_PREFIX + key: value for key, value in weights.items()}
    tensors[SAMPLE_INPUT] = torch.from_numpy(sample)
    refuse_non_finite(tensors, name)
    # Not the given network but one made from the card, as the receiver's computer will make it.
    rebuilt = rebuild_network(model.card, weights, name)
    tensors[SAMPLE_OUTPUT] = run_sample(model.card, rebuilt, tensors[SAMPLE_INPUT], name)
    data = file_bytes(tensors, {CARD_KEY: model.card.model_dump_json()})
    model_from_bytes(data, name)
    return data
