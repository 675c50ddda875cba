"""The catalogue: every network that can be chosen by name, with its purpose, source and bounded settings."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from torch import nn

from napari_convnet.errors import UserError
from napari_convnet.networks.backbones import BACKBONES, build_backbone
from napari_convnet.networks.convnet import ConvNet, ConvNetSettings
from napari_convnet.networks.unet import UNet, UNetSettings
from napari_convnet.settings import Checked

Task = Literal["classify", "segment"]


@dataclass(frozen=True)
class NoSettings(Checked):
    """Settings of a network that has none."""


@dataclass(frozen=True)
class NetworkEntry:
    """One network of the catalogue.

    Parameters
    ----------
    network_id
        Name on the command line and in model files.
    task
        ``"classify"`` (logits ``(N, K)``) or ``"segment"`` (logits ``(N, K, Y, X)``).
    title, purpose, source
        For people: what it is called, when to take it, where it comes from.
    input_size
        Side in pixels that inputs have unless the user says otherwise.
    smallest_size
        Smallest side in pixels that the network accepts.
    learning_rate
        Default learning rate of AdamW.
    settings
        Frozen dataclass of its settings.
    has_pretrained_weights
        Whether torchvision offers ImageNet weights.
    """

    network_id: str
    task: Task
    title: str
    purpose: str
    source: str
    input_size: int
    smallest_size: int
    learning_rate: float
    settings: type
    build: Callable[[int, int, Any], nn.Module]
    has_pretrained_weights: bool = False


_BACKBONE_FACTS = {
    "resnet18": ("ResNet-18", "He et al. 2016, https://doi.org/10.1109/CVPR.2016.90"),
    "resnet34": ("ResNet-34", "He et al. 2016, https://doi.org/10.1109/CVPR.2016.90"),
    "resnet50": ("ResNet-50", "He et al. 2016, https://doi.org/10.1109/CVPR.2016.90"),
    "mobilenet_v2": ("MobileNetV2", "Sandler et al. 2018, https://doi.org/10.1109/CVPR.2018.00474"),
    "squeezenet1_1": ("SqueezeNet 1.1", "Iandola et al. 2016, https://arxiv.org/abs/1602.07360"),
}


def _backbone_entry(network_id: str) -> NetworkEntry:
    title, source = _BACKBONE_FACTS[network_id]
    return NetworkEntry(
        network_id, "classify", title,
        "torchvision's network; with ImageNet weights it is strong from few samples.",
        source, 96, 32, 5e-4, NoSettings,
        lambda channels, classes, _settings: build_backbone(network_id, channels, classes),
        has_pretrained_weights=True,
    )  # fmt: skip


_ENTRIES = (
    NetworkEntry(
        "convnet", "classify", "Small ConvNet",
        "Cells and patches, from scratch, in a minute on a CPU.",
        "Blocks of 3x3 convolutions, Simonyan & Zisserman 2015, https://arxiv.org/abs/1409.1556",
        64, 8, 2e-3, ConvNetSettings, ConvNet,
    ),
    *(_backbone_entry(network_id) for network_id in BACKBONES),
    NetworkEntry(
        "unet", "segment", "UNet",
        "Pixels of any structure, from a few strokes or from whole masks.",
        "Ronneberger et al. 2015, https://doi.org/10.1007/978-3-319-24574-4_28",
        64, 16, 2e-3, UNetSettings, UNet,
    ),
)  # fmt: skip

NETWORKS: dict[str, NetworkEntry] = {entry.network_id: entry for entry in _ENTRIES}


def network_entry(network_id: str, task: Task | None = None) -> NetworkEntry:
    """Return the catalogue entry of a name.

    Raises
    ------
    UserError
        If there is no such network, or it does another task; lists those that fit.
    """
    entry = NETWORKS.get(network_id)
    if entry is None or (task is not None and entry.task != task):
        fitting = ", ".join(e.network_id for e in _ENTRIES if task in (None, e.task))
        reason = "is not in the catalogue" if entry is None else f"does not {task}"
        raise UserError("CN-502", f"Network '{network_id}' {reason}. Choose one of {fitting}.")
    return entry


def build_network(
    network_id: str,
    in_channels: int,
    n_classes: int,
    input_size: tuple[int, int] | None = None,
    **settings: Any,
) -> nn.Module:
    """Build an untrained network of the catalogue.

    Parameters
    ----------
    network_id
        Name in `NETWORKS`.
    in_channels, n_classes
        Numbers of image channels and of classes.
    input_size
        Height and width in pixels of what it will be fed; checked against what it accepts.
    **settings
        Fields of the network's settings class.

    Raises
    ------
    UserError
        For an unknown network or setting, a value outside its range, or an input that is too small.
    """
    entry = network_entry(network_id)
    known = {field.name for field in dataclasses.fields(entry.settings)}
    for name in settings:
        if name not in known:
            raise UserError("CN-503", f"Network '{network_id}' has no setting '{name}'.")
    if in_channels < 1 or n_classes < 1:
        raise UserError(
            "CN-504", f"{in_channels} channels and {n_classes} classes: at least 1 of each."
        )
    if input_size is not None and min(input_size) < entry.smallest_size:
        raise UserError(
            "CN-505",
            f"{entry.title} needs at least {entry.smallest_size} x {entry.smallest_size} pixels; "
            f"got {input_size[0]} x {input_size[1]}. Choose a larger size.",
        )
    return entry.build(in_channels, n_classes, entry.settings(**settings))
