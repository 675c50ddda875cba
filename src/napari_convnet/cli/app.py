"""The commands and their options; what they do is in the modules that they call.

torch is imported inside the commands, so that ``--help`` answers at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from napari_convnet import __version__
from napari_convnet.cli import exchange, locate
from napari_convnet.cli.check import check
from napari_convnet.cli.command_group import Commands
from napari_convnet.cli.compare import compare
from napari_convnet.cli.data_options import (
    Folds,
    GroupsColumn,
    GroupsFile,
    SkipBroken,
    Test,
    TestFraction,
)
from napari_convnet.cli.networks import networks
from napari_convnet.cli.object_options import with_object_options
from napari_convnet.cli.options import (
    AllOrientations,
    ClassNames,
    Device,
    Features,
    Groups,
    Instances,
    ModelFile,
    Report,
    Seed,
    count_orientations,
)
from napari_convnet.cli.suspects import suspects
from napari_convnet.cli.training_options import with_training_options
from napari_convnet.errors import UserError

app = typer.Typer(
    name="napari-convnet",
    cls=Commands,
    help="Train convolutional networks on annotated images, and apply them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
train_app = typer.Typer(help="Train a model on folders of images.", no_args_is_help=True)
app.add_typer(train_app, name="train")
exchange.register(app)
locate.register(train_app)
for command in (networks, compare, check, suspects):
    app.command()(command)


@train_app.command("classify")
@with_training_options("convnet")
def train_classify(
    folder: Annotated[Path, typer.Argument(help="Holds one folder of images for each class.")],
    options: dict[str, Any],
    groups_file: GroupsFile = None,
    groups_column: GroupsColumn = "",
    test: Test = None,
    test_fraction: TestFraction = 0.0,
    folds: Folds = 0,
    skip_broken: SkipBroken = False,
    features: Features = "none",
) -> None:
    """Train a classifier on a folder of images for each class.

    Ctrl+C stops the training and keeps the best model so far.
    """
    from napari_convnet.cli.class_data import DataOptions
    from napari_convnet.cli.starting import with_start
    from napari_convnet.cli.train import Options, train_classifier

    data = DataOptions(
        validation=options["validation"],
        groups=options["groups"],
        groups_file=groups_file,
        groups_column=groups_column,
        test=test,
        test_fraction=test_fraction,
        skip_broken=skip_broken,
        seed=options["seed"],
    )
    train_classifier(folder, Options(**with_start(options), features=features), data, folds)


@train_app.command("segment")
@with_training_options("unet")
def train_segment(
    images: Annotated[Path, typer.Option(help="Folder of images.")],
    labels: Annotated[
        Path, typer.Option(help="Folder of label images of the same names; 0 = not annotated.")
    ],
    options: dict[str, Any],
    instances: Instances = False,
    classes: ClassNames = None,
    test: Test = None,
) -> None:
    """Train a segmentation on images and label images; sparse strokes are enough.

    Labels are 0 = not annotated, k = class k. Ctrl+C stops and keeps the best model so far.
    """
    from napari_convnet.cli.starting import with_start
    from napari_convnet.cli.train import Options, train_segmenter

    given = Options(**with_start(options))
    train_segmenter(images, labels, given, instances=instances, class_names=classes, test=test)


@app.command()
@with_object_options
def predict(
    model: Annotated[
        str,
        typer.Argument(
            help="Model file (.safetensors), or imagenet:NAME for one of torchvision's."
        ),
    ],
    inputs: Annotated[list[Path], typer.Argument(help="Image files or folders of images.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for the results.")
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            show_default="downloaded once", help="Weights of an imagenet:NAME (.safetensors)."
        ),
    ] = None,
    all_orientations: AllOrientations = False,
    labels: Annotated[
        Path | None,
        typer.Option(
            help="For a classifier: folder of label images with the names of the images; their objects are "
            "classified, instead of whole images."
        ),
    ] = None,
    start_over: Annotated[
        bool,
        typer.Option(
            "--start-over",
            help="Do all images again, also in a folder with results of another model.",
        ),
    ] = False,
    device: Device = "auto",
    objects: Any = None,
) -> None:
    """Apply a model to images.

    A classifier writes `predictions.csv`, or with --labels `STEM_classes.tif` for every image and `objects.csv`
    with one line for each object; a segmentation writes `STEM_classes.tif`, `STEM_objects.tif` and `objects.csv`;
    a model that locates writes `positions.csv` and `STEM_positions.png`. `summary.csv` has one row for each image:
    objects and areas by class, and what went wrong; an image that cannot be read is named there and left out.

    The same command goes on where it was stopped: images that are done and have not changed since are skipped, and
    another model or other settings are refused.

    imagenet:mobilenet_v2 and its kind print the five most probable of ImageNet's 1,000 names, and write
    `names.csv` into the folder, if any.
    """
    if model.startswith("imagenet:"):
        from napari_convnet.cli.imagenet import name_files

        name_files(model.removeprefix("imagenet:"), inputs, output, weights, device)
        return
    if output is None:
        raise typer.BadParameter("Give a folder for the results with -o.")
    if weights is not None:
        raise UserError("CN-506", "--weights only belongs to imagenet:NAME.")
    from napari_convnet.cli.apply import predict_files
    from napari_convnet.prediction.many_images import ApplyOptions

    options = ApplyOptions(objects, count_orientations(all_orientations), labels)
    predict_files(Path(model), inputs, output, options, device, start_over=start_over)


@app.command()
def evaluate(
    model: ModelFile,
    folder: Annotated[
        Path | None, typer.Argument(help="For a classifier: holds one folder for each class.")
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="For a segmentation: folder of images.")
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(help="For a segmentation: folder of label images.")
    ] = None,
    positions: Annotated[
        Path | None, typer.Option(help="For positions: CSV table with image, y, x (and frame).")
    ] = None,
    instances: Instances = False,
    validation: Annotated[
        str | None,
        typer.Option(
            metavar="FRACTION|FOLDER",
            show_default="all images",
            help="Measure only what `train` with this option holds out.",
        ),
    ] = None,
    groups: Groups = None,
    groups_file: GroupsFile = None,
    groups_column: GroupsColumn = "",
    seed: Annotated[int, typer.Option(min=0, help="As it was for `train`.")] = 0,
    all_orientations: AllOrientations = False,
    device: Device = "auto",
    report: Report = None,
) -> None:
    """Compare a model's answers with the truth."""
    from napari_convnet.cli.apply import EvaluationData, evaluate_model

    data = EvaluationData(
        folder=folder,
        images=images,
        labels=labels,
        positions=positions,
        instances=instances,
        validation=validation,
        groups=groups,
        groups_file=groups_file,
        groups_column=groups_column,
        seed=seed,
        n_orientations=count_orientations(all_orientations),
    )
    evaluate_model(model, data, device, report)


@app.command()
def demo(
    out: Annotated[
        Path, typer.Option("--out", help="Folder for pictures, tables, models and the report.")
    ] = Path("demo"),
    gui: Annotated[
        bool | None,
        typer.Option(
            "--gui/--no-gui", show_default="if there is a screen", help="Open napari after."
        ),
    ] = None,
    device: Device = "auto",
    seed: Seed = 0,
) -> None:
    """Classify cells and segment nuclei on the sample images, in a few minutes."""
    from napari_convnet.cli.demo import run_demonstration

    run_demonstration(out, gui=gui, device=device, seed=seed)


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and leave.", is_eager=True)
    ] = False,
) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


def main() -> None:
    """Run the command line; exit status 0 = done, 1 = wrong input, 2 = wrong usage, 130 = Ctrl+C."""
    app()
