"""Opening a model file that anybody may have written: every check comes before what it protects."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import torch
from pydantic import ValidationError

from napari_convnet.model_file import refusals
from napari_convnet.model_file.card import FORMAT_VERSION, ModelCard
from napari_convnet.model_file.foreign import refuse_foreign
from napari_convnet.model_file.model import Model, rebuild_network, run_sample
from napari_convnet.model_file.tensor_file import (
    Header,
    read_data,
    read_header,
    refuse_damage,
    refuse_non_finite,
    strict_json,
    tensors_in,
)

CARD_KEY = "napari_convnet"
NETWORK_PREFIX = "network."
SAMPLE_INPUT = "sample.input"
SAMPLE_OUTPUT = "sample.output"

#: How far the sample's output may be from the one in the file.
MAX_DIFFERENCE = 1e-3


def load_model(
    path: str | os.PathLike[str],
    *,
    device: str | torch.device = "cpu",
    accept_different: bool = False,
) -> Model:
    """Open a model file. Nothing in it is ever run as a program, and nothing is written.

    Parameters
    ----------
    path
        A `.safetensors` file made by `save_model`.
    device
        Where the network is put, after the check of its sample on the CPU.
    accept_different
        Open it even if this computer does not reproduce the sample's output.

    Returns
    -------
    Model
        In evaluation mode, with its sample of shape (1, C, Y, X).

    Raises
    ------
    UserError
        CN-101 pickle, CN-102 foreign code, CN-103 damaged, CN-104 newer format, CN-105 not valid,
        CN-107 sample not reproduced, CN-108 not readable.
    """
    with _opened(path) as (stream, size, name):
        model = _read_model(stream, size, name, accept_different)
    model.network.to(device)
    return model


def model_from_bytes(data: bytes, name: str) -> Model:
    """Open what `model_bytes` made, with the checks of `load_model`; ``name`` is for messages."""
    name = refusals.plain_name(name)
    stream = io.BytesIO(data)
    refuse_foreign(stream, len(data), name)
    return _read_model(stream, len(data), name, accept_different=False)


def read_weights(path: str | os.PathLike[str]) -> dict[str, torch.Tensor]:
    """Read bare weights (a state dict) from a `.safetensors` file, as the start of a training.

    Returns
    -------
    dict
        CPU tensors by name; half precision is widened to float32, other types are as stored.

    Raises
    ------
    UserError
        As `load_model`; CN-105 also if the file is a whole model.
    """
    with _opened(path) as (stream, size, name):
        header = read_header(stream, size, name)
        if CARD_KEY in header.metadata:
            raise refusals.invalid(
                name, "it is a whole model, not bare weights; open it as a model"
            )
        tensors = tensors_in(header, read_data(stream, header, name))
    refuse_non_finite(tensors, name)
    halves = (torch.float16, torch.bfloat16)
    return {
        key: value.float() if value.dtype in halves else value for key, value in tensors.items()
    }


def verify_file(path: str | os.PathLike[str]) -> None:
    """Read a model file back and compare it with its own sha256."""
    with _opened(path) as (stream, size, name):
        header = read_header(stream, size, name)
        refuse_damage(header, read_data(stream, header, name), name)


@contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[tuple[BinaryIO, int, str]]:
    """Open an ordinary file of a kind that may be opened; give stream, length and showable name."""
    name = refusals.plain_name(Path(path).name)
    if "\0" in str(path):
        raise refusals.unreadable(name, "its name holds a NUL character")
    try:
        # Looked at before opening, because opening a named pipe would wait for ever.
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise refusals.invalid(name, "it is a folder or a device, not a file")
        with open(path, "rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            refuse_foreign(stream, size, name)
            yield stream, size, name
    except OSError as error:
        raise refusals.unreadable(name, error.strerror or str(error)) from error


def _read_model(stream: BinaryIO, size: int, name: str, accept_different: bool) -> Model:
    header = read_header(stream, size, name)
    if CARD_KEY not in header.metadata:
        raise refusals.weights_only(name)
    _refuse_newer(header, name)
    data = read_data(stream, header, name)
    refuse_damage(header, data, name)
    card = _read_card(header, name)
    tensors = tensors_in(header, data)
    sample, expected = _take_sample(tensors, name)
    weights = _strip_prefix(tensors, name)
    network = rebuild_network(card, weights, name)
    refuse_non_finite({**weights, SAMPLE_INPUT: sample, SAMPLE_OUTPUT: expected}, name)
    output = run_sample(card, network, sample, name)
    if expected.shape != output.shape or expected.dtype != output.dtype:
        raise refusals.invalid(name, f"its sample output has shape {tuple(expected.shape)}")
    difference = float((output - expected).abs().max())
    if not difference <= MAX_DIFFERENCE and not accept_different:  # NaN is not accepted either
        raise refusals.computes_differently(name, difference, MAX_DIFFERENCE)
    return Model(card, network, sample.numpy().copy())


def _refuse_newer(header: Header, name: str) -> None:
    """Before the hash, which a newer format may compute in another way."""
    try:
        card = strict_json(header.metadata[CARD_KEY])
    except ValueError as error:
        raise refusals.invalid(name, f"its card: {error}") from error
    version = card.get("format_version") if isinstance(card, dict) else None
    if type(version) is int and version > FORMAT_VERSION:
        raise refusals.newer(name, version, FORMAT_VERSION)


def _read_card(header: Header, name: str) -> ModelCard:
    try:
        return ModelCard.model_validate_json(header.metadata[CARD_KEY])
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "card"
        raise refusals.invalid(name, f"{where}: {first['msg']}", str(error)[:2000]) from error


def _take_sample(tensors: dict[str, torch.Tensor], name: str) -> tuple[torch.Tensor, torch.Tensor]:
    for wanted in (SAMPLE_INPUT, SAMPLE_OUTPUT):
        if wanted not in tensors:
            raise refusals.invalid(name, f"tensor '{wanted}' is missing")
    return tensors.pop(SAMPLE_INPUT), tensors.pop(SAMPLE_OUTPUT)


def _strip_prefix(tensors: dict[str, torch.Tensor], name: str) -> dict[str, torch.Tensor]:
    for tensor in tensors:
        if not tensor.startswith(NETWORK_PREFIX):
            raise refusals.invalid(name, f"tensor '{tensor}' does not belong to a model")
    return {tensor.removeprefix(NETWORK_PREFIX): value for tensor, value in tensors.items()}
