"""The catalogue: every network that can be chosen by name, with its purpose, source and bounded settings."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from napari_convnet.errors import UserError
from napari_convnet.networks.entries import BACKBONES, ENTRIES
from napari_convnet.networks.entry import NetworkEntry, Task

if TYPE_CHECKING:
    from torch import nn

__all__ = [
    "BACKBONES",
    "LARGEST_FRAME",
    "NETWORKS",
    "build_network",
    "network_entry",
    "networks_for",
]

#: Frames up to this side, in pixels, are seen whole and located by regression; in larger ones a heat map
#: finds a position better.
LARGEST_FRAME = 96
NETWORKS: dict[str, NetworkEntry] = {entry.network_id: entry for entry in ENTRIES}


def networks_for(task: Task) -> tuple[NetworkEntry, ...]:
    """Return the networks that can be trained for a task, the one to begin with first."""
    return tuple(entry for entry in ENTRIES if entry.does(task))


def network_entry(network_id: str, task: Task | None = None) -> NetworkEntry:
    """Return the catalogue entry of a name.

    Raises
    ------
    UserError
        CN-502 if there is no such network, or it does another task; lists those that fit.
    """
    entry = NETWORKS.get(network_id)
    if entry is None or (task is not None and not entry.does(task)):
        names = [e.network_id for e in ENTRIES if task is None or e.does(task)]
        fitting = ", ".join(names[:8]) + " or another of `napari-convnet networks`" * (
            len(names) > 8
        )
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
        Height and width in pixels of what it will be fed; checked against what it accepts. Networks that
        flatten the image are built for this size only. By default the catalogue's.
    **settings
        Fields of the network's settings class.

    Raises
    ------
    UserError
        CN-50x for an unknown network or setting, a value outside its range, or an input that is too small;
        CN-530 and CN-531 for layers that do not fit; CN-532 for a library that is not installed.
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
    size = input_size or (entry.input_size, entry.input_size)
    if min(size) < entry.smallest_size:
        raise UserError(
            "CN-505",
            f"{entry.title} needs at least {entry.smallest_size} x {entry.smallest_size} pixels; "
            f"got {size[0]} x {size[1]}. Choose a larger size.",
        )
    checked = entry.settings(**settings)
    network = entry.build(in_channels, n_classes, (size[0], size[1]), checked)
    if network_id == "custom":
        _check_output(network.output_shape, n_classes)
    return network


def _check_output(shape: tuple[int, ...], n_classes: int) -> None:
    """Refuse layers whose output is of no use for any task."""
    if shape not in ((n_classes,), (2,)) and not (len(shape) == 3 and shape[0] == n_classes):
        raise UserError(
            "CN-531",
            f"The last layer gives {' x '.join(map(str, shape))} values; {n_classes} classes need "
            f"{n_classes} values, or {n_classes} maps to segment. Set its filters or units to 0, "
            "which means one for each class.",
        )
