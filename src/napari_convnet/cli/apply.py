"""Applying a model to files: predict, and evaluate against the truth."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from napari_convnet.cli.class_data import DataOptions, list_class_data
from napari_convnet.cli.console import follow, format_value, print_table, say
from napari_convnet.cli.inputs import (
    list_held_pairs,
    list_pairs,
    parse_validation,
)
from napari_convnet.cli.locating import (
    evaluate_locator,
    print_located,
)
from napari_convnet.devices import choose_device
from napari_convnet.errors import UserError
from napari_convnet.evaluation import evaluate_classification, evaluate_segmentation, versions
from napari_convnet.exchange.result_files import (
    check_file,
    write_report,
)
from napari_convnet.folders import group_names, list_images
from napari_convnet.model_file import Model, load_model
from napari_convnet.prediction.many_images import (
    SUMMARY_FILE,
    AppliedToImages,
    ApplyOptions,
    ImagesApplied,
    apply_to_images,
    check_options,
    list_sources,
)
from napari_convnet.progress import Progress, told_as
from napari_convnet.samples import images_held_out
from napari_convnet.scores import as_text

_DOING = {"classify": "classifying", "segment": "segmenting", "locate": "locating"}


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
    options: ApplyOptions,
    device: str,
    *,
    start_over: bool = False,
) -> None:
    """Apply a model to image files; a file that cannot be used is named and the rest goes on."""
    model = load_model(model_path)
    check_options(model, options)
    if options.labels is not None:
        list_images(options.labels)  # refused before anything is made
    files = list_sources(model, inputs, output, options.labels)
    steps = apply_to_images(model, files, output, options, device=device, start_over=start_over)
    found = follow(_aloud(steps), _DOING[model.card.task])
    for path, reason in found.problems.items():
        say(f"{path}: {reason}", "red")
    before = f" ({found.n_skipped} of them before)" if found.n_skipped else ""
    say(
        f"{found.n_done} of {found.n_images} images predicted{before}; results are in {output}, "
        f"a row for each image in {SUMMARY_FILE}"
    )
    if found.problems:
        raise SystemExit(1)


def _aloud(
    steps: Generator[Progress, None, AppliedToImages],
) -> Generator[Progress, None, AppliedToImages]:
    """Say what a person should know about the images that are done."""

    def tell(event: Progress) -> Progress:
        for note in event.notes if isinstance(event, ImagesApplied) else ():
            say(str(note))
        return event

    return told_as(steps, tell)


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
    if data.n_orientations > 1 and model.card.task != "classify":
        raise UserError("CN-506", "--all-orientations only belongs to models that classify.")
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
