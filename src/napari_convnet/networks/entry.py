"""What the catalogue says of a network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from torch import nn

Task = Literal["classify", "segment", "locate"]
Size = tuple[int, int]

#: Called with channels, classes, input size (rows, columns) and settings.
Builder = Callable[[int, int, Size, Any], "nn.Module"]


@dataclass(frozen=True)
class Stated:
    """For which input the source describes a network, and how many weights it then has.

    Parameters
    ----------
    channels, size, classes
        Channels and side in pixels of the image, and number of classes.
    parameters
        Learnable numbers, frozen ones included.
    """

    channels: int
    size: int
    classes: int
    parameters: int


@dataclass(frozen=True)
class NetworkEntry:
    """One network of the catalogue.

    Parameters
    ----------
    network_id
        Name on the command line and in model files.
    task
        ``"classify"`` (logits ``(N, K)``), ``"segment"`` (logits ``(N, K, Y, X)``) or ``"locate"`` (row and
        column in pixels, ``(N, 2)``).
    title, purpose, source
        For people: what it is called, when to take it, where it comes from (paper with DOI, or the course).
    stated
        What the source describes.
    input_size
        Side in pixels that inputs have unless the user says otherwise.
    smallest_size
        Smallest side in pixels that the network accepts.
    learning_rate
        Default learning rate of AdamW.
    settings
        Frozen dataclass of its settings.
    build
        Makes it, with random weights.
    has_pretrained_weights
        Whether torchvision offers ImageNet weights.
    presets
        Settings that have a name.
    library
        Module that has to be installed besides; empty if none.
    other_tasks
        Further tasks that it can do.
    dimensions
        2, or 3 for one that learns from stacks and is shown stacks.
    """

    network_id: str
    task: Task
    title: str
    purpose: str
    source: str
    stated: Stated
    input_size: int
    smallest_size: int
    learning_rate: float
    settings: type
    build: Builder
    has_pretrained_weights: bool = False
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    library: str = ""
    other_tasks: tuple[Task, ...] = ()
    dimensions: int = 2

    def does(self, task: Task) -> bool:
        """Return whether the network can be trained for a task."""
        return task == self.task or task in self.other_tasks

    @property
    def is_available(self) -> bool:
        """Return whether everything that it needs is installed."""
        return not self.library or find_spec(self.library) is not None
