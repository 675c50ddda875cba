"""Options that several commands share, each written once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ModelFile = Annotated[Path, typer.Argument(help="Model file (.safetensors).")]
Output = Annotated[Path, typer.Option("--output", "-o", help="Model file to write (.safetensors).")]
Network = Annotated[str, typer.Option(help="Name from `napari-convnet networks`.")]
Epochs = Annotated[
    int | None,
    typer.Option(
        min=1, show_default="from the number of annotations", help="Passes over the data."
    ),
]
MaxSeconds = Annotated[
    float, typer.Option(min=0.0, help="Stop after this time and keep the best model; 0 = no limit.")
]
Seed = Annotated[
    int, typer.Option(min=0, help="The same seed, data and machine give the same model.")
]
Validation = Annotated[
    str,
    typer.Option(
        metavar="FRACTION|FOLDER",
        help="Held out for the score: a share of the data, or a folder built like it.",
    ),
]
Groups = Annotated[
    str | None,
    typer.Option(
        metavar="REGEX",
        help="Part of the file name (patient, slide, plate) that must not be split.",
    ),
]
BatchSize = Annotated[
    int | None, typer.Option(min=1, show_default="32 or 8", help="Samples in a training step.")
]
LearningRate = Annotated[
    float | None, typer.Option(show_default="the network's own", help="Size of the first steps.")
]
Pretrained = Annotated[
    str,
    typer.Option(
        metavar="starter|imagenet|FILE.safetensors|none",
        help="Weights to start from: 'starter' comes with the package, for the unet; 'imagenet' is downloaded by "
        "torchvision.",
    ),
]
Freeze = Annotated[
    bool, typer.Option("--freeze", help="Train only the last layer of such a network.")
]
StartFrom = Annotated[
    Path | None,
    typer.Option(
        metavar="MODEL.safetensors",
        show_default="a new network",
        help="Go on from a model: its network; classes are matched by name, new ones may come and old ones go.",
    ),
]
Features = Annotated[
    str,
    typer.Option(
        metavar="logistic|none",
        help="'logistic': fit a logistic regression to the features of a pretrained network, in one pass.",
    ),
]
Size = Annotated[
    int | None,
    typer.Option(
        min=1,
        show_default="the network's own",
        help="Side in pixels: of the input to classify, of the training patches to segment.",
    ),
]
Device = Annotated[str, typer.Option(metavar="auto|cpu|cuda|mps", help="Where to compute.")]
Report = Annotated[
    Path | None, typer.Option(help="JSON file for the scores and what they were measured on.")
]
AllOrientations = Annotated[
    bool,
    typer.Option(
        "--all-orientations",
        help="For a classifier: the mean over the eight ways in which a picture can be turned and mirrored, where "
        "things have no upper side; eight times the work.",
    ),
]
Instances = Annotated[
    bool, typer.Option("--instances", help="Every label is a whole object; 0 = background.")
]
ClassNames = Annotated[
    str | None, typer.Option("--classes", metavar="A,B,...", help="Names of classes 1, 2, ...")
]


def count_orientations(wants_all: bool) -> int:
    """Return in how many orientations a classifier looks at each picture."""
    return 8 if wants_all else 1
