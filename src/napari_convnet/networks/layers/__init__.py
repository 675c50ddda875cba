"""The kinds of layers that a graph can have: their settings, shapes and numbers of weights, without torch."""

from __future__ import annotations

from napari_convnet.networks.layers.base import DoesNotFit, LayerKind, Shape
from napari_convnet.networks.layers.units import (
    Add,
    BatchNorm,
    Concatenate,
    Dropout,
    Elu,
    Flatten,
    Gelu,
    LeakyRelu,
    Linear,
    Relu,
    Sigmoid,
    Tanh,
    TwoLogits,
)
from napari_convnet.networks.layers.windows import (
    AveragePool2d,
    Conv2d,
    GlobalAveragePool,
    MaxPool2d,
    MaxUnpool2d,
    Pad,
    TransposedConv2d,
    Upsample,
)

#: Every kind, in the order in which a person is offered them.
LAYER_KINDS: tuple[type[LayerKind], ...] = (
    Conv2d, TransposedConv2d, MaxPool2d, MaxUnpool2d, AveragePool2d, GlobalAveragePool, Upsample, Pad,
    BatchNorm, Relu, LeakyRelu, Elu, Gelu, Tanh, Sigmoid, Dropout, Flatten, Linear, Add, Concatenate,
    TwoLogits,
)  # fmt: skip

KIND_BY_NAME: dict[str, type[LayerKind]] = {kind.kind: kind for kind in LAYER_KINDS}

__all__ = [
    "KIND_BY_NAME",
    "LAYER_KINDS",
    "Add",
    "AveragePool2d",
    "BatchNorm",
    "Concatenate",
    "Conv2d",
    "DoesNotFit",
    "Dropout",
    "Elu",
    "Flatten",
    "Gelu",
    "GlobalAveragePool",
    "LayerKind",
    "LeakyRelu",
    "Linear",
    "MaxPool2d",
    "MaxUnpool2d",
    "Pad",
    "Relu",
    "Shape",
    "Sigmoid",
    "Tanh",
    "TransposedConv2d",
    "TwoLogits",
    "Upsample",
]
