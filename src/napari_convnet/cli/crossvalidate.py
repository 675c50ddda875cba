"""Cross-validation: every image is predicted exactly once, by a model that never saw it or its group."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import typer

from napari_convnet.cli.class_data import (
    ClassData,
    DataOptions,
    list_class_data,
    training_set,
)
from napari_convnet.cli.console import follow, say
from napari_convnet.cli.inputs import parse_validation
from napari_convnet.errors import UserError
from napari_convnet.evaluation import score_classification, versions
from napari_convnet.exchange.result_files import make_folder, write_report, write_table
from napari_convnet.folders import shown_name
from napari_convnet.model_file import Model, save_model
from napari_convnet.samples import (
    ClassificationSet,
    choose_folds,
    read_image_files,
    split_class_folder,
)
from napari_convnet.samples.folder_split import Copies, join_groups
from napari_convnet.scores import ClassifierScores, as_text, measure_classifier

#: Trains on a set; the second argument names the model.
TrainFold = Callable[[ClassificationSet, str], Model]


@dataclass(frozen=True, kw_only=True)
class CrossValidation:
    """What to cross-validate, and where the folds are kept."""

    root: Path
    data: DataOptions
    n_folds: int
    size: int
    output: Path
    settings: dict[str, Any]
    device: str = "auto"

    @property
    def fraction(self) -> float:
        """Share of the other folds that chooses the best epoch (CN-507 if a folder was given)."""
        fraction, folder = parse_validation(self.data.validation)
        if folder is not None:
            raise UserError("CN-507", "With --folds, --validation is a share, not a folder.")
        return fraction


def cross_validate(plan: CrossValidation, train_fold: TrainFold) -> dict[str, Any]:
    """Train the models of all folds, except those that lie in the output folder already; report on all of them.

    In each fold, a share of the other folds (``--validation``) chooses the best epoch and the temperature, so
    that the fold itself is only scored.

    Raises
    ------
    UserError
        CN-647 for folds that cannot be made, CN-646 where the output folder holds folds of other data or
        settings.
    """
    _ = plan.fraction  # refused before the images are read
    data, images = _read(plan)
    units = _units(data)
    folds = choose_folds(data.folder.targets, plan.n_folds, plan.data.seed, units)
    make_folder(plan.output)
    mark = _mark(plan, data, folds)
    probabilities = np.zeros((len(folds), len(data.folder.class_names)))
    for number in range(plan.n_folds):
        held = np.flatnonzero(folds == number)
        path = plan.output / f"fold_{number + 1}.json"
        found = _done(path, mark, held, len(data.folder.class_names))
        if found is None:
            say(f"fold {number + 1} of {plan.n_folds}: {len(held)} images are predicted")
            found = _run_fold(plan, data, images, folds, number, train_fold, units)
            write_report(path, {"mark": mark, "probabilities": found.round(7).tolist()})
        else:
            say(f"fold {number + 1} of {plan.n_folds} is done already")
        probabilities[held] = found
    names = None if units is None else [shown_name(str(name)) for name in units]
    scores = measure_classifier(data.folder.targets, probabilities, data.folder.class_names, names)
    report = _report(plan, data, scores, folds)
    write_report(plan.output / "report.json", report)
    _write_predictions(plan.output / "predictions.csv", data, probabilities, folds, units)
    say(_summary(report))
    typer.echo(as_text(report["scores"]))
    return report


def _read(plan: CrossValidation) -> tuple[ClassData, tuple[Any, ...]]:
    """List and read the images; nothing is held out yet."""
    listed = list_class_data(plan.root, replace(plan.data, validation="0"))
    if listed.test is not None:
        raise UserError(
            "CN-507",
            "With --folds every image is tested once: leave out --test and --test-fraction.",
        )
    skip = plan.data.skip_broken
    files = follow(read_image_files(listed.folder, plan.size, skip_broken=skip), "reading")
    for path, reason in files.broken.items():
        say(f"{path}: {reason}", "yellow")
    if files.note:
        say(files.note)
    return listed.subset(files.kept), files.images


def _units(data: ClassData) -> np.ndarray | None:
    """Return the names that must stay together: groups, or single files where some are copies."""
    copies = Copies.of(data.folder)
    if copies.note:
        say(f"{copies.note}; they are kept in one fold")
    if data.groups is not None:
        return join_groups(data.groups, copies.numbers)
    if not copies.note:
        return None
    return np.array([f"image {number}" for number in copies.numbers])


def _mark(plan: CrossValidation, data: ClassData, folds: np.ndarray) -> str:
    """Return a hash of everything that a fold's result depends on."""
    root = plan.root.resolve()
    files = [str(path.resolve()).removeprefix(str(root)) for path in data.folder.files]
    sizes = [path.stat().st_size for path in data.folder.files]
    what = [
        files, sizes, data.folder.targets.tolist(), folds.tolist(), plan.size,
        plan.data.validation, plan.data.seed, plan.settings,
    ]  # fmt: skip
    return hashlib.sha256(json.dumps(what, default=str).encode()).hexdigest()


def _done(path: Path, mark: str, held: np.ndarray, n_classes: int) -> np.ndarray | None:
    """Return the probabilities of a fold that was run before, None if there is none."""
    if not path.exists():
        return None
    try:
        kept = json.loads(path.read_text())
        is_same = kept["mark"] == mark
        probabilities = np.array(kept["probabilities"], np.float64)
    except (OSError, ValueError, KeyError, TypeError):
        return None  # half a file: this fold is run again
    if not is_same:
        raise UserError(
            "CN-646",
            f"'{path.parent}' holds folds of other data or settings. Nothing was changed. Choose another folder "
            "with -o, or the same data and settings to go on.",
        )
    return probabilities if probabilities.shape == (len(held), n_classes) else None


def _run_fold(
    plan: CrossValidation,
    data: ClassData,
    images: tuple[Any, ...],
    folds: np.ndarray,
    number: int,
    train_fold: TrainFold,
    units: np.ndarray | None,
) -> np.ndarray:
    """Train without a fold and return the probabilities of its images."""
    others, held = np.flatnonzero(folds != number), np.flatnonzero(folds == number)
    rest = replace(data, folder=data.folder.subset(others), test=None)
    names = None if data.groups is None else [str(units[i]) for i in others]
    split = split_class_folder(rest.folder, plan.fraction, plan.data.seed, names)
    samples = training_set(rest, [images[i] for i in others], split, plan.size)
    name = f"fold_{number + 1}"
    model = train_fold(samples, name)
    save_model(model, plan.output / f"{name}.safetensors")
    steps = score_classification(model, data.folder, held, device=plan.device)
    return follow(steps, f"predicting fold {number + 1}").probabilities


def _report(
    plan: CrossValidation, data: ClassData, scores: ClassifierScores, folds: np.ndarray
) -> dict[str, Any]:
    """Say mean and range over the folds, and all scores over all images."""
    is_right = scores.predicted == scores.truth
    by_fold = [float(is_right[folds == k].mean()) for k in range(plan.n_folds)]
    counts = np.bincount(data.folder.targets, minlength=len(data.folder.class_names))
    return {
        "command": "train classify --folds",
        "data": {
            "folder": str(plan.root),
            "images": len(folds),
            "images_by_class": dict(zip(data.folder.class_names, counts.tolist(), strict=True)),
            "held_out": f"each image once, in {plan.n_folds} folds",
        },
        "folds": [
            {"fold": k + 1, "n": int((folds == k).sum()), "accuracy": round(accuracy, 6)}
            for k, accuracy in enumerate(by_fold)
        ],
        "accuracy": {
            "mean": round(float(np.mean(by_fold)), 6),
            "lowest": round(min(by_fold), 6),
            "highest": round(max(by_fold), 6),
        },
        "scores": scores.as_dict(),
        "warning": scores.warning,
        "settings": plan.settings,
        "seed": plan.data.seed,
        "versions": versions(),
    }


def _summary(report: dict[str, Any]) -> str:
    accuracy, scores = report["accuracy"], report["scores"]
    low, high = scores["accuracy_interval"]
    return (
        f"accuracy of {len(report['folds'])} folds: mean {accuracy['mean']:.4f}, from {accuracy['lowest']:.4f} to "
        f"{accuracy['highest']:.4f}; of all {scores['n']:,} images {scores['accuracy']:.4f}, between {low:.4f} and "
        f"{high:.4f} ({scores['measured']['intervals']}). {report['warning']}"
    ).strip()


def _write_predictions(
    path: Path,
    data: ClassData,
    probabilities: np.ndarray,
    folds: np.ndarray,
    units: np.ndarray | None,
) -> None:
    names = data.folder.class_names
    rows = [
        (
            str(file), fold + 1, "" if units is None else str(units[index]), names[target],
            names[int(row.argmax())], *(f"{p:.6f}" for p in row),
        )
        for index, (file, fold, target, row) in enumerate(
            zip(data.folder.files, folds, data.folder.targets, probabilities, strict=True)
        )
    ]  # fmt: skip
    columns = ("file", "fold", "group", "class", "predicted")
    write_table(path, (*columns, *(f"probability_{name}" for name in names)), rows)
