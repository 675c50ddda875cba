"""A network as a value: named layers, each with settings and the layers that it takes.

Nothing here needs torch: shapes and numbers of weights are plain arithmetic, so a designer can check a
network at every click, and a graph from a stranger's file is refused before any memory is taken.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from math import prod

from napari_convnet.errors import UserError
from napari_convnet.networks.layers import (
    DoesNotFit,
    Flatten,
    GlobalAveragePool,
    LayerKind,
    Linear,
    MaxPool2d,
    MaxUnpool2d,
    Shape,
)

#: What layers call the network's input.
IMAGE = "image"

MAX_LAYERS = 300
#: 2 GB of float32, which is also the largest model file.
MAX_PARAMETERS = 500_000_000
#: 1 GiB of float32 in one layer for one image.
MAX_VALUES = 2**28

#: What a layer may be called.
NAME = r"^[A-Za-z][A-Za-z0-9 _\-]{0,39}$"


@dataclass(frozen=True)
class Layer:
    """One layer of a graph.

    Parameters
    ----------
    name
        Unique, 1 to 40 letters, digits, blanks, ``_`` and ``-``, beginning with a letter.
    settings
        One of the kinds in `napari_convnet.networks.layers`.
    inputs
        Names of earlier layers, or ``"image"``.
    """

    name: str
    settings: LayerKind
    inputs: tuple[str, ...]

    @property
    def key(self) -> str:
        """Return its name in a state dict."""
        return self.name.replace(" ", "_")


@dataclass(frozen=True)
class LaidOutLayer:
    """A layer with what follows from the size of the input.

    Parameters
    ----------
    layer
        With "one for each class" replaced by the number of classes.
    input_shapes, output_shape
        ``(C, Y, X)`` or ``(F,)``, without the batch.
    parameters
        Number of learnable numbers.
    step
        Pixels of the image between two neighbours of the output; 0 for single values.
    """

    layer: Layer
    input_shapes: tuple[Shape, ...]
    output_shape: Shape
    parameters: int
    step: Fraction


@dataclass(frozen=True)
class LayerGraph:
    """Layers in an order in which they can be computed; the last one's output is the network's.

    Raises
    ------
    UserError
        CN-530, naming the layer, if names repeat, an input is missing or leads backwards, or a layer
        leads nowhere.
    """

    layers: tuple[Layer, ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.layers) <= MAX_LAYERS:
            raise refuse_graph(f"it has {len(self.layers)} layers; 1 to {MAX_LAYERS} are possible")
        known: dict[str, Layer | None] = {IMAGE: None}
        keys = {IMAGE}
        for layer in self.layers:
            if not re.fullmatch(NAME, layer.name):
                raise refuse_graph(f"{layer.name[:60]!r} is no name for a layer")
            if layer.key in keys:
                raise refuse_graph(f"two layers are called '{layer.name}'")
            fewest, most = layer.settings.n_inputs
            if not fewest <= len(layer.inputs) <= most:
                wanted = fewest if fewest == most else f"{fewest} to {most}"
                raise refuse_graph(
                    f"'{layer.name}' needs {wanted} inputs but has {len(layer.inputs)}"
                )
            for name in layer.inputs:
                if name not in known:
                    raise refuse_graph(f"'{layer.name}' takes '{name}', which is no earlier layer")
            _check_unpooling(layer, known)
            known[layer.name] = layer
            keys.add(layer.key)
        self._check_ends()

    def _check_ends(self) -> None:
        """Refuse a layer that leads nowhere."""
        used = {name for layer in self.layers for name in layer.inputs}
        for layer in self.layers[:-1]:
            if layer.name not in used:
                raise refuse_graph(f"no layer takes '{layer.name}'")

    @property
    def is_spatial(self) -> bool:
        """Return whether the output is a map, so that the input may have any size."""
        flat = (Flatten, GlobalAveragePool, Linear)
        return not any(isinstance(layer.settings, flat) for layer in self.layers)

    @property
    def multiple(self) -> int:
        """Return what the sides of the input must be a multiple of for branches to meet again."""
        steps = self._steps()
        return int(max(1, *(step for step in steps.values())))

    def _steps(self) -> dict[str, Fraction]:
        steps = {IMAGE: Fraction(1)}
        pooled_from: dict[str, Fraction] = {}
        for layer in self.layers:
            before = max(steps[name] for name in layer.inputs[:1])
            if isinstance(layer.settings, MaxPool2d):
                pooled_from[layer.name] = before
            if isinstance(layer.settings, MaxUnpool2d):
                steps[layer.name] = pooled_from[layer.inputs[1]]
            else:
                steps[layer.name] = before * layer.settings.step
        return steps

    def lay_out(self, input_shape: Shape, n_classes: int) -> tuple[LaidOutLayer, ...]:
        """Work out every layer's shape and number of weights.

        Parameters
        ----------
        input_shape
            ``(C, Y, X)``.
        n_classes
            Number of outputs where a layer has "one for each class".

        Raises
        ------
        UserError
            CN-531, naming the layer, where shapes do not fit or the network becomes too large.
        """
        shapes: dict[str, Shape] = {IMAGE: tuple(input_shape)}
        before_pool: dict[str, Shape] = {}
        steps = self._steps()
        laid_out: list[LaidOutLayer] = []
        for layer in self.layers:
            settings = layer.settings.for_classes(n_classes)
            inputs = tuple(shapes[name] for name in layer.inputs)
            if isinstance(settings, MaxPool2d):
                before_pool[layer.name] = inputs[0]
            if isinstance(settings, MaxUnpool2d):
                inputs = (*inputs, before_pool[layer.inputs[1]])
            try:
                output = settings.output_shape(*inputs)
            except DoesNotFit as error:
                raise UserError("CN-531", f"'{layer.name}' {error}.") from error
            shapes[layer.name] = output
            laid_out.append(
                LaidOutLayer(
                    dataclasses.replace(layer, settings=settings),
                    inputs,
                    output,
                    settings.n_parameters(*inputs),
                    steps[layer.name] if len(output) == 3 else Fraction(0),
                )
            )
            _refuse_too_large(laid_out)
        return tuple(laid_out)


class GraphBuilder:
    """Writes a graph down layer by layer; a layer takes the one before it unless told otherwise."""

    def __init__(self) -> None:
        self._layers: list[Layer] = []
        self._counts: dict[str, int] = {}

    @property
    def last(self) -> str:
        """Return the name of the last layer, or ``"image"``."""
        return self._layers[-1].name if self._layers else IMAGE

    def add(self, settings: LayerKind, *inputs: str) -> str:
        """Append a layer and return its name, such as ``"conv 1"``."""
        number = self._counts.get(settings.word, 0) + 1
        self._counts[settings.word] = number
        self._layers.append(Layer(f"{settings.word} {number}", settings, inputs or (self.last,)))
        return self.last

    def chain(self, *layers: LayerKind) -> str:
        """Append layers one after the other and return the name of the last."""
        for settings in layers:
            self.add(settings)
        return self.last

    def graph(self) -> LayerGraph:
        """Return what was written down."""
        return LayerGraph(tuple(self._layers))


def _check_unpooling(layer: Layer, known: dict[str, Layer | None]) -> None:
    if isinstance(layer.settings, MaxUnpool2d):
        pool = known[layer.inputs[1]]
        if pool is None or not isinstance(pool.settings, MaxPool2d) or pool.settings.dilation > 1:
            raise refuse_graph(
                f"the second input of '{layer.name}' must be a max pool without dilation"
            )


def _refuse_too_large(laid_out: Iterable[LaidOutLayer]) -> None:
    *_, last = laid_out
    total = sum(entry.parameters for entry in laid_out)
    if total > MAX_PARAMETERS:
        raise UserError(
            "CN-531",
            f"With '{last.layer.name}' the network has {total:,} weights; limit {MAX_PARAMETERS:,}. "
            "Use fewer filters or units, or smaller images.",
        )
    if prod(last.output_shape) > MAX_VALUES:
        raise UserError(
            "CN-531",
            f"'{last.layer.name}' would make {prod(last.output_shape):,} values of one image; limit "
            f"{MAX_VALUES:,}. Use fewer filters or smaller images.",
        )


def refuse_graph(reason: str, details: str = "") -> UserError:
    """Say why layers make no network."""
    reason = reason.rstrip(".")[:220]
    return UserError(
        "CN-530", f"These layers make no network: {reason}. Nothing was changed.", details
    )
