"""The command `compare`: two models applied to the same images, and where they differ."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from napari_convnet.cli.console import follow, format_value, print_table, say
from napari_convnet.cli.options import Device, Instances, Report
from napari_convnet.errors import UserError

if TYPE_CHECKING:
    from napari_convnet.evaluation import Comparison
    from napari_convnet.model_file import Model
    from napari_convnet.progress import Progress

#: What is written for all images together.
TABLE_FILE, LEGEND_FILE = "comparison.csv", "differences.csv"


def compare(
    first: Annotated[Path, typer.Argument(metavar="MODEL_A", help="Model file (.safetensors).")],
    second: Annotated[Path, typer.Argument(metavar="MODEL_B", help="The other model.")],
    inputs: Annotated[list[Path], typer.Argument(help="Image files or folders of images.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for maps of the differences.")
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            help="Folder of label images with the names of the images. To segment: the truth, of images that neither "
            "model learned from; both are scored on it. To classify: the objects that are compared."
        ),
    ] = None,
    instances: Instances = False,
    device: Device = "auto",
    report: Report = None,
) -> None:
    """Apply two models to the same images and show where they differ.

    Classes are matched by their names. With -o, `STEM_difference.tif` is a map for each image (0 = not looked at, 1 =
    the same), `differences.csv` says what its other values mean, and `comparison.csv` has one row for each image.
    """
    from napari_convnet.evaluation import match_classes, versions
    from napari_convnet.exchange.result_files import check_file, make_folder, write_report
    from napari_convnet.folders import list_inputs, match_labels
    from napari_convnet.model_file import load_model
    from napari_convnet.prediction.fitting import sees_depth

    if report:
        check_file(report)
    if output:
        make_folder(output)
    models = load_model(first), load_model(second)
    classes = match_classes(models[0].card, models[1].card)
    task = models[0].card.task
    if task == "classify" and (labels is None or instances):
        raise UserError(
            "CN-509",
            "These models classify: give --labels, a folder of label images whose objects are compared, and no "
            "--instances. Whole images in a folder for each class are scored by `evaluate`.",
        )
    if instances and labels is None:
        raise UserError("CN-509", "--instances belongs to --labels, the truth.")
    if task == "segment" and labels is not None and any(map(sees_depth, models)):
        raise UserError(
            "CN-509",
            "A model of stacks cannot be scored against --labels yet. Nothing was started. Leave --labels out to see "
            "where the two differ.",
        )
    files = list_inputs(inputs, output or first)  # results go nowhere, or not among the images
    if output:
        _check_names(files)
    truth = None if labels is None else match_labels(files, labels)
    found = follow(_compare_files(models, files, truth, output, device), "comparing")
    scores = None
    if task == "segment" and truth is not None:
        scores = follow(_scores(models, files, truth, instances, device), "scoring")
    whole = {
        "command": "compare", "models": [str(first), str(second)], "classes": list(classes.names),
        **found, **({} if scores is None else {"scores": scores}), "versions": versions(),
    }  # fmt: skip
    if report:
        write_report(report, whole)
    _print(whole, (models[0].card.name, models[1].card.name), task)


def _check_names(files: Sequence[Path]) -> None:
    """Refuse images whose maps would have the same name."""
    stems = [path.stem for path in files]
    twice = next((stem for stem in stems if stems.count(stem) > 1), None)
    if twice is not None:
        raise UserError(
            "CN-673",
            f"Two images are called '{twice}', and the map of one would replace that of the other. Nothing was "
            "written. Compare them one after the other, each into a folder of its own.",
        )


def _compare_files(
    models: tuple[Model, Model],
    files: Sequence[Path],
    labels: dict[Path, Path] | None,
    output: Path | None,
    device: str,
) -> Generator[Progress, None, dict[str, Any]]:
    """Compare the answers image by image; returns the counts over all of them."""
    from napari_convnet.evaluation import compare_cells, compare_masks, compare_stacks
    from napari_convnet.evaluation.over_images import as_part
    from napari_convnet.exchange.result_files import write_table, write_tiff
    from napari_convnet.folders import read_labels, read_stack
    from napari_convnet.prediction import object_centres
    from napari_convnet.prediction.fitting import sees_depth

    needs_stacks = any(map(sees_depth, models))
    counts: Any = 0
    rows, legend = [], []
    for number, path in enumerate(files):
        image = None if needs_stacks else _read(path)
        if image is None:
            planes = read_stack(path)
            shape = (len(planes), *planes[0].shape)
            steps = compare_stacks(*models, planes, shape, depth_axis=0, device=device)
            found = yield from as_part(steps, number, len(files))
            shown = found.comparison.map
        elif models[0].card.task == "segment":
            steps = compare_masks(*models, image, device=device)
            found = yield from as_part(steps, number, len(files))
            shown = found.comparison.map
        else:
            objects = read_labels(labels[path])
            present, centres = object_centres(objects)
            steps = compare_cells(*models, image, present, centres, device=device)
            found = yield from as_part(steps, number, len(files))
            shown = found.draw(objects)
        result = found.comparison
        counts = counts + result.counts
        rows.append(_row(path, result))
        legend += [(str(path), d.value, d.words, d.colour, d.n) for d in result.differences if d.n]
        if output:
            write_tiff(output / f"{path.stem}_difference.tif", shown)
    if output:
        write_table(output / TABLE_FILE, tuple(rows[0]), [tuple(row.values()) for row in rows])
        columns = ("image", "value", "meaning", "colour", result.unit)
        write_table(output / LEGEND_FILE, columns, legend)
    return {"unit": result.unit, "images": len(files), **_total(counts, result), "rows": rows}


def _read(path: Path) -> Any:
    from napari_convnet.cli.inputs import read_aloud

    return read_aloud(path)


def _row(path: Path, found: Comparison) -> dict[str, Any]:
    """Return the table's row of an image."""
    shares = {f"iou {name}": _plain(value) for name, value in found.iou.items()}
    return {
        "image": str(path), found.unit: found.n, "different": found.n_different,
        "share_different": round(found.share_different, 6), **shares,
    }  # fmt: skip


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else round(value, 6)


def _total(counts: np.ndarray, like: Comparison) -> dict[str, Any]:
    """Return what is counted over all images."""
    from napari_convnet.scores import Scores

    n = int(counts.sum())
    return {
        "n": n, "different": n - int(np.trace(counts)), "counts": counts.tolist(),
        "iou": {k: _plain(v) for k, v in zip(like.classes.names, Scores(counts).iou, strict=True)},
        "known_only_to_a": list(like.classes.only_first),
        "known_only_to_b": list(like.classes.only_second),
    }  # fmt: skip


def _scores(
    models: tuple[Model, Model],
    files: Sequence[Path],
    truth: dict[Path, Path],
    instances: bool,
    device: str,
) -> Generator[Progress, None, dict[str, Any]]:
    """Score both models on label images."""
    from napari_convnet.cli.inputs import CheckedPair
    from napari_convnet.evaluation import score_masks

    n_classes = 0 if instances else len(models[0].card.classes)

    def pairs() -> Iterator[tuple[Any, np.ndarray]]:
        for path in files:
            yield CheckedPair(path, truth[path], n_classes).read()

    names = [str(path) for path in files]
    return (yield from score_masks(*models, pairs(), names, instances=instances, device=device))


def _print(report: dict[str, Any], names: tuple[str, str], task: str) -> None:
    """Print both models, what differs, and their scores."""
    typer.echo(f"A: {names[0]}\nB: {names[1]}")
    share = report["different"] / report["n"] if report["n"] else 0.0
    typer.echo(f"{report['different']:,} of {report['n']:,} {report['unit']} differ ({share:.2%})")
    rows = []
    for k, name in enumerate(report["classes"]):
        counts = np.array(report["counts"])
        rows.append(
            {"class": name, f"{report['unit']} of A": int(counts[k].sum()),
             f"{report['unit']} of B": int(counts[:, k].sum()), "iou": report["iou"][name]}
        )  # fmt: skip
    title = f"A against B on {report['images']} images"
    print_table(title, rows, tuple(rows[0]))
    for key, known, other in (("known_only_to_a", "A", "B"), ("known_only_to_b", "B", "A")):
        if report[key]:
            say(f"{', '.join(report[key])}: only {known} knows; {other} can never say it.")
    if "scores" in report:
        _print_scores(report["scores"])
    elif task == "segment":
        say("Without --labels nobody knows which of them is right.")


def _print_scores(scores: dict[str, Any]) -> None:
    measured = scores["measured"]
    keys = ["mean_iou"]
    if "average_precision_at_iou_0.5" in scores["first"]:
        keys.append("average_precision_at_iou_0.5")
    rows = [
        {"model": letter, **{key: scores[which][key] for key in keys},
         **{f"iou {name}": values["iou"] for name, values in scores[which]["classes"].items()}}
        for letter, which in (("A", "first"), ("B", "second"))
    ]  # fmt: skip
    title = f"against the labels of {measured['images']} images, {measured['pixels']:,} pixels"
    print_table(title, rows, tuple(rows[0]))
    difference = scores["difference"]["mean_iou"]
    ends = difference["interval"]
    between = f" (95 %: {ends[0]:+.3f} to {ends[1]:+.3f}, over images)" if ends else ""
    say(f"mean IoU of B less that of A: {format_value(difference['mean'])}{between}")
    say("The scores mean something only if neither model learned from these images.")
