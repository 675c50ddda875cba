"""The background part of the network table: lay the network out, then time a few steps of training."""

from __future__ import annotations

import csv
import io
import threading
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_convnet.progress import Progress, format_seconds
from napari_convnet.widgets.network_input import NetworkInput

if TYPE_CHECKING:
    from napari_convnet.networks.table import NetworkTable

HEADER = (
    "Layer", "Kind", "Window", "Output", "Parameters", "Training", "Receptive field", "Multiply-adds",
)  # fmt: skip
TIPS = (
    "Name of the layer in the model file.",
    "What it does.",
    "Sides in pixels of the window that it looks through.",
    "Channels x rows x columns, or number of values, for one image.",
    "Numbers that it can learn.",
    "Whether training changes them.",
    "Side in pixels of the part of the image that one output value sees.",
    "Multiplications with an addition, for one image.",
)
RIGHT = (4, 6, 7)


@dataclass(frozen=True)
class NetworkQuestion:
    """Which network is looked at, and how it would be trained.

    Parameters
    ----------
    network, settings
        Id in the catalogue, and its settings there.
    input
        For which images and classes.
    batch_size, n_samples
        Images in a step, and in an epoch; 0 samples: not known.
    device
        As in `TrainingSettings`.
    freezes, unfrozen_blocks
        Whether only the head and so many blocks before it learn.
    """

    network: str
    settings: Mapping[str, Any]
    input: NetworkInput
    batch_size: int = 16
    n_samples: int = 0
    device: str = "auto"
    freezes: bool = False
    unfrozen_blocks: int = 0


@dataclass(frozen=True, kw_only=True)
class TableReady(Progress):
    """The network is laid out."""

    table: NetworkTable


def view_steps(
    question: NetworkQuestion, stop: threading.Event
) -> Generator[Progress, None, tuple[float, str] | None]:
    """Lay a network out, time it, and return seconds of a step and the device; None when stopped.

    Raises
    ------
    UserError
        CN-50x and CN-53x for what cannot be built.
    """
    yield Progress(done=0, total=0, text="laying the network out")
    import torch

    from napari_convnet.devices import choose_device, use_all_cores
    from napari_convnet.networks.catalogue import build_network
    from napari_convnet.networks.table import network_table
    from napari_convnet.networks.timing import estimate_epoch_seconds
    from napari_convnet.networks.transfer import freeze

    def build():
        asked = question.input
        size = (asked.size, asked.size)
        network = build_network(
            question.network, asked.channels, asked.outputs, size, **question.settings
        )
        if question.freezes:
            freeze(network, question.network, question.unfrozen_blocks)
        return network

    with torch.device("meta"):
        table = network_table(build(), question.input.shape)
    yield TableReady(done=1, total=2, text="measuring the time of an epoch", table=table)
    if stop.is_set():
        return None
    device = choose_device(question.device)
    use_all_cores()
    with torch.random.fork_rng(devices=[]):  # nobody's random numbers are moved by looking
        network = build()
    seconds = estimate_epoch_seconds(network, question.input.shape, question.batch_size, 1, device)
    return seconds, device.type


def table_rows(table: NetworkTable) -> list[tuple[str, ...]]:
    """Return the texts of the table's rows, in the columns of `HEADER`."""
    return [
        (
            row.name,
            row.kind,
            " x ".join(map(str, row.window)),
            " x ".join(map(str, row.output_shape)),
            f"{row.parameters:,}" if row.parameters else "",
            _training(row.parameters, row.learning),
            "whole image" if row.receptive_field is None else f"{row.receptive_field:g} px",
            f"{row.multiply_adds:,}" if row.multiply_adds else "",
        )
        for row in table.rows
    ]


def _training(parameters: int, learning: int) -> str:
    if not parameters:
        return ""
    return "trainable" if learning == parameters else "partly frozen" if learning else "frozen"


def totals_text(table: NetworkTable, batch_size: int) -> str:
    """Say what all layers together have and take."""
    return (
        f"{table.parameters:,} parameters, {table.learning:,} of them trainable. {table.multiply_adds:,} "
        f"multiply-adds an image. Training takes about {memory_text(table.memory_bytes(batch_size))} of memory "
        f"with {batch_size} images a batch."
    )


def memory_text(n_bytes: int) -> str:
    """Write a number of bytes as people read it."""
    return f"{n_bytes / 1e9:.1f} GB" if n_bytes >= 1e9 else f"{max(1, round(n_bytes / 1e6))} MB"


def time_text(question: NetworkQuestion, seconds: float, device: str) -> str:
    """Say how long an epoch of training takes."""
    name = {"cpu": "the CPU", "cuda": "the graphics card", "mps": "the graphics card"}[device]
    step = f"{seconds:.1f} s" if seconds >= 1 else f"{1000 * seconds:.3g} ms"
    text = f"A batch of {question.batch_size} takes {step} to train on {name}"
    if not question.n_samples:
        return f"{text}: 1,000 images {_about(seconds * 1000 / question.batch_size)}."
    steps = -(-question.n_samples // question.batch_size)
    return (
        f"Time per epoch on {name}: {_about(seconds * steps)} "
        f"({question.n_samples:,} samples, {steps:,} batches of {step})."
    )


def _about(seconds: float) -> str:
    return f"about {format_seconds(seconds) if seconds >= 10 else f'{seconds:.1f} s'}"


def as_csv(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table as comma-separated values; numbers without separators of thousands."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([[_plain(cell) for cell in row] for row in rows])
    return text.getvalue()


def _plain(cell: str) -> str:
    number = cell.replace(",", "")
    return number if number.isdecimal() else cell.removesuffix(" px")
