"""ImageNet classifiers as they are: any image in, probabilities of 1,000 named things out."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torchvision
from torch import Tensor, nn

from napari_convnet.errors import UserError
from napari_convnet.networks.backbones import build_backbone
from napari_convnet.networks.weights import adapt_weights, default_weights

N_CLASSES = 1000


def imagenet_classes() -> tuple[str, ...]:
    """Return the 1,000 names in the order of the outputs, as torchvision has them with its weights."""
    return tuple(torchvision.models.get_model_weights("resnet18").DEFAULT.meta["categories"])


class ImageNetClassifier(nn.Module):
    """A torchvision network with its 1,000 outputs and the preparation that its weights were trained with.

    Input ``(N, C, Y, X)`` float32 from 0 to 1, of any size, C = 1 (grey, repeated) or 3 (RGB); output logits
    ``(N, 1000)``. The shorter side is resized, the middle cut out, and mean and spread of ImageNet are applied.
    """

    def __init__(self, network_id: str) -> None:
        super().__init__()
        self.network = build_backbone(network_id, 3, N_CLASSES)
        if network_id == "googlenet":
            self.network.transform_input = True  # its weights expect another mean and spread
        self._prepare = default_weights(network_id).transforms(antialias=True)

    def prepare(self, image: Tensor) -> Tensor:
        """Return ``(N, 3, crop, crop)`` as the weights expect it."""
        if image.shape[-3] not in (1, 3):
            raise UserError(
                "CN-534",
                f"ImageNet networks see red, green and blue; the image has {image.shape[-3]} "
                "channels. Choose one channel (shown as grey) or three.",
            )
        return self._prepare(image.expand(*image.shape[:-3], 3, *image.shape[-2:]))

    def forward(self, image: Tensor) -> Tensor:
        """Return logits ``(N, 1000)``, in the order of `imagenet_classes`."""
        return self.network(self.prepare(image))


def build_imagenet_classifier(network_id: str, weights: Mapping[str, Tensor]) -> ImageNetClassifier:
    """Build a torchvision classifier as it is, in evaluation mode.

    Parameters
    ----------
    network_id
        One of the catalogue's backbones, such as ``"resnet18"``.
    weights
        Its state dict, from `download_weights` or `napari_convnet.model_file.read_weights`.

    Raises
    ------
    UserError
        CN-111 if any part is missing or does not fit; CN-502 for another network.
    """
    from napari_convnet.networks.catalogue import BACKBONES

    if network_id not in BACKBONES:
        choices = ", ".join(BACKBONES)
        raise UserError(
            "CN-502", f"'{network_id}' is not trained on ImageNet. Choose one of {choices}."
        )
    classifier = ImageNetClassifier(network_id)
    missing = adapt_weights(classifier.network, weights)
    # torchvision's older files do not count the batches that a norm has seen
    missing = tuple(name for name in missing if not name.endswith("num_batches_tracked"))
    if missing:
        raise UserError(
            "CN-111",
            f"These weights are not complete for {network_id} with its 1,000 classes: '{missing[0]}' "
            "is missing or does not fit. Choose the file of this network.",
        )
    return classifier.eval().requires_grad_(False)


def name_best(logits: Tensor, count: int = 5) -> list[list[tuple[str, float]]]:
    """Return the ``count`` most probable names of each image with their probabilities, best first."""
    names = imagenet_classes()
    values, places = torch.softmax(logits.float(), 1).topk(count)
    return [
        [(names[place], value) for place, value in zip(row_places, row_values, strict=True)]
        for row_places, row_values in zip(places.tolist(), values.tolist(), strict=True)
    ]
