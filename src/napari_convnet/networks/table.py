"""The table of a network: every layer with its shape, weights, view and cost, and what training it takes."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import nn

from napari_convnet.networks.catalogue import build_network, network_entry
from napari_convnet.networks.trace import Step, trace

#: Numbers that each optimiser remembers of every weight that learns.
_STATE = {"sgd": 0, "sgdm": 1, "rmsprop": 1, "adam": 2, "adamw": 2, "traingdx": 1}
_BYTES = 4


@dataclass(frozen=True)
class NetworkTable:
    """A network at one size of image.

    Parameters
    ----------
    input_shape
        ``(C, Y, X)``.
    rows
        Its operations in order, see `Step`.
    parameters, learning
        Learnable numbers, and how many of them are not frozen.
    multiply_adds
        For one image.
    activations
        Values of one image that are kept for learning.
    """

    input_shape: tuple[int, ...]
    rows: tuple[Step, ...]
    parameters: int
    learning: int
    multiply_adds: int
    activations: int

    def memory_bytes(self, batch_size: int, optimiser: str = "adamw") -> int:
        """Return about how many bytes training takes.

        ``4 x (parameters + learning x (1 + s) + batch x (image + activations + 2 x largest))``: weights, their
        gradients and the optimiser's ``s`` numbers for each (AdamW: 2), the batch, what is kept of every layer
        for the way back, and on the way back the gradients of one layer's output and input. Work space of the
        libraries comes on top.
        """
        largest = max(prod(row.output_shape) for row in self.rows)
        weights = self.parameters + self.learning * (1 + _STATE[optimiser])
        sample = prod(self.input_shape) + self.activations + 2 * largest
        return _BYTES * (weights + batch_size * sample)

    def to_dict(self) -> dict[str, Any]:
        """Return the table as plain values, for JSON."""
        return {
            **dataclasses.asdict(self),
            "memory_bytes": {n: self.memory_bytes(n) for n in (1, 16)},
            "rows": [dataclasses.asdict(row) for row in self.rows],
        }

    def to_text(self) -> str:
        """Return the table as lines of text."""
        lines = [_line("layer", "kind", "window", "output", "weights", "field", "multiply-adds")]
        for row in self.rows:
            frozen = " frozen" if row.parameters and not row.learning else ""
            lines.append(
                _line(
                    row.name,
                    row.kind,
                    " x ".join(map(str, row.window)),
                    " x ".join(map(str, row.output_shape)),
                    f"{row.parameters:,}{frozen}" if row.parameters else "",
                    "all" if row.receptive_field is None else f"{row.receptive_field:g}",
                    f"{row.multiply_adds:,}" if row.multiply_adds else "",
                )
            )
        shape = " x ".join(map(str, self.input_shape))
        total = (
            f"\nImage {shape}: {self.parameters:,} weights, {self.learning:,} of them learn; "
            f"{self.multiply_adds:,} multiply-adds an image.\n"
            f"Training takes about {self.memory_bytes(16) / 1e6:,.0f} MB for batches of 16 "
            f"(AdamW), {self.memory_bytes(1) / 1e6:,.0f} MB for single images."
        )
        return "\n".join([*lines, total])

    def diagram(self) -> dict[str, Any]:
        """Return nodes with shapes and edges between them; node 0 is the image.

        Returns
        -------
        dict
            ``{"nodes": [{"name", "kind", "shape", "parameters"}, ...], "edges": [(from, to), ...]}``.
        """
        image = {"name": "image", "kind": "image", "shape": self.input_shape, "parameters": 0}
        nodes = [
            {
                "name": row.name,
                "kind": row.kind,
                "shape": row.output_shape,
                "parameters": row.parameters,
            }
            for row in self.rows
        ]
        edges = [
            (source + 1, target)
            for target, row in enumerate(self.rows, start=1)
            for source in row.inputs
        ]
        return {"nodes": [image, *nodes], "edges": edges}


def network_table(network: nn.Module, input_shape: tuple[int, ...]) -> NetworkTable:
    """Lay out a network for one size of image, without memory for it.

    Parameters
    ----------
    network
        Any network, on any device, with or without weights in memory; it is left as it is.
    input_shape
        ``(C, Y, X)``.
    """
    rows = trace(network, input_shape)
    return NetworkTable(
        tuple(input_shape),
        rows,
        sum(p.numel() for p in network.parameters()),
        sum(p.numel() for p in network.parameters() if p.requires_grad),
        sum(row.multiply_adds for row in rows),
        sum(row.kept for row in rows),
    )


def describe_network(
    network_id: str,
    in_channels: int,
    n_classes: int,
    input_size: tuple[int, int] | None = None,
    **settings: Any,
) -> NetworkTable:
    """Return the table of a network of the catalogue; it is laid out without memory.

    Raises
    ------
    UserError
        As `napari_convnet.networks.build_network`.
    """
    side = network_entry(network_id).input_size
    rows, columns = input_size or (side, side)
    with torch.device("meta"):
        network = build_network(network_id, in_channels, n_classes, (rows, columns), **settings)
    return network_table(network, (in_channels, rows, columns))


def _line(*cells: str) -> str:
    widths = (34, 15, 7, 16, 19, 7, 15)
    first = [cell.ljust(width) for cell, width in zip(cells[:4], widths[:4], strict=True)]
    last = [cell.rjust(width) for cell, width in zip(cells[4:], widths[4:], strict=True)]
    return " ".join([*first, *last]).rstrip()
