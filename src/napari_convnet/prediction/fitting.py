"""Whether a model fits an image, and how the image is prepared for it."""

from __future__ import annotations

import math

import torch

from napari_convnet.errors import UserError
from napari_convnet.images import CleanImage, LazyImage, Normalisation
from napari_convnet.memory import available_memory
from napari_convnet.model_file import Model, check_channels
from napari_convnet.networks import network_entry

#: What a segmentation takes for each pixel of its image at most, while objects are told apart and listed (measured).
BYTES_PER_PIXEL = 62
#: What is kept of each pixel of a stack: its class and its object.
BYTES_KEPT = 5


def check_model_fits(model: Model, task: str, image: CleanImage | LazyImage) -> None:
    """Refuse a model that does another task or expects other channels.

    Raises
    ------
    UserError
        CN-106, naming what the model does or expects.
    """
    if model.card.task != task:
        raise UserError(
            "CN-106",
            f"Model '{model.card.name}' was trained to {model.card.task}, not to {task}. "
            "Choose another model.",
        )
    check_channels(model.card, image.n_channels, image.name)


def sees_depth(model: Model) -> bool:
    """Return whether a model was trained on stacks, and is shown stacks."""
    return network_entry(model.card.network).dimensions == 3


def check_sees_planes(model: Model, image: CleanImage | LazyImage) -> None:
    """Refuse a model that needs the slices above and below.

    Raises
    ------
    UserError
        CN-675, naming the model and the image.
    """
    if sees_depth(model):
        raise UserError(
            "CN-675",
            f"Model '{model.card.name}' was trained on z-stacks and needs all slices, and '{image.name[:60]}' is a "
            "single plane. Nothing was changed. Open the stack, or choose a model of single images.",
        )


def result_fits(shape: tuple[int, int]) -> bool:
    """Return whether the segmentation of an image ``(Y, X)`` fits into the memory that is free, or nobody tells."""
    free = available_memory(torch.device("cpu"))
    return free is None or shape[0] * shape[1] * BYTES_PER_PIXEL <= free


def check_result_fits(image: CleanImage | LazyImage) -> None:
    """Refuse an image whose segmentation would not fit into the memory that is free, where that is known.

    Raises
    ------
    UserError
        CN-605 with both numbers.
    """
    if not result_fits(image.shape):
        raise _too_large(image.name, image.shape, image.shape[0] * image.shape[1] * BYTES_PER_PIXEL)


def check_stack_fits(shape: tuple[int, ...], name: str) -> None:
    """Refuse a stack ``(..., Y, X)`` as `check_result_fits` does: one plane in work, and the result of all.

    Raises
    ------
    UserError
        CN-605 with both numbers.
    """
    needed = math.prod(shape) * BYTES_KEPT + shape[-2] * shape[-1] * BYTES_PER_PIXEL
    free = available_memory(torch.device("cpu"))
    if free is not None and needed > free:
        raise _too_large(name, shape, needed)


def _too_large(name: str, shape: tuple[int, ...], needed: float) -> UserError:
    free = available_memory(torch.device("cpu")) or 0
    size = " x ".join(f"{side:,}" for side in shape)
    return UserError(
        "CN-605",
        f"'{name[:60]}' has {size} pixels; its result needs about {needed / 1e9:.1f} GB of memory, and "
        f"{free / 1e9:.1f} GB are free. Nothing was changed. Crop the image, or use a lower resolution of it.",
    )


def normalisation_of(model: Model) -> Normalisation:
    """Return the normalisation that the model was trained with."""
    return Normalisation(**model.card.normalisation.model_dump())
