"""Training from folders: read, split, train, save, report."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from torch import Tensor

from napari_convnet.classes import MAX_CLASSES, ClassInfo, make_classes
from napari_convnet.cli.console import follow, say, stopped_by_interrupt
from napari_convnet.cli.inputs import (
    CheckedPair,
    groups_cannot_be_held_out,
    list_held_pairs,
    list_pairs,
    parse_validation,
    split_folder,
)
from napari_convnet.cli.reports import check_file, write_report
from napari_convnet.devices import choose_device
from napari_convnet.errors import UserError
from napari_convnet.evaluation import versions
from napari_convnet.folders import group_names
from napari_convnet.model_file import Model, read_weights, save_model
from napari_convnet.networks import (
    build_network,
    count_parameters,
    describe_weights,
    download_weights,
    network_entry,
)
from napari_convnet.samples import (
    AnnotatedPixels,
    ClassificationSet,
    SegmentationSet,
    TrainingSet,
    images_held_out,
    instance_classes,
)
from napari_convnet.settings import TrainingSettings
from napari_convnet.training import TrainingInterrupted, suggest_epochs, train

_BATCH_SIZES = {"classify": 32, "segment": 8}


@dataclass(frozen=True, kw_only=True)
class Options:
    """The training options of the command line, as given."""

    output: Path
    network: str
    epochs: int | None
    max_seconds: float
    seed: int
    validation: str
    groups: str | None
    batch_size: int | None
    learning_rate: float | None
    pretrained: str
    freeze: bool
    size: int | None
    device: str
    report: Path | None


def train_classifier(root: Path, options: Options) -> None:
    """Train on a folder per class and write the model and the report."""
    started = time.monotonic()
    settings = _check_options(options, "classify")
    folder, split = split_folder(root, options.validation, options.groups, options.seed)
    samples = ClassificationSet.from_images(
        folder.read,
        folder.targets,
        make_classes(folder.class_names),
        split,
        input_size=options.size or network_entry(options.network).input_size,
    )
    per_class = np.bincount(folder.targets, minlength=len(folder.class_names))
    data = {
        "folder": str(root),
        "images": len(folder.files),
        "images_by_class": dict(zip(folder.class_names, per_class.tolist(), strict=True)),
    }
    _train_and_save(samples, settings, options, data, started)


def train_segmenter(
    images: Path, labels: Path, options: Options, *, instances: bool, class_names: str | None
) -> None:
    """Train on pairs of images and label images and write the model and the report."""
    started = time.monotonic()
    settings = _check_options(options, "segment")
    fraction, held_folder = parse_validation(options.validation)
    pairs = list_pairs(images, labels)
    held_pairs = list_held_pairs(held_folder, images, labels) if held_folder else ()
    groups = group_names([p.image for p in pairs], options.groups) if options.groups else None
    annotated = _read_pairs(pairs, instances)
    held_out = _read_pairs(held_pairs, instances)
    if groups is not None and fraction > 0:
        _check_groups(annotated, fraction, groups, options)
    samples = SegmentationSet.from_annotations(
        annotated,
        _segment_classes([*annotated, *held_out], instances, class_names),
        patch_size=options.size or network_entry(options.network).input_size,
        validation_fraction=fraction,
        validation=held_out,
        groups=groups,
        seed=options.seed,
    )
    data = {"folder": str(images), "labels": str(labels), "images": len(pairs) + len(held_pairs)}
    _train_and_save(samples, settings, options, data, started)


def _check_options(options: Options, task: Literal["classify", "segment"]) -> TrainingSettings:
    """Refuse whatever would fail after the training, and return the settings without the epochs."""
    entry = network_entry(options.network, task)
    settings = TrainingSettings(
        max_seconds=options.max_seconds,
        seed=options.seed,
        device=options.device,
        batch_size=options.batch_size or _BATCH_SIZES[task],
        learning_rate=options.learning_rate or entry.learning_rate,
        freeze_backbone=options.freeze,
    )
    choose_device(options.device)
    if options.output.suffix != ".safetensors":
        raise UserError(
            "CN-506", f"'{options.output}' must end in .safetensors. Choose such a name."
        )
    if options.report and options.report.resolve() == options.output.resolve():
        raise UserError("CN-506", "Model and report have the same name. Choose two.")
    check_file(options.output, 4 * count_parameters(build_network(options.network, 3, 2)))
    if options.report:
        check_file(options.report)
    return settings


def _read_pairs(pairs: Sequence[CheckedPair], instances: bool) -> list[AnnotatedPixels]:
    annotated = []
    for pair in pairs:
        image, labels = pair.read()
        annotated.append(AnnotatedPixels(image, instance_classes(labels) if instances else labels))
    return annotated


def _check_groups(
    annotated: Sequence[AnnotatedPixels], fraction: float, groups: Sequence[str], options: Options
) -> None:
    """Refuse groups that cannot be kept together, rather than hold out strips of all of them."""
    labels = [part.labels for part in annotated]
    try:
        images_held_out(labels, False, fraction, groups, options.seed)
    except UserError as error:
        raise groups_cannot_be_held_out(str(options.groups)) from error


def _segment_classes(
    annotated: Sequence[AnnotatedPixels], instances: bool, names: str | None
) -> tuple[ClassInfo, ...]:
    if names:
        classes = make_classes(name.strip() for name in names.split(","))
        if instances and len(classes) != 2:
            raise UserError("CN-506", "--instances has two classes: --classes BACKGROUND,OBJECT.")
        return classes
    if instances:
        return make_classes(("background", "object"))
    largest = max(int(part.labels.max(initial=0)) for part in annotated)
    if largest > MAX_CLASSES:
        raise UserError(
            "CN-514",
            f"The labels go up to {largest}, but there can be {MAX_CLASSES} classes. "
            "If every object has a label of its own, add --instances.",
        )
    return make_classes(f"class {value}" for value in range(1, largest + 1))


def _train_and_save(
    samples: TrainingSet,
    settings: TrainingSettings,
    options: Options,
    data: Mapping[str, Any],
    started: float,
) -> None:
    epochs = options.epochs or suggest_epochs(samples, settings.batch_size)
    settings = replace(settings, epochs=epochs)
    weights = _read_pretrained(options.pretrained, options.network)
    broken_off = None
    with stopped_by_interrupt() as stop:
        steps = train(
            samples,
            options.network,
            settings,
            initial_weights=weights,
            stop=stop,
            name=options.output.stem,
        )
        try:
            model = follow(steps, f"training {options.network}")
        except TrainingInterrupted as error:
            model, broken_off = error.model, error
    path = _save(model, options.output)
    seconds = time.monotonic() - started
    _say_scores(model)
    say(f"saved {path} after {seconds:.0f} s")
    if options.report:
        write_report(options.report, _report(model, path, samples, data, seconds))
    if broken_off:
        raise UserError(
            "CN-201",
            "Training broke off, usually for lack of memory. The best model until then (epoch "
            f"{broken_off.epoch}) is saved in '{path.name}'. Try a smaller --batch-size or --size.",
            details=str(broken_off.__cause__),
        ) from broken_off
    if stop.is_set():
        raise SystemExit(130)


def _report(
    model: Model, path: Path, samples: TrainingSet, data: Mapping[str, Any], seconds: float
) -> dict[str, Any]:
    return {
        "command": f"train {samples.task}",
        "data": {
            **data,
            "unit": "annotated pixels" if samples.task == "segment" else "images",
            "training": samples.n_training,
            "validation": samples.n_validation,
            "held_out": samples.description,
        },
        "model": str(path),
        "network": model.card.network,
        "settings": model.card.training,
        "seed": model.card.training["seed"],
        "scores": model.card.scores,
        "versions": versions(),
        "seconds": round(seconds, 2),
    }


def _save(model: Model, path: Path) -> Path:
    """Save a model; where that fails, put it into a temporary folder rather than lose it."""
    try:
        save_model(model, path)
    except UserError as error:
        rescue = Path(tempfile.mkdtemp(prefix="napari-convnet-")) / path.name
        try:
            save_model(model, rescue)
        except UserError:
            rescue.parent.rmdir()
            raise error from None
        raise UserError(
            error.code,
            f"'{path.name}' could not be written to its folder. An older copy is intact. The new "
            f"model is safe in '{rescue}'; move it where you want it.",
            details=error.message,
        ) from error
    return path


def _say_scores(model: Model) -> None:
    scores: dict[str, Any] = dict(model.card.scores)
    held_out = scores.get("validation")
    if held_out:
        score = "mean_iou" if model.card.task == "segment" else "accuracy"
        name = score.replace("_", " ").replace("iou", "IoU")
        say(f"{name} {held_out[score]:.4f} on held-out data: {scores['measured_on']}")
    if scores["warning"]:
        say(str(scores["warning"]), "yellow")


def _read_pretrained(source: str, network: str) -> dict[str, Tensor] | None:
    """Return pretrained weights: none, torchvision's own, or those in a file."""
    if source == "none":
        return None
    if source.endswith(".safetensors"):
        return read_weights(source)
    if source != "imagenet" or not network_entry(network).has_pretrained_weights:
        raise UserError(
            "CN-508",
            f"--pretrained {source}: give 'none', a .safetensors file or, for torchvision's "
            "networks, 'imagenet'.",
        )
    weights = describe_weights(network)
    say(f"using {weights.name}, {weights.megabytes:.0f} MB; licence: {weights.licence}")
    return download_weights(network)
