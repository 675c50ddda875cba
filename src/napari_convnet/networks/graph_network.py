"""A layer graph as a torch module."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_convnet.errors import UserError
from napari_convnet.networks import layers as kinds
from napari_convnet.networks.graph import IMAGE, LaidOutLayer, LayerGraph
from napari_convnet.networks.layers import LayerKind, Shape


class Sum(nn.Module):
    """Sum of tensors of one shape."""

    def forward(self, *branches: Tensor) -> Tensor:
        """Return the sum."""
        return functools.reduce(operator.add, branches)


class Join(nn.Module):
    """Channels of several tensors, one after the other."""

    def forward(self, *branches: Tensor) -> Tensor:
        """Return ``(N, sum of C, ...)``."""
        return torch.cat(branches, dim=1)


class ZeroAndLogit(nn.Module):
    """Logits (0, z) of two classes from one unit's z."""

    def forward(self, unit: Tensor) -> Tensor:
        """Return ``(N, 2, ...)`` of ``(N, 1, ...)``."""
        return torch.cat([torch.zeros_like(unit), unit], dim=1)


class MeanOfMaps(nn.Module):
    """Mean over rows and columns."""

    def forward(self, maps: Tensor) -> Tensor:
        """Return ``(N, C)`` of ``(N, C, Y, X)``."""
        return maps.mean(dim=(2, 3))


class BatchNormOfValues(nn.BatchNorm1d):
    """Batch normalisation of ``(N, F)`` that takes its running statistics where a batch is one sample.

    One sample has no spread; torch refuses it, and a training set may leave one for its last batch.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's name
        """Return normalised values."""
        if self.training and len(input) == 1:
            return F.batch_norm(
                input,
                self.running_mean,
                self.running_var,
                self.weight,
                self.bias,
                False,
                0.0,
                self.eps,
            )
        return super().forward(input)


class GraphNetwork(nn.Module):
    """The network of a layer graph.

    Input ``(N, in_channels, Y, X)`` float32; output what the last layer gives: ``(N, F)``, or
    ``(N, F, Y, X)``. Where the output is a map, the input may have any size: it is padded at its end, by
    repeating the border, to a multiple of what the graph halves, and the padding is cut off again.
    Otherwise the size of the input is fixed when the network is built if it has a flatten layer.

    Parameters
    ----------
    graph
        Its layers.
    in_channels, n_classes
        Numbers of channels of the image, and of outputs where a layer has "one for each class".
    input_size
        Rows and columns.

    Raises
    ------
    UserError
        CN-531, naming the layer that does not fit.
    """

    def __init__(
        self, graph: LayerGraph, in_channels: int, n_classes: int, input_size: tuple[int, int]
    ) -> None:
        super().__init__()
        self.graph = graph
        self.multiple = graph.multiple if graph.is_spatial else 1
        self._in_channels, self._n_classes = in_channels, n_classes
        self._laid_out = self.lay_out(input_size)
        self._pools = {
            layer.inputs[1]
            for layer in graph.layers
            if isinstance(layer.settings, kinds.MaxUnpool2d)
        }
        self._last_use = {
            name: position for position, layer in enumerate(graph.layers) for name in layer.inputs
        }
        self.layers = nn.ModuleDict({_key(entry): self._module(entry) for entry in self._laid_out})
        self._checked = {tuple(input_size)}

    def lay_out(self, input_size: tuple[int, int]) -> tuple[LaidOutLayer, ...]:
        """Return every layer's shape for an input of this many rows and columns."""
        rows, columns = (-(-side // self.multiple) * self.multiple for side in input_size)
        return self.graph.lay_out((self._in_channels, rows, columns), self._n_classes)

    @property
    def output_shape(self) -> Shape:
        """Return the shape of the output for one image of the size that it was built for."""
        return self._laid_out[-1].output_shape

    @cached_property
    def receptive_radius(self) -> int:
        """Return how far, in pixels, an input pixel can influence an output pixel (an upper bound)."""
        from napari_convnet.networks.trace import receptive_radius

        return receptive_radius(self, self._in_channels, self.multiple)

    def forward(self, image: Tensor) -> Tensor:
        """Return the logits."""
        rows, columns = image.shape[-2:]
        self._check(rows, columns)
        if self.multiple > 1:
            end = (0, -columns % self.multiple, 0, -rows % self.multiple)
            image = F.pad(image, end, mode="replicate")
        output = self._run(image)
        return output[..., :rows, :columns] if self.multiple > 1 else output

    def _run(self, image: Tensor) -> Tensor:
        values: dict[str, Tensor] = {IMAGE: image}
        indices: dict[str, tuple[Tensor, torch.Size]] = {}
        for position, (layer, module) in enumerate(
            zip(self.graph.layers, self.layers.values(), strict=True)
        ):
            inputs = [values[name] for name in layer.inputs]
            if layer.name in self._pools:
                output, found = module(inputs[0])
                indices[layer.name] = found, inputs[0].shape[-2:]
            elif isinstance(layer.settings, kinds.MaxUnpool2d):
                found, size = indices[layer.inputs[1]]
                output = module(inputs[0], found, output_size=size)
            else:
                output = module(*inputs)
            values[layer.name] = output
            del inputs
            for name in layer.inputs:  # what nobody needs any more gives its memory back
                if self._last_use[name] == position:
                    values.pop(name, None)
        return output

    def _check(self, rows: int, columns: int) -> None:
        """Say which layer an image of another size does not fit, before torch says how."""
        if (rows, columns) in self._checked:
            return
        laid_out = self.lay_out((rows, columns))
        for entry, built in zip(laid_out, self._laid_out, strict=True):
            if entry.parameters != built.parameters:
                raise UserError(
                    "CN-531",
                    f"This network was built for images of another size: '{entry.layer.name}' would "
                    f"need {entry.parameters:,} weights for {rows} x {columns} pixels and has "
                    f"{built.parameters:,}.",
                )
        if len(self._checked) < 64:
            self._checked.add((rows, columns))

    def _module(self, entry: LaidOutLayer) -> nn.Module:
        settings, shape = entry.layer.settings, entry.input_shapes[0]
        if isinstance(settings, kinds.MaxPool2d):
            return nn.MaxPool2d(
                settings.size, settings.between, settings.padding, settings.dilation,
                return_indices=entry.layer.name in self._pools, ceil_mode=settings.ceil,
            )  # fmt: skip
        if isinstance(settings, kinds.MaxUnpool2d):
            pool = next(layer for layer in self.graph.layers if layer.name == entry.layer.inputs[1])
            return nn.MaxUnpool2d(pool.settings.size, pool.settings.between, pool.settings.padding)
        return _MODULES[type(settings)](settings, shape)


def _key(entry: LaidOutLayer) -> str:
    """Return the layer's key in the state dict, where torch has not taken the word for itself."""
    return entry.layer.key + "_" * hasattr(nn.ModuleDict(), entry.layer.key)


def _batch_norm(_settings: LayerKind, shape: Shape) -> nn.Module:
    return nn.BatchNorm2d(shape[0]) if len(shape) == 3 else BatchNormOfValues(shape[0])


def _convolution(settings: kinds.Conv2d, shape: Shape) -> nn.Module:
    return nn.Conv2d(
        shape[0], settings.filters, settings.kernel, settings.stride, settings.border,
        settings.dilation, bias=settings.bias,
    )  # fmt: skip


def _transposed(settings: kinds.TransposedConv2d, shape: Shape) -> nn.Module:
    return nn.ConvTranspose2d(
        shape[0], settings.filters, settings.kernel, settings.stride, settings.padding,
        bias=settings.bias,
    )  # fmt: skip


_MODULES: dict[type[LayerKind], Callable[[Any, Shape], nn.Module]] = {
    kinds.Add: lambda _settings, _shape: Sum(),
    kinds.AveragePool2d: lambda settings, _shape: nn.AvgPool2d(
        settings.size, settings.between, settings.padding, settings.ceil
    ),
    kinds.BatchNorm: _batch_norm,
    kinds.Concatenate: lambda _settings, _shape: Join(),
    kinds.Conv2d: _convolution,
    kinds.Dropout: lambda settings, _shape: nn.Dropout(settings.share),
    kinds.Elu: lambda _settings, _shape: nn.ELU(),
    kinds.Flatten: lambda _settings, _shape: nn.Flatten(),
    kinds.Gelu: lambda _settings, _shape: nn.GELU(),
    kinds.GlobalAveragePool: lambda _settings, _shape: MeanOfMaps(),
    kinds.LeakyRelu: lambda settings, _shape: nn.LeakyReLU(settings.slope),
    kinds.Linear: lambda settings, shape: nn.Linear(shape[0], settings.units, settings.bias),
    kinds.Pad: lambda settings, _shape: nn.ReplicationPad2d(
        (settings.before, settings.after, settings.before, settings.after)
    ),
    kinds.Relu: lambda _settings, _shape: nn.ReLU(),
    kinds.Sigmoid: lambda _settings, _shape: nn.Sigmoid(),
    kinds.Tanh: lambda _settings, _shape: nn.Tanh(),
    kinds.TransposedConv2d: _transposed,
    kinds.TwoLogits: lambda _settings, _shape: ZeroAndLogit(),
    kinds.Upsample: lambda settings, _shape: nn.Upsample(
        scale_factor=settings.factor, mode=settings.mode
    ),
}
