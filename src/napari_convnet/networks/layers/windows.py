"""Layers that see a window of a map: convolutions, pools, and what undoes them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, ClassVar, Self

from napari_convnet.errors import UserError
from napari_convnet.networks.layers.base import (
    DoesNotFit,
    LayerKind,
    Shape,
    need_map,
    size_text,
    window_sides,
)

MAX_FILTERS = 8192

_Filters = Annotated[
    int,
    {
        "min": 0,
        "max": MAX_FILTERS,
        "tooltip": "Number of filters, and so of output maps; 0 means one for each class.",
    },
]
_Kernel = Annotated[int, {"min": 1, "max": 63, "tooltip": "Side of the window in pixels."}]
_Stride = Annotated[
    int, {"min": 1, "max": 16, "tooltip": "Pixels from one window to the next; 2 halves the map."}
]
_PoolStride = Annotated[
    int, {"min": 0, "max": 16, "tooltip": "Pixels from one window to the next; 0 means its side."}
]
_Border = Annotated[int, {"min": 0, "max": 64, "tooltip": "Pixels added on each side."}]
_Dilation = Annotated[
    int, {"min": 1, "max": 64, "tooltip": "Pixels between the points of the window; 1 is dense."}
]
_Ceil = Annotated[
    bool, {"tooltip": "Let a last window hang over the end, so that no pixel is left out."}
]
_Bias = Annotated[bool, {"tooltip": "Add one learnt number to each output map."}]


@dataclass(frozen=True)
class Conv2d(LayerKind):
    """Convolution: every filter looks at a window of all input maps."""

    kind: ClassVar[str] = "conv2d"
    word: ClassVar[str] = "conv"

    filters: _Filters = 16
    kernel: _Kernel = 3
    stride: _Stride = 1
    padding: Annotated[
        str,
        {
            "tooltip": "'valid' uses only whole windows, 'same' keeps the size, a number adds so many pixels."
        },
    ] = "valid"
    dilation: _Dilation = 1
    bias: _Bias = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "padding", _padding_text(self.padding))
        super().__post_init__()
        if self.padding == "same" and self.extent % 2 == 0:
            raise UserError("CN-501", "'same' padding needs a window with an odd side.")

    @property
    def extent(self) -> int:
        """Return the side of the window, gaps included."""
        return (self.kernel - 1) * self.dilation + 1

    @property
    def border(self) -> int:
        """Return how many pixels are added on each side."""
        return {"valid": 0, "same": self.extent // 2}.get(self.padding) or _number(self.padding)

    @property
    def step(self) -> Fraction:  # noqa: D102
        return Fraction(self.stride)

    def output_shape(self, *inputs: Shape) -> Shape:  # noqa: D102
        return (self.filters, *window_sides(inputs[0], self.extent, self.stride, self.border))

    def n_parameters(self, *inputs: Shape) -> int:  # noqa: D102
        return self.filters * (inputs[0][0] * self.kernel**2 + self.bias)

    def for_classes(self, n_classes: int) -> Self:  # noqa: D102
        return dataclasses.replace(self, filters=self.filters or n_classes)


def _padding_text(padding: object) -> str:
    text = str(padding) if type(padding) in (int, str) else ""
    if text not in ("valid", "same") and not (
        text.isascii() and text.isdigit() and len(text) < 3 and int(text) <= 64
    ):
        raise UserError(
            "CN-501", f"'padding' is {padding!r}; it must be 'valid', 'same' or 0 to 64 pixels."
        )
    return text


def _number(padding: str) -> int:
    return int(padding) if padding.isdigit() else 0


@dataclass(frozen=True)
class TransposedConv2d(LayerKind):
    """Transposed convolution: every pixel paints a learnt window, so that the map grows."""

    kind: ClassVar[str] = "transposed_conv2d"
    word: ClassVar[str] = "transposed conv"

    filters: _Filters = 16
    kernel: _Kernel = 2
    stride: _Stride = 2
    padding: _Border = 0
    bias: _Bias = True

    @property
    def step(self) -> Fraction:  # noqa: D102
        return Fraction(1, self.stride)

    def output_shape(self, *inputs: Shape) -> Shape:  # noqa: D102
        need_map(inputs[0])
        grown = (self.kernel - 2 * self.padding) - self.stride
        sides = [side * self.stride + grown for side in inputs[0][1:]]
        if min(sides) < 1:
            raise DoesNotFit(f"leaves nothing of {size_text(inputs[0])} pixels")
        return (self.filters, *sides)

    def n_parameters(self, *inputs: Shape) -> int:  # noqa: D102
        return self.filters * (inputs[0][0] * self.kernel**2 + self.bias)

    def for_classes(self, n_classes: int) -> Self:  # noqa: D102
        return dataclasses.replace(self, filters=self.filters or n_classes)


@dataclass(frozen=True)
class _Pool(LayerKind):
    size: _Kernel = 2
    stride: _PoolStride = 0
    padding: _Border = 0
    ceil: _Ceil = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.padding > self.size // 2:
            raise UserError("CN-501", f"'padding' is {self.padding}; at most half of 'size'.")

    @property
    def between(self) -> int:
        """Return the pixels from one window to the next."""
        return self.stride or self.size

    @property
    def step(self) -> Fraction:
        return Fraction(self.between)

    def output_shape(self, *inputs: Shape) -> Shape:
        extent = (self.size - 1) * getattr(self, "dilation", 1) + 1
        sides = window_sides(inputs[0], extent, self.between, self.padding, self.ceil)
        return (inputs[0][0], *sides)


@dataclass(frozen=True)
class MaxPool2d(_Pool):
    """Largest value of each window. A max unpool layer that names it gets the places of these values."""

    kind: ClassVar[str] = "max_pool2d"
    word: ClassVar[str] = "max pool"

    dilation: _Dilation = 1


@dataclass(frozen=True)
class AveragePool2d(_Pool):
    """Mean of each window."""

    kind: ClassVar[str] = "average_pool2d"
    word: ClassVar[str] = "average pool"


@dataclass(frozen=True)
class MaxUnpool2d(LayerKind):
    """Put values back where a max pool layer (the second input) found them, and zeros elsewhere."""

    kind: ClassVar[str] = "max_unpool2d"
    word: ClassVar[str] = "max unpool"
    n_inputs: ClassVar[tuple[int, int]] = (2, 2)

    def output_shape(self, *inputs: Shape) -> Shape:
        """Return the shape before the pool; ``inputs`` are values, pooled maps, and maps before the pool."""
        values, pooled, before = inputs
        if values != pooled:
            raise DoesNotFit(
                f"needs as many maps and pixels as the max pool made, {pooled[0]} of "
                f"{size_text(pooled)}, but gets {' x '.join(map(str, values))}"
            )
        return before


@dataclass(frozen=True)
class GlobalAveragePool(LayerKind):
    """Mean of each map: one value a map, whatever the size of the image."""

    kind: ClassVar[str] = "global_average_pool"
    word: ClassVar[str] = "global average"

    def output_shape(self, *inputs: Shape) -> Shape:  # noqa: D102
        need_map(inputs[0])
        return inputs[0][:1]


@dataclass(frozen=True)
class Upsample(LayerKind):
    """Enlarge the map without learning."""

    kind: ClassVar[str] = "upsample"
    word: ClassVar[str] = "upsample"

    factor: Annotated[int, {"min": 2, "max": 16, "tooltip": "How many times larger."}] = 2
    mode: Annotated[
        str, {"choices": ("nearest", "bilinear"), "tooltip": "Repeat pixels, or blend them."}
    ] = "nearest"

    @property
    def step(self) -> Fraction:  # noqa: D102
        return Fraction(1, self.factor)

    def output_shape(self, *inputs: Shape) -> Shape:  # noqa: D102
        need_map(inputs[0])
        return (inputs[0][0], *(side * self.factor for side in inputs[0][1:]))


@dataclass(frozen=True)
class Pad(LayerKind):
    """Repeat the border of the map outwards."""

    kind: ClassVar[str] = "pad"
    word: ClassVar[str] = "pad"

    before: Annotated[int, {"min": 0, "max": 256, "tooltip": "Pixels at the top and left."}] = 1
    after: Annotated[int, {"min": 0, "max": 256, "tooltip": "Pixels at the bottom and right."}] = 1

    def output_shape(self, *inputs: Shape) -> Shape:  # noqa: D102
        need_map(inputs[0])
        return (inputs[0][0], *(side + self.before + self.after for side in inputs[0][1:]))
