"""The command ``train locate`` and its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_convnet.cli.options import (
    BatchSize,
    Device,
    Epochs,
    Freeze,
    LearningRate,
    MaxSeconds,
    Output,
    Pretrained,
    Report,
    Seed,
    Size,
    Validation,
)


def register(train_app: typer.Typer) -> None:
    """Add the command."""
    train_app.command("locate")(train_locate)


def train_locate(
    images: Annotated[
        Path, typer.Option(help="Folder of images, of films, or of folders of frames.")
    ],
    positions: Annotated[
        Path,
        typer.Option(help="CSV table: image, y, x in pixels; frame (from 0) for films; class."),
    ],
    output: Output,
    mode: Annotated[
        str,
        typer.Option(
            metavar="auto|patch|heat-map",
            help="One position a frame of a small film, or any number of positions an image.",
        ),
    ] = "auto",
    sigma: Annotated[
        float, typer.Option(min=0.5, max=50.0, help="Heat maps: size of a spot in pixels.")
    ] = 1.5,
    network: Annotated[
        str | None,
        typer.Option(show_default="by mode", help="Name from `napari-convnet networks`."),
    ] = None,
    epochs: Epochs = None,
    max_seconds: MaxSeconds = 0.0,
    seed: Seed = 0,
    validation: Validation = "0.2",
    batch_size: BatchSize = None,
    learning_rate: LearningRate = None,
    pretrained: Pretrained = "none",
    freeze: Freeze = False,
    size: Size = None,
    device: Device = "auto",
    report: Report = None,
) -> None:
    """Train to find positions: one in each frame of a film, or all of an image.

    An image (a frame) with at least one position is taken as completely marked; others are left out. Of
    films the last frames are held out, never single ones at random. Ctrl+C stops and keeps the best model.
    """
    from napari_convnet.cli.locating import train_locator
    from napari_convnet.cli.train import Options

    options = Options(
        output=output,
        network=network or "",
        epochs=epochs,
        max_seconds=max_seconds,
        seed=seed,
        validation=validation,
        groups=None,
        batch_size=batch_size,
        learning_rate=learning_rate,
        pretrained=pretrained,
        freeze=freeze,
        size=size,
        device=device,
        report=report,
    )
    train_locator(images, positions, options, mode=mode, sigma=sigma)
