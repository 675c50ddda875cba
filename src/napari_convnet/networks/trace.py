"""What happens inside a network, operation by operation, found by running it on tensors without memory.

Every operation of torch is seen, whether a layer or a plain function makes it, with the results that it takes: so
sums of branches and skip connections are found in any network, however it is written.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils._python_dispatch import TorchDispatchMode

#: What people call torch's operations. Others keep torch's name.
_KINDS = {
    "convolution": "convolution", "addmm": "linear", "mm": "linear", "native_batch_norm": "batch norm",
    "_native_batch_norm_legit_no_training": "batch norm", "cudnn_batch_norm": "batch norm",
    "max_pool2d_with_indices": "max pool", "max_pool3d_with_indices": "max pool",
    "max_unpool2d": "max unpool", "avg_pool2d": "average pool",
    "_adaptive_avg_pool2d": "average pool", "mean": "global average", "cat": "concatenate",
    "add": "add", "add_": "add", "stack": "add", "relu": "relu", "relu_": "relu", "hardtanh": "relu 6",
    "hardtanh_": "relu 6", "leaky_relu": "leaky relu", "leaky_relu_": "leaky relu",
    "upsample_nearest2d": "upsample", "upsample_bilinear2d": "upsample",
    "replication_pad2d": "pad", "replication_pad3d": "pad", "view": "flatten",
    "_unsafe_view": "flatten", "reshape": "flatten",
}  # fmt: skip
_KEEPS_OUTPUT = {"relu", "tanh", "sigmoid"}
_KEEPS_INPUT = {
    "convolution", "linear", "batch norm", "max pool", "average pool", "relu 6", "leaky relu", "elu",
    "gelu", "native_dropout",
}  # fmt: skip
#: Operations that only look at the same numbers in another way, or make numbers from nothing.
_HIDDEN = {
    "t", "transpose", "detach", "alias", "slice", "select", "squeeze", "unsqueeze", "expand", "empty",
    "zeros", "empty_like", "zeros_like", "clone", "copy_", "_to_copy", "permute", "as_strided", "new_zeros",
}  # fmt: skip


@dataclass(frozen=True)
class Step:
    """One operation of a network.

    Parameters
    ----------
    name
        Of the layer, or of the part of the network that it happens in.
    kind
        What it does, in words.
    window
        Sides of its window in pixels, slowest first; empty if it has none.
    output_shape
        Without the batch.
    parameters, learning
        Learnable numbers of the layer, and how many of them are not frozen.
    receptive_field
        Side in pixels of the part of the image that one output value depends on; None for all of it.
    jump
        Pixels of the image between two neighbours of the output.
    multiply_adds
        Of convolutions and linear layers, for one image.
    kept
        Numbers that have to be kept of it for learning, for one image.
    inputs
        Positions of the steps whose results it takes; -1 is the image.
    """

    name: str
    kind: str
    window: tuple[int, ...]
    output_shape: tuple[int, ...]
    parameters: int
    learning: int
    receptive_field: float | None
    jump: float
    multiply_adds: int
    kept: int
    inputs: tuple[int, ...]


@dataclass(frozen=True)
class _Seen:
    """What is known of a tensor on its way; ``step`` is the operation that made it."""

    step: int
    field: float = 1.0
    jump: float = 1.0
    learns: bool = False


def trace(network: nn.Module, input_shape: tuple[int, ...]) -> tuple[Step, ...]:
    """Run a network on one image without memory, in evaluation mode, and list its operations in order.

    Parameters
    ----------
    network
        On any device; neither its weights nor its mode are changed, but it must not be used meanwhile.
    input_shape
        ``(C, Y, X)``, or with a third spatial axis.
    """
    image = torch.empty(1, *input_shape, device="meta")
    states = {
        name: tensor.to("meta")
        for name, tensor in (*network.named_parameters(), *network.named_buffers())
    }
    recorder = _Recorder(image)
    with _watched(network, recorder), torch.no_grad(), recorder:
        functional_call(network, states, (image,))
    return _with_kept(recorder.steps)


def _with_kept(steps: list[Step]) -> tuple[Step, ...]:
    """Count what has to be kept of every step on the way back, given whether it lies on that way.

    Kept are the outputs of relu and the like, whose gradient follows from the output; the inputs of convolutions
    and linear layers that learn, of norms, and of what else needs them; and the places of maxima (64 bits).
    """
    kept = {number for number, step in enumerate(steps) if step.kept and step.kind in _KEEPS_OUTPUT}
    for step in steps:
        needs_input = step.learning if step.kind in ("convolution", "linear") else True
        if step.kept and needs_input and step.kind in _KEEPS_INPUT:
            sources = list(step.inputs)
            while sources:
                source = sources.pop()
                if source >= 0 and steps[source].kind == "flatten":  # the same numbers
                    sources += steps[source].inputs
                elif source >= 0:
                    kept.add(source)
    return tuple(
        replace(
            step,
            kept=prod(step.output_shape)
            * ((number in kept) + 2 * (bool(step.kept) and step.kind == "max pool")),
        )
        for number, step in enumerate(steps)
    )


def receptive_radius(network: nn.Module, in_channels: int, multiple: int) -> int:
    """Return how far, in pixels, an input pixel can influence an output pixel (an upper bound)."""
    side = multiple * max(4, -(-64 // multiple))
    reach = trace(network, (in_channels, side, side))[-1].receptive_field
    # The field lies around the middle of the cell that was halved, which a pixel may be off by half of it.
    return math.ceil(((reach or side) + multiple) / 2)


@contextmanager
def _watched(network: nn.Module, recorder: _Recorder) -> Iterator[None]:
    """Tell the recorder which part of the network is at work, and keep its mode."""
    modes = {module: module.training for module in network.modules()}
    handles = []
    try:
        network.eval()
        for name, module in network.named_modules():
            handles.append(module.register_forward_pre_hook(recorder.entering(name, module)))
            handles.append(module.register_forward_hook(recorder.leaving))
        yield
    finally:
        for handle in handles:
            handle.remove()
        for module, mode in modes.items():
            module.training = mode


@dataclass
class _Part:
    """A part of the network that is at work, and whether its weights are in the table yet."""

    name: str
    module: nn.Module
    is_counted: bool = field(default=False)


class _Recorder(TorchDispatchMode):
    def __init__(self, image: Tensor) -> None:
        super().__init__()
        self.steps: list[Step] = []
        self._parts: list[_Part] = []
        self._alive: list[Tensor] = [image]  # an id is free again when its tensor dies
        self._seen = {id(image): _Seen(-1)}
        self._counted: set[int] = set()
        self._before_pool: dict[int, _Seen] = {}

    def entering(self, name: str, module: nn.Module) -> Callable[..., None]:
        return lambda *_: self._parts.append(_Part(name, module))

    def leaving(self, *_: Any) -> None:
        self._parts.pop()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        operation = func.overloadpacket.__name__
        given = [t for t in _tensors(args) if id(t) in self._seen]
        if given:
            self._record(operation, given, args, result)
        return result

    def _record(self, operation: str, given: list[Tensor], args: Any, result: Any) -> None:
        outputs = _tensors(result)
        self._alive += outputs
        sources = [self._seen[id(tensor)] for tensor in given]
        seen = replace(
            max(sources, key=lambda source: source.field),
            learns=any(source.learns for source in sources),
        )
        parameters, learning = self._weights()
        is_view = operation in ("view", "_unsafe_view", "reshape") and outputs[0].ndim > 2
        if operation not in _HIDDEN and not is_view:
            output = outputs[0]
            window, seen = _reach(operation, args, seen, given[0], output)
            if operation == "max_pool2d_with_indices":
                self._before_pool[id(outputs[1])] = sources[0]
            if operation == "max_unpool2d":
                seen = replace(seen, jump=self._before_pool[id(args[1])].jump)
            seen = replace(seen, step=len(self.steps), learns=seen.learns or learning > 0)
            self.steps.append(
                Step(
                    self._name(operation), _KINDS.get(operation, operation.strip("_")), window,
                    tuple(output.shape[1:]), parameters, learning,
                    None if math.isinf(seen.field) else seen.field, seen.jump,
                    _multiply_adds(operation, args, output), int(seen.learns),
                    tuple(dict.fromkeys(source.step for source in sources)),
                )
            )  # fmt: skip
        for tensor in outputs:
            self._seen[id(tensor)] = seen

    def _weights(self) -> tuple[int, int]:
        """Return numbers of weights of the part at work, the first time that it works."""
        if not self._parts or id(self._parts[-1].module) in self._counted:
            return 0, 0
        self._counted.add(id(self._parts[-1].module))
        own = list(self._parts[-1].module.parameters(recurse=False))
        return sum(p.numel() for p in own), sum(p.numel() for p in own if p.requires_grad)

    def _name(self, operation: str) -> str:
        part = self._parts[-1] if self._parts else _Part("", nn.Identity())
        is_leaf = next(part.module.children(), None) is None
        if is_leaf and part.name:
            return part.name.removeprefix("layers.").replace("_", " ")
        return " ".join(filter(None, (part.name, _KINDS.get(operation, operation.strip("_")))))


def _tensors(values: Any) -> list[Tensor]:
    if isinstance(values, Tensor):
        return [values]
    if isinstance(values, list | tuple):
        return [tensor for value in values for tensor in _tensors(value)]
    return []


def _reach(
    operation: str, args: Any, seen: _Seen, given: Tensor, output: Tensor
) -> tuple[tuple[int, ...], _Seen]:
    """Return the window of an operation, and how far its output sees."""
    if operation == "convolution":
        sides = tuple(args[1].shape[2:])
        stride, dilation, is_transposed = args[3], args[5], args[6]
        if is_transposed:
            reach = (-(-sides[-1] // stride[-1]) - 1) * seen.jump
            return sides, replace(seen, field=seen.field + reach, jump=seen.jump / stride[-1])
        reach = (sides[-1] - 1) * dilation[-1] * seen.jump
        return sides, replace(seen, field=seen.field + reach, jump=seen.jump * stride[-1])
    if "pool" in operation and operation.startswith(("max_pool", "avg_pool")):
        sides = tuple(args[1])
        stride = args[2][-1] if len(args) > 2 and args[2] else sides[-1]
        dilation = args[4][-1] if operation.startswith("max") and len(args) > 4 else 1
        reach = (sides[-1] - 1) * dilation * seen.jump
        return sides, replace(seen, field=seen.field + reach, jump=seen.jump * stride)
    if operation.startswith("upsample"):
        factor = output.shape[-1] / given.shape[-1]
        blend = seen.jump if "linear" in operation else 0
        return (), replace(seen, field=seen.field + blend, jump=seen.jump / factor)
    loses_place = output.ndim < given.ndim or operation == "_adaptive_avg_pool2d"
    if loses_place or (operation == "mean" and output.shape != given.shape):
        return (), replace(seen, field=math.inf)
    return (), seen


def _multiply_adds(operation: str, args: Any, output: Tensor) -> int:
    if operation == "convolution":
        weight, is_transposed = args[1], args[6]
        places = args[0][0, 0].numel() if is_transposed else output[0, 0].numel()
        return places * weight.numel()
    if operation in ("addmm", "mm"):
        return prod(output.shape[1:]) * args[-2 if operation == "mm" else 1].shape[1]
    return 0
