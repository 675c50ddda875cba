"""The command `suspects`: images that probably lie in the folder of the wrong class."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from napari_convnet.cli.console import follow, say, stopped_by_interrupt
from napari_convnet.cli.data_options import GroupsColumn, GroupsFile, SkipBroken
from napari_convnet.cli.options import Device, Groups, Pretrained, Seed

_HEADER = ("file", "class", "probability", "probably", "its_probability")


def suspects(
    folder: Annotated[Path, typer.Argument(help="Holds one folder of images for each class.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="CSV table, the most doubtful image first.")
    ],
    network: Annotated[str, typer.Option(help="Network of the judges.")] = "convnet",
    size: Annotated[
        int | None,
        typer.Option(min=8, show_default="the network's", help="Side of resized images."),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, show_default="from the number of images", help="Of each.")
    ] = None,
    folds: Annotated[int, typer.Option(min=2, help="Number of judges.")] = 5,
    pretrained: Pretrained = "none",
    groups: Groups = None,
    groups_file: GroupsFile = None,
    groups_column: GroupsColumn = "",
    seed: Seed = 0,
    device: Device = "auto",
    skip_broken: SkipBroken = False,
) -> None:
    """Find images that probably lie in the folder of the wrong class.

    Networks are trained, each without a part of the images, and judge the part that they never saw. Pretrained weights
    make better judges. Nothing is moved: look at each image, it may only be hard.
    """
    from napari_convnet.cli.starting import read_pretrained
    from napari_convnet.evaluation import find_suspects
    from napari_convnet.exchange.result_files import check_file, write_table
    from napari_convnet.networks import network_entry
    from napari_convnet.settings import TrainingSettings

    check_file(output)
    entry = network_entry(network, "classify")
    options = {"groups": groups, "groups_file": groups_file, "groups_column": groups_column}
    listed, samples = _read(folder, size or entry.input_size, skip_broken, seed, options)
    settings = TrainingSettings(
        epochs=epochs or 1,
        batch_size=16,
        learning_rate=entry.learning_rate,
        seed=seed,
        device=device,
    )
    with stopped_by_interrupt() as stop:
        steps = find_suspects(
            samples, network, settings, initial_weights=read_pretrained(pretrained, network),
            n_folds=folds, has_epochs=epochs is not None, stop=stop,
        )  # fmt: skip
        found = follow(steps, "judging")
    if found is None:
        say("Stopped. Nothing was written.")
        raise typer.Exit(130)
    names, files = listed.folder.class_names, listed.folder.files
    rows = [
        (str(files[k]), names[given], found.probabilities[k, given], names[other], found.probabilities[k, other])
        for k, given, other in zip(found.indices, found.given, found.suggested, strict=True)
    ]  # fmt: skip
    write_table(output, _HEADER, rows)
    say(
        f"{len(rows):,} of {found.n_samples:,} images are doubted by networks that never saw them; they are in "
        f"{output}, the most doubtful first. They may be in the wrong folder, or hard: look at each."
    )


def _read(folder: Path, size: int, skip_broken: bool, seed: int, groups: dict[str, Any]):
    """Return the files and the training set of all of them, with their groups."""
    from dataclasses import replace

    import numpy as np

    from napari_convnet.cli.class_data import DataOptions, list_class_data, read_class_data

    data = DataOptions(validation="0", skip_broken=skip_broken, seed=seed, **groups)
    listed, samples, notes = read_class_data(
        list_class_data(folder, data), size, skip_broken=skip_broken
    )
    for note in notes:
        say(note)
    if listed.groups is not None:
        split = replace(samples.split, groups=np.array(listed.groups))
        samples = replace(samples, split=split)
    return listed, samples
