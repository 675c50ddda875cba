"""The command ``train locate`` and its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from napari_convnet.cli.training_options import with_training_options


def register(train_app: typer.Typer) -> None:
    """Add the command."""
    train_app.command("locate")(train_locate)


@with_training_options("")
def train_locate(
    images: Annotated[
        Path, typer.Option(help="Folder of images, of films, or of folders of frames.")
    ],
    positions: Annotated[
        Path,
        typer.Option(help="CSV table: image, y, x in pixels; frame (from 0) for films; class."),
    ],
    options: dict[str, Any],
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
) -> None:
    """Train to find positions: one in each frame of a film, or all of an image.

    An image (a frame) with at least one position is taken as completely marked; others are left out. Of
    films the last frames are held out, never single ones at random. Without --network, it follows from the
    mode. Ctrl+C stops the training and keeps the best model so far.
    """
    from napari_convnet.cli.locating import train_locator
    from napari_convnet.cli.starting import with_start
    from napari_convnet.cli.train import Options

    train_locator(images, positions, Options(**with_start(options)), mode=mode, sigma=sigma)
