"""A model in memory: a network with its card and a sample, and how a card becomes a network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from napari_convnet.errors import UserError
from napari_convnet.model_file import refusals
from napari_convnet.model_file.card import ModelCard
from napari_convnet.model_file.tensor_file import MAX_BYTES
from napari_convnet.networks import build_network, network_entry

#: The sample is run on every opening, so it is one, and of a size that any computer does at once.
MAX_SAMPLE_SIDE = 512

#: What torch raises for tensors that do not go together, or for a lack of memory.
_TORCH_ERRORS = (RuntimeError, ValueError, TypeError, IndexError, ArithmeticError, MemoryError)


@dataclass(frozen=True, eq=False)
class Model:
    """A trained network with everything needed to use it.

    Parameters
    ----------
    card
        What it is and how images are prepared for it.
    network
        Gives logits (N, K) to classify, (N, K, Y, X) to segment, heat maps (N, K, Y, X) or positions (N, 2)
        to locate, from float32 (N, C, Y, X).
    sample_input
        (1, C, Y, X) or (C, Y, X) float32, normalised: saved with the network's answer, and run
        again whenever the file is opened. A real patch, or `make_sample` where images must stay
        private.
    """

    card: ModelCard
    network: nn.Module
    sample_input: np.ndarray


def make_sample(card: ModelCard) -> np.ndarray:
    """Make a synthetic sample for a model whose images must not travel with it.

    Returns
    -------
    numpy.ndarray
        (1, C, Y, X) float32: noise of mean 0 and standard deviation 1, the same on every computer.
    """
    rows, columns = (min(side, MAX_SAMPLE_SIDE) for side in card.input_size)
    noise = np.random.default_rng(0).standard_normal((1, len(card.channels), rows, columns))
    return noise.astype(np.float32)


def rebuild_network(card: ModelCard, weights: Mapping[str, torch.Tensor], name: str) -> nn.Module:
    """Build the card's network on the CPU, in evaluation mode, with a copy of the weights.

    The network is laid out without memory, so that size, names, shapes and types are known to fit
    before anything is allocated. Its own random weights are never drawn.

    Parameters
    ----------
    card
        Names the network.
    weights
        All parameters and buffers, by the names of `torch.nn.Module.state_dict`.
    name
        The file's name, for messages.

    Raises
    ------
    UserError
        CN-105 if the card's network is unknown or too large, or the weights are not exactly its
        own.
    """
    network = _lay_out(card, name)
    outline = network.state_dict()
    size = sum(tensor.numel() * tensor.element_size() for tensor in outline.values())
    if size > MAX_BYTES:
        raise refusals.invalid(name, refusals.too_large(size, MAX_BYTES))
    _refuse_other_weights(outline, weights, name)
    copies = {key: value.clone() for key, value in weights.items()}
    network.load_state_dict(copies, strict=True, assign=True)
    return network.eval()


def _lay_out(card: ModelCard, name: str) -> nn.Module:
    """Build the network on torch's "meta" device, where tensors have shapes and no memory."""
    try:
        network_entry(card.network, card.network_task)
        with torch.device("meta"):
            return build_network(
                card.network,
                len(card.channels),
                card.n_outputs,
                card.input_size,
                **card.network_settings,
            )
    except UserError as error:
        reason = f"network '{card.network}': {error.message}"
        raise refusals.invalid(name, reason, error.code) from error
    except _TORCH_ERRORS as error:
        reason = f"network '{card.network}' cannot be built"
        raise refusals.invalid(name, reason, str(error)) from error


def _refuse_other_weights(
    outline: Mapping[str, torch.Tensor], weights: Mapping[str, torch.Tensor], name: str
) -> None:
    for tensor in sorted(outline.keys() - weights.keys()):
        raise refusals.invalid(name, f"tensor '{tensor}' is missing")
    for tensor in sorted(weights.keys() - outline.keys()):
        raise refusals.invalid(name, f"tensor '{tensor}' does not belong to its network")
    for tensor, expected in outline.items():
        got = weights[tensor]
        if got.shape != expected.shape:
            shapes = f"{tuple(got.shape)}, expected {tuple(expected.shape)}"
            raise refusals.invalid(name, f"tensor '{tensor}' has shape {shapes}")
        if got.dtype != expected.dtype:
            raise refusals.invalid(
                name, f"tensor '{tensor}' is {got.dtype}, expected {expected.dtype}"
            )


def run_sample(
    card: ModelCard, network: nn.Module, sample: torch.Tensor, name: str
) -> torch.Tensor:
    """Return the logits for a sample, computed on the CPU in evaluation mode.

    Parameters
    ----------
    card, network
        The model; the network must be on the CPU and in evaluation mode.
    sample
        (1, C, Y, X) float32.
    name
        The file's name, for messages.

    Returns
    -------
    torch.Tensor
        (1, K) to classify, (1, K, Y, X) to segment or as heat maps, (1, 2) as a position; float32.

    Raises
    ------
    UserError
        CN-105 if the sample does not fit the card or the network.
    """
    wanted = (1, len(card.channels))
    if sample.ndim != 4 or sample.dtype != torch.float32 or tuple(sample.shape[:2]) != wanted:
        raise refusals.invalid(name, f"its sample has shape {tuple(sample.shape)}")
    if not 1 <= min(sample.shape[2:]) <= max(sample.shape[2:]) <= MAX_SAMPLE_SIDE:
        raise refusals.invalid(name, f"its sample has {sample.shape[2]} x {sample.shape[3]} pixels")
    try:
        with torch.inference_mode():
            output = network(sample).float()
    except _TORCH_ERRORS as error:
        raise refusals.invalid(name, "its sample cannot be run", str(error)) from error
    spatial = tuple(sample.shape[2:]) if card.network_task == "segment" else ()
    if tuple(output.shape) != (1, card.n_outputs, *spatial):
        raise refusals.invalid(name, f"its network gives an output of shape {tuple(output.shape)}")
    return output
