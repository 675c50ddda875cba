"""Whether a model fits an image, and how the image is prepared for it."""

from __future__ import annotations

from napari_convnet.errors import UserError
from napari_convnet.images import CleanImage, Normalisation
from napari_convnet.model_file import Model, check_channels


def check_model_fits(model: Model, task: str, image: CleanImage) -> None:
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


def normalisation_of(model: Model) -> Normalisation:
    """Return the normalisation that the model was trained with."""
    return Normalisation(**model.card.normalisation.model_dump())
