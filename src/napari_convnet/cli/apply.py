"""Applying a model to files: predict, and evaluate against the truth."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import typer

from napari_convnet.atomic import write_atomically
from napari_convnet.cli.class_data import DataOptions, list_class_data
from napari_convnet.cli.console import follow, format_value, print_table, say
from napari_convnet.cli.inputs import (
    list_held_pairs,
    list_inputs,
    list_pairs,
    parse_validation,
    read_aloud,
)
from napari_convnet.cli.locating import (
    evaluate_locator,
    films_among,
    locate_files,
    print_located,
)
from napari_convnet.cli.position_files import pixel_size_um
from napari_convnet.cli.reports import (
    check_file,
    make_folder,
    write_report,
    write_table,
    write_tiff,
)
from napari_convnet.devices import choose_device
from napari_convnet.errors import UserError
from napari_convnet.evaluation import evaluate_classification, evaluate_segmentation, versions
from napari_convnet.exchange.tables import table_bytes
from napari_convnet.folders import group_names
from napari_convnet.images import CleanImage, repeat_grey
from napari_convnet.model_file import Model, load_model
from napari_convnet.prediction import (
    PixelSize,
    Segmentation,
    check_model_fits,
    classify_images,
    measure_objects,
    segment_image,
)
from napari_convnet.progress import Progress
from napari_convnet.samples import images_held_out
from napari_convnet.scores import as_text
from napari_convnet.settings import ObjectSettings
from napari_convnet.training import run

#: Images that are in memory at once.
_BATCH = 64

Failures = dict[Path, str]


@dataclass(frozen=True, kw_only=True)
class EvaluationData:
    """The data options of ``evaluate``, as given."""

    folder: Path | None
    images: Path | None
    labels: Path | None
    instances: bool
    validation: str | None
    groups: str | None
    seed: int
    groups_file: Path | None = None
    groups_column: str = ""
    positions: Path | None = None
    n_orientations: int = 1


def predict_files(
    model_path: Path,
    inputs: Sequence[Path],
    output: Path,
    device: str,
    objects: ObjectSettings | None = None,
    n_orientations: int = 1,
) -> None:
    """Apply a model to image files; a file that cannot be used is named and the rest goes on."""
    model = load_model(model_path)
    _check_orientations(model, n_orientations)
    choose_device(device)
    files = list_inputs(inputs, output)
    make_folder(output)
    if model.card.task == "classify":
        failures = follow(
            _classify_files(model, files, output, device, n_orientations), "classifying"
        )
    elif model.card.task == "locate":
        sources = films_among(model, inputs, files)
        failures = follow(locate_files(model, sources, output, device), "locating")
        files = sources
    else:
        failures = follow(
            _segment_files(model, files, output, device, objects or ObjectSettings()), "segmenting"
        )
    for path, reason in failures.items():
        say(f"{path}: {reason}", "red")
    say(f"{len(files) - len(failures)} of {len(files)} images predicted; results are in {output}")
    if failures:
        raise SystemExit(1)


def _check_orientations(model: Model, n_orientations: int) -> None:
    if n_orientations > 1 and model.card.task != "classify":
        raise UserError("CN-506", "--all-orientations only belongs to models that classify.")


def _classify_files(
    model: Model, files: Sequence[Path], output: Path, device: str, n_orientations: int
) -> Generator[Progress, None, Failures]:
    failures: Failures = {}
    names = [entry.name for entry in model.card.classes]
    rows: list[tuple[str, ...]] = []
    for start in range(0, len(files), _BATCH):
        images: dict[Path, CleanImage] = {}
        for path in files[start : start + _BATCH]:
            try:
                images[path] = _read_fitting(model, path)
            except UserError as error:
                failures[path] = f"{error.code} {error.message}"
        result = run(
            classify_images(
                model,
                list(images.values()).__getitem__,
                len(images),
                orientations=n_orientations,
                device=device,
            )
        )
        for path, value, row in zip(images, result.values, result.probabilities, strict=True):
            rows.append((str(path), names[value - 1], *(f"{p:.6f}" for p in row)))
        done = min(len(files), start + _BATCH)
        yield Progress(done=done, total=len(files), text=f"{done} of {len(files)} images")
    if rows:
        columns = ("file", "class", *(f"probability_{name}" for name in names))
        write_table(output / "predictions.csv", columns, rows)
    return failures


def _read_fitting(model: Model, path: Path) -> CleanImage:
    image = repeat_grey(read_aloud(path), len(model.card.channels))
    check_model_fits(model, "classify", image)
    return image


def _segment_files(
    model: Model, files: Sequence[Path], output: Path, device: str, objects: ObjectSettings
) -> Generator[Progress, None, Failures]:
    failures: Failures = {}
    stems: set[str] = set()
    columns: tuple[str, ...] = ()
    rows: list[tuple[Any, ...]] = []
    for done, path in enumerate(files, start=1):
        try:
            if path.stem in stems:
                raise UserError(
                    "CN-638",
                    f"Another image is called '{path.stem}', too; predict it into another folder.",
                )
            image = read_aloud(path)
            result = run(segment_image(model, image, objects=objects, device=device))
        except UserError as error:
            failures[path] = f"{error.code} {error.message}"
        else:
            stems.add(path.stem)
            write_tiff(output / f"{path.stem}_classes.tif", result.classes)
            write_tiff(output / f"{path.stem}_objects.tif", result.objects.astype(np.uint32))
            table = _measure(model, image, result, path)
            columns = ("file", *table)
            values = (column.tolist() for column in table.values())
            rows += [(str(path), *row) for row in zip(*values, strict=True)]
        yield Progress(done=done, total=len(files), text=f"{done} of {len(files)} images")
    if columns:
        write_atomically(output / "objects.csv", table_bytes(columns, rows))
    return failures


def _measure(
    model: Model, image: CleanImage, result: Segmentation, path: Path
) -> dict[str, np.ndarray]:
    side = pixel_size_um(path)
    size = PixelSize() if side is None else PixelSize(side, side, "micrometer")
    names = [model.card.classes[value - 1].name for value in result.object_values[1:]]
    return run(measure_objects(result.objects, names, image, model.card.channels, size))


def evaluate_model(
    model_path: Path, data: EvaluationData, device: str, report_path: Path | None
) -> None:
    """Measure a model on a folder and print and write the scores."""
    started = time.monotonic()
    if report_path:
        check_file(report_path)
    model = load_model(model_path)
    choose_device(device)
    evaluate = _EVALUATE[model.card.task]
    _check_orientations(model, data.n_orientations)
    report = {
        "command": "evaluate",
        "model": str(model_path),
        **evaluate(model, data, device),
        "seed": data.seed,
        "orientations": data.n_orientations,
        "versions": versions(),
        "seconds": round(time.monotonic() - started, 2),
    }
    if report_path:
        write_report(report_path, report)
    _print_scores(model, report)


def _evaluate_classify(model: Model, data: EvaluationData, device: str) -> dict[str, Any]:
    if data.folder is None or data.images or data.labels or data.instances:
        raise UserError(
            "CN-509", "This model classifies: give a folder that holds a folder for each class."
        )
    options = DataOptions(
        validation=data.validation or "0", groups=data.groups, groups_file=data.groups_file,
        groups_column=data.groups_column, seed=data.seed,
    )  # fmt: skip
    listed = list_class_data(data.folder, options)
    indices = listed.split.validation.tolist() if data.validation else None
    steps = evaluate_classification(
        model, listed.folder, indices, groups=listed.groups,
        orientations=data.n_orientations, device=device,
    )  # fmt: skip
    return follow(steps, "evaluating")


def _evaluate_segment(model: Model, data: EvaluationData, device: str) -> dict[str, Any]:
    if data.images is None or data.labels is None or data.folder:
        raise UserError("CN-509", "This model segments: give --images and --labels.")
    n_classes = 0 if data.instances else len(model.card.classes)
    fraction, folder = parse_validation(data.validation) if data.validation else (0.0, None)
    if folder is not None:
        pairs = list_held_pairs(folder, data.images, data.labels, n_classes)
    else:
        pairs = list_pairs(data.images, data.labels, n_classes)
    if data.validation and folder is None:
        groups = group_names([p.image for p in pairs], data.groups) if data.groups else None
        labels = [pair.read()[1] for pair in pairs]
        held = images_held_out(labels, data.instances, fraction, groups, data.seed)
        pairs = tuple(pairs[i] for i in held)
    steps = evaluate_segmentation(model, pairs, instances=data.instances, device=device)
    return follow(steps, "evaluating")


def _evaluate_locate(model: Model, data: EvaluationData, device: str) -> dict[str, Any]:
    if data.images is None or data.positions is None or data.folder:
        raise UserError("CN-509", "This model locates: give --images and --positions.")
    return follow(evaluate_locator(model, data.images, data.positions, device), "evaluating")


_EVALUATE = {
    "classify": _evaluate_classify,
    "segment": _evaluate_segment,
    "locate": _evaluate_locate,
}


def _print_scores(model: Model, report: dict[str, Any]) -> None:
    title = f"{model.card.name} on {report['data']['images']} images"
    if model.card.task == "locate":
        print_located(title, report)
        return
    if model.card.task == "classify":
        typer.echo(f"{title}\n{as_text(report)}")
        return
    rows = [{"class": name, **scores} for name, scores in report["classes"].items()]
    print_table(title, rows, ("class", "iou", "dice"))
    ends = report["mean_iou_interval"]
    between = f" ({ends[0]:.3f} to {ends[1]:.3f})" if ends else ""
    say(f"mean IoU {format_value(report['mean_iou'])}{between}")
    if "objects" in report:
        precision = report["objects"]["average_precision_at_iou_0.5"]
        say(f"average precision at IoU 0.5: {format_value(precision)}")
