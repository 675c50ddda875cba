"""Settings of the catalogue's networks, without torch, so that forms and files can read them at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from napari_convnet.errors import UserError
from napari_convnet.settings import Checked

_Dropout = Annotated[
    float,
    {
        "min": 0.0,
        "max": 0.9,
        "step": 0.05,
        "tooltip": "Share of the values that each training step leaves out.",
    },
]


@dataclass(frozen=True)
class NoSettings(Checked):
    """Settings of a network that has none."""


@dataclass(frozen=True)
class ConvNetSettings(Checked):
    """Size of the small classifier."""

    width: Annotated[
        int,
        {
            "min": 4,
            "max": 128,
            "tooltip": "Filters of the first block; every block has twice as many.",
        },
    ] = 16
    blocks: Annotated[
        int,
        {
            "min": 1,
            "max": 6,
            "tooltip": "Times that the image is halved.",
        },
    ] = 4
    dropout: Annotated[
        float,
        {
            "min": 0.0,
            "max": 0.9,
            "step": 0.05,
            "tooltip": "Share of the features that each training step leaves out before the last layer.",
        },
    ] = 0.1


@dataclass(frozen=True)
class UNetSettings(Checked):
    """Size of the UNet."""

    width: Annotated[
        int,
        {
            "min": 4,
            "max": 128,
            "tooltip": "Filters at full resolution; every level down has twice as many.",
        },
    ] = 16
    levels: Annotated[
        int,
        {
            "min": 1,
            "max": 6,
            "tooltip": "Times that the image is halved: more levels see a wider surrounding.",
        },
    ] = 3


@dataclass(frozen=True)
class SegNetSettings(UNetSettings):
    """Size of the SegNet."""

    levels: Annotated[
        int, {"min": 1, "max": 6, "tooltip": "Times that the image is halved and grows again."}
    ] = 4


@dataclass(frozen=True)
class UNet3dSettings(UNetSettings):
    """Size of the 3-D UNet, and how far it halves the depth."""

    width: Annotated[
        int,
        {
            "min": 4,
            "max": 128,
            "tooltip": "Filters at full resolution; every level down has twice as many.",
        },
    ] = 8
    halve_depth_from: Annotated[
        int,
        {
            "min": 0,
            "max": 6,
            "tooltip": "Levels that see each plane alone, because planes lie further apart than pixels.",
        },
    ] = 1


@dataclass(frozen=True)
class PretrainedUNetSettings(Checked):
    """Encoder of the UNet that starts from ImageNet weights."""

    encoder: Annotated[
        str,
        {
            "choices": ("mobilenet_v2", "resnet18", "resnet34", "resnet50"),
            "tooltip": "torchvision's network on the way down; its ImageNet weights can be used.",
        },
    ] = "resnet18"


@dataclass(frozen=True)
class DropoutSettings(Checked):
    """Regularisation of the hidden linear layers."""

    dropout: _Dropout = 0.0


@dataclass(frozen=True)
class VggHeadSettings(DropoutSettings):
    """Regularisation of the classifier on VGG16's frozen convolutions."""

    dropout: _Dropout = 0.5


@dataclass(frozen=True)
class MalariaSettings(Checked):
    """Regularisation of the malaria network."""

    dropout: _Dropout = 0.2


@dataclass(frozen=True)
class CifarConvNetSettings(Checked):
    """Normalisation of the CIFAR network."""

    batch_norm: Annotated[
        bool, {"tooltip": "Normalise after each convolution: learns faster and better."}
    ] = False


@dataclass(frozen=True)
class CifarResNetSettings(Checked):
    """Size of the residual network for small images."""

    width: Annotated[
        int, {"min": 4, "max": 128, "tooltip": "Filters of the first stage; doubled twice."}
    ] = 16
    blocks: Annotated[
        int, {"min": 1, "max": 18, "tooltip": "Residual blocks in each of the three stages."}
    ] = 3


@dataclass(frozen=True)
class PatchSegmenterSettings(Checked):
    """Size of the network that classifies the 32 x 32 pixels around every pixel."""

    width: Annotated[
        int, {"min": 4, "max": 64, "tooltip": "Filters of the first layer; doubled twice."}
    ] = 16


#: What a person's own network begins with: it classifies images of any size from 4 x 4 pixels.
STARTER_GRAPH = (
    '{"layers":['
    '{"name":"conv 1","kind":"conv2d","settings":{"filters":16,"padding":"same"},"inputs":["image"]},'
    '{"name":"relu 1","kind":"relu","inputs":["conv 1"]},'
    '{"name":"max pool 1","kind":"max_pool2d","inputs":["relu 1"]},'
    '{"name":"conv 2","kind":"conv2d","settings":{"filters":32,"padding":"same"},"inputs":["max pool 1"]},'
    '{"name":"relu 2","kind":"relu","inputs":["conv 2"]},'
    '{"name":"max pool 2","kind":"max_pool2d","inputs":["relu 2"]},'
    '{"name":"global average 1","kind":"global_average_pool","inputs":["max pool 2"]},'
    '{"name":"linear 1","kind":"linear","inputs":["global average 1"]}]}'
)


@dataclass(frozen=True)
class CustomSettings(Checked):
    """Layers that a person has put together."""

    graph: Annotated[
        str, {"tooltip": "The layers as JSON; see `napari_convnet.networks.graph_json`."}
    ] = STARTER_GRAPH

    def __post_init__(self) -> None:
        if not isinstance(self.graph, str):
            raise UserError("CN-501", "'graph' must be the layers as JSON text.")
        super().__post_init__()
