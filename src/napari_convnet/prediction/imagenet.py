"""ImageNet's 1,000 names for any image, from one of torchvision's networks as it is."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from napari_convnet.devices import choose_device, use_all_cores
from napari_convnet.images import CleanImage
from napari_convnet.networks.downloads import describe_weights
from napari_convnet.networks.imagenet import (
    ImageNetClassifier,
    build_imagenet_classifier,
    name_best,
)
from napari_convnet.networks.weights import download_weights

__all__ = ["ImageNetClassifier", "load_imagenet_network", "name_image"]


def load_imagenet_network(
    network_id: str, weights: Mapping[str, Tensor] | None = None
) -> ImageNetClassifier:
    """Return a torchvision classifier as it is, with its 1,000 names.

    Parameters
    ----------
    network_id
        Such as ``"mobilenet_v2"``.
    weights
        Its state dict; by default torchvision's, which are downloaded once.

    Raises
    ------
    UserError
        CN-502 and CN-508 for a network without such weights, CN-110 if they cannot be fetched, CN-111 if the
        given ones do not fit.
    """
    if weights is None:
        describe_weights(network_id)
        weights = download_weights(network_id)
    return build_imagenet_classifier(network_id, weights)


def name_image(
    classifier: ImageNetClassifier, image: CleanImage, count: int = 5, device: str = "auto"
) -> list[tuple[str, float]]:
    """Return the most probable of ImageNet's names with their probabilities, best first.

    The networks saw photographs of everyday things; of a microscope image they say what it resembles.

    Parameters
    ----------
    image
        ``(C, Y, X)`` with 1 or 3 channels. Values within 0 to 1 or 0 to 255 are taken as they are, others are
        stretched between their smallest and largest.

    Raises
    ------
    UserError
        CN-534 for another number of channels.
    """
    use_all_cores()
    chosen = choose_device(device)
    pixels = torch.from_numpy(_from_0_to_1(image.pixels))[None]
    with torch.inference_mode():
        logits = classifier.to(chosen)(pixels.to(chosen))
    return name_best(logits.cpu(), count)[0]


def _from_0_to_1(pixels: np.ndarray) -> np.ndarray:
    low, high = float(pixels.min()), float(pixels.max())
    if low >= 0 and high <= 1:
        return pixels
    if low >= 0 and high <= 255:
        return pixels / np.float32(255)
    return ((pixels - low) / np.float32(max(high - low, 1e-30))).astype(np.float32)
