"""Layers that see no neighbours: linear units, normalisation, activations, and joining of branches.

There is no softmax: networks end in logits, and the loss and the prediction turn these into probabilities.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from math import prod
from typing import Annotated, ClassVar, Self

from napari_convnet.networks.layers.base import DoesNotFit, LayerKind, Shape, need_vector

#: Most layers that can be joined at one place.
MAX_JOINED = 32


@dataclass(frozen=True)
class BatchNorm(LayerKind):
    """Bring every map or value to mean 0 and spread 1 over the batch, then scale and shift by learnt numbers."""

    kind: ClassVar[str] = "batch_norm"
    word: ClassVar[str] = "batch norm"

    def n_parameters(self, *inputs: Shape) -> int:  # noqa: D102
        return 2 * inputs[0][0]


@dataclass(frozen=True)
class Relu(LayerKind):
    """Negative values become 0."""

    kind: ClassVar[str] = "relu"
    word: ClassVar[str] = "relu"


@dataclass(frozen=True)
class LeakyRelu(LayerKind):
    """Negative values are made small."""

    kind: ClassVar[str] = "leaky_relu"
    word: ClassVar[str] = "leaky relu"

    slope: Annotated[
        float, {"min": 0.0, "max": 1.0, "step": 0.01, "tooltip": "Factor of negative values."}
    ] = 0.01


@dataclass(frozen=True)
class Elu(LayerKind):
    """Negative values approach -1 smoothly."""

    kind: ClassVar[str] = "elu"
    word: ClassVar[str] = "elu"


@dataclass(frozen=True)
class Gelu(LayerKind):
    """A smooth relu, by the Gaussian error function."""

    kind: ClassVar[str] = "gelu"
    word: ClassVar[str] = "gelu"


@dataclass(frozen=True)
class Tanh(LayerKind):
    """Squeeze values between -1 and 1."""

    kind: ClassVar[str] = "tanh"
    word: ClassVar[str] = "tanh"


@dataclass(frozen=True)
class Sigmoid(LayerKind):
    """Squeeze values between 0 and 1."""

    kind: ClassVar[str] = "sigmoid"
    word: ClassVar[str] = "sigmoid"


@dataclass(frozen=True)
class Dropout(LayerKind):
    """Leave out values at random in training, so that none is relied upon."""

    kind: ClassVar[str] = "dropout"
    word: ClassVar[str] = "dropout"

    share: Annotated[
        float, {"min": 0.0, "max": 0.95, "step": 0.05, "tooltip": "Share that is left out."}
    ] = 0.5


@dataclass(frozen=True)
class Flatten(LayerKind):
    """All pixels of all maps as one list of values. It fixes the size of the image."""

    kind: ClassVar[str] = "flatten"
    word: ClassVar[str] = "flatten"

    def output_shape(self, *inputs: Shape) -> Shape:  # noqa: D102
        return (prod(inputs[0]),)


@dataclass(frozen=True)
class Linear(LayerKind):
    """Units that each weigh all values."""

    kind: ClassVar[str] = "linear"
    word: ClassVar[str] = "linear"

    units: Annotated[
        int, {"min": 0, "max": 65_536, "tooltip": "Number of units; 0 means one for each class."}
    ] = 0
    bias: Annotated[bool, {"tooltip": "Add one learnt number to each unit."}] = True

    def output_shape(self, *inputs: Shape) -> Shape:  # noqa: D102
        need_vector(inputs[0])
        return (self.units,)

    def n_parameters(self, *inputs: Shape) -> int:  # noqa: D102
        return self.units * (inputs[0][0] + self.bias)

    def for_classes(self, n_classes: int) -> Self:  # noqa: D102
        return dataclasses.replace(self, units=self.units or n_classes)


@dataclass(frozen=True)
class Add(LayerKind):
    """Sum of branches of one shape: a residual connection."""

    kind: ClassVar[str] = "add"
    word: ClassVar[str] = "add"
    n_inputs: ClassVar[tuple[int, int]] = (2, MAX_JOINED)

    def output_shape(self, *inputs: Shape) -> Shape:  # noqa: D102
        if len(set(inputs)) > 1:
            raise DoesNotFit(f"needs inputs of one shape but gets {_listed(inputs)}")
        return inputs[0]


@dataclass(frozen=True)
class Concatenate(LayerKind):
    """Maps of several branches, one after the other: a skip connection."""

    kind: ClassVar[str] = "concatenate"
    word: ClassVar[str] = "concatenate"
    n_inputs: ClassVar[tuple[int, int]] = (2, MAX_JOINED)

    def output_shape(self, *inputs: Shape) -> Shape:  # noqa: D102
        if len({shape[1:] for shape in inputs}) > 1:
            raise DoesNotFit(f"needs maps of one size but gets {_listed(inputs)}")
        return (sum(shape[0] for shape in inputs), *inputs[0][1:])


@dataclass(frozen=True)
class TwoLogits(LayerKind):
    """Logits (0, z) of two classes from one unit's z; their softmax is (1 - s, s), s the sigmoid of z.

    So a network with one sigmoid unit trains by the same cross-entropy, with the same result, as one with
    an output for each class.
    """

    kind: ClassVar[str] = "two_logits"
    word: ClassVar[str] = "two logits"

    def output_shape(self, *inputs: Shape) -> Shape:  # noqa: D102
        if inputs[0][0] != 1:
            raise DoesNotFit(f"needs one unit but gets {inputs[0][0]}")
        return (2, *inputs[0][1:])


def _listed(shapes: tuple[Shape, ...]) -> str:
    return " and ".join(" x ".join(map(str, shape)) for shape in shapes[:3])
