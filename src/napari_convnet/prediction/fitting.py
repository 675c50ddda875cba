"""Whether a model fits an image, and how the image is prepared for it."""

from __future__ import annotations

import torch

from napari_convnet.errors import UserError
from napari_convnet.images import CleanImage, LazyImage, Normalisation
from napari_convnet.memory import available_memory
from napari_convnet.model_file import Model, check_channels

#: What a segmentation takes for each pixel of its image at most, while objects are told apart and listed (measured).
BYTES_PER_PIXEL = 62


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


def check_result_fits(image: CleanImage | LazyImage) -> None:
    """Refuse an image whose segmentation would not fit into the memory that is free, where that is known.

    Raises
    ------
    UserError
        CN-605 with both numbers.
    """
    height, width = image.shape
    needed, free = height * width * BYTES_PER_PIXEL, available_memory(torch.device("cpu"))
    if free is not None and needed > free:
        raise UserError(
            "CN-605",
            f"'{image.name[:60]}' has {height:,} x {width:,} pixels; its result needs about {needed / 1e9:.1f} GB of "
            f"memory, and {free / 1e9:.1f} GB are free. Nothing was changed. Crop the image, or use a lower "
            "resolution of it.",
        )


def normalisation_of(model: Model) -> Normalisation:
    """Return the normalisation that the model was trained with."""
    return Normalisation(**model.card.normalisation.model_dump())
