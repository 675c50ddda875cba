"""Training from folders: read, split, train, save, report."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from napari_convnet.cli.class_data import (
    DataOptions,
    list_class_data,
    read_class_data,
    with_test_scores,
)
from napari_convnet.cli.console import follow, say, stopped_by_interrupt
from napari_convnet.cli.crossvalidate import CrossValidation, cross_validate
from napari_convnet.cli.inputs import (
    groups_cannot_be_held_out,
    list_held_pairs,
    list_pairs,
    parse_validation,
    read_pairs,
)
from napari_convnet.cli.label_classes import classes_of_labels
from napari_convnet.cli.stack_training import STACKS_A_STEP, stack_samples
from napari_convnet.cli.starting import training_steps
from napari_convnet.cli.trained import (
    save_or_rescue,
    say_scores,
    training_report,
    with_test_pairs,
)
from napari_convnet.devices import choose_device
from napari_convnet.errors import UserError
from napari_convnet.exchange.result_files import check_file, make_folder, write_report
from napari_convnet.folders import group_names
from napari_convnet.model_file import Model
from napari_convnet.networks import (
    build_network,
    count_parameters,
    network_entry,
)
from napari_convnet.networks.entry import Task
from napari_convnet.samples import (
    AnnotatedPixels,
    ClassificationSet,
    SegmentationSet,
    TrainingSet,
    WholeObjectSet,
    images_held_out,
)
from napari_convnet.settings import TrainingSettings
from napari_convnet.training import TrainingInterrupted, suggest_epochs

_BATCH_SIZES = {"classify": 32, "segment": 8, "locate": 16}


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
    training: Mapping[str, Any] = field(default_factory=dict)
    start_from: Path | None = None
    start_model: Model | None = None
    features: str = "none"


def train_classifier(
    root: Path, options: Options, data_options: DataOptions, n_folds: int = 0
) -> None:
    """Train on a folder per class and write the model and the report; or cross-validate."""
    started = time.monotonic()
    size = options.size or network_entry(options.network).input_size
    if n_folds:
        _cross_validate(root, options, data_options, n_folds, size)
        return
    settings = check_options(options, "classify")
    listed = list_class_data(root, data_options)
    listed, samples, notes = read_class_data(listed, size, skip_broken=data_options.skip_broken)
    for note in notes:
        say(note)
    train_and_save(
        samples, settings, options, listed.described(notes), started,
        lambda model: with_test_scores(model, listed, options.device),
    )  # fmt: skip


def _cross_validate(
    root: Path, options: Options, data_options: DataOptions, n_folds: int, size: int
) -> None:
    folder = options.output.with_suffix("") if options.output.suffix else options.output
    make_folder(folder)
    settings = check_options(replace(options, output=folder / "fold_1.safetensors"), "classify")
    plan = CrossValidation(
        root=root, data=data_options, n_folds=n_folds, size=size, output=folder,
        settings={
            **asdict(settings), "network": options.network, "epochs": options.epochs,
            "pretrained": options.pretrained, "features": options.features,
            "start_from": str(options.start_from or ""),
        },
        device=options.device,
    )  # fmt: skip

    def train_fold(samples: ClassificationSet, name: str) -> Model:
        model, broken_off, is_stopped = _train(samples, settings, options, name)
        if broken_off:
            raise _broken_off(broken_off, "not kept; the folds before are") from broken_off
        if is_stopped:
            say(
                "Stopped. The folds that are done are kept; the same command goes on with the others."
            )
            raise SystemExit(130)
        return model

    report = cross_validate(plan, train_fold)
    if options.report:
        write_report(options.report, report)


def train_segmenter(
    images: Path,
    labels: Path,
    options: Options,
    *,
    instances: bool,
    class_names: str | None,
    test: Path | None = None,
) -> None:
    """Train on pairs of images and label images and write the model and the report."""
    started = time.monotonic()
    settings = check_options(options, "segment")
    fraction, held_folder = parse_validation(options.validation)
    pairs = list_pairs(images, labels)
    if network_entry(options.network).dimensions == 3:
        others = {
            "instances": instances,
            "test": test,
            "groups": options.groups,
            "validation": held_folder,
        }
        stacks = stack_samples(pairs, class_names, others, options.size, fraction, options.seed)
        train_and_save(
            stacks, settings, options, {"folder": str(images), "labels": str(labels)}, started
        )
        return
    held_pairs = list_held_pairs(held_folder, images, labels) if held_folder else ()
    test_pairs = list_held_pairs(test, images, labels) if test else ()
    groups = group_names([p.image for p in pairs], options.groups) if options.groups else None
    annotated = read_pairs(pairs, instances)
    held_out = read_pairs(held_pairs, instances)
    if groups is not None and fraction > 0:
        _check_groups(annotated, fraction, groups, options)
    kind = WholeObjectSet if instances else SegmentationSet
    samples = kind.from_annotations(
        annotated,
        classes_of_labels([p.labels for p in (*annotated, *held_out)], class_names, instances),
        patch_size=options.size or network_entry(options.network).input_size,
        validation_fraction=fraction,
        validation=held_out,
        groups=groups,
        seed=options.seed,
    )
    data = {"folder": str(images), "labels": str(labels), "images": len(pairs) + len(held_pairs)}
    train_and_save(
        samples, settings, options, data, started,
        lambda model: with_test_pairs(model, test_pairs, instances, options.device),
    )  # fmt: skip


def check_options(options: Options, task: Task) -> TrainingSettings:
    """Refuse whatever would fail after the training, and return the settings without the epochs."""
    entry = network_entry(options.network, task)
    settings = TrainingSettings(
        max_seconds=options.max_seconds,
        seed=options.seed,
        device=options.device,
        batch_size=options.batch_size
        or (STACKS_A_STEP if entry.dimensions == 3 else _BATCH_SIZES[task]),
        learning_rate=options.learning_rate or entry.learning_rate,
        freeze_backbone=options.freeze,
        **options.training,
    )
    choose_device(options.device)
    if options.output.suffix != ".safetensors":
        raise UserError(
            "CN-506", f"'{options.output}' must end in .safetensors. Choose such a name."
        )
    if options.report and options.report.resolve() == options.output.resolve():
        raise UserError("CN-506", "Model and report have the same name. Choose two.")
    given = options.start_model
    network = build_network(options.network, 3, 2) if given is None else given.network
    check_file(options.output, 4 * count_parameters(network))
    if options.report:
        check_file(options.report)
    return settings


def _check_groups(
    annotated: Sequence[AnnotatedPixels], fraction: float, groups: Sequence[str], options: Options
) -> None:
    """Refuse groups that cannot be kept together, rather than hold out strips of all of them."""
    labels = [part.labels for part in annotated]
    try:
        images_held_out(labels, False, fraction, groups, options.seed)
    except UserError as error:
        raise groups_cannot_be_held_out(str(options.groups)) from error


def _train(
    samples: TrainingSet, settings: TrainingSettings, options: Options, name: str
) -> tuple[Model, TrainingInterrupted | None, bool]:
    """Train; returns the best model, what broke the training off, and whether it was stopped."""
    epochs = options.epochs or suggest_epochs(samples, settings.batch_size)
    settings = replace(settings, epochs=epochs)
    with stopped_by_interrupt() as stop:
        steps = training_steps(samples, settings, options, stop, name)
        try:
            model = follow(steps, f"training {options.network}")
            if model is None:
                say("Stopped before there was a model; nothing was written.")
                raise SystemExit(130)
            return model, None, stop.is_set()
        except TrainingInterrupted as error:
            return error.model, error, stop.is_set()


def train_and_save(
    samples: TrainingSet,
    settings: TrainingSettings,
    options: Options,
    data: Mapping[str, Any],
    started: float,
    finish: Callable[[Model], Model] = lambda model: model,
) -> None:
    """Train, let ``finish`` add to the model (scores on a test set), and write model and report.

    Ctrl+C keeps the best model.
    """
    model, broken_off, is_stopped = _train(samples, settings, options, options.output.stem)
    model = finish(model)
    path = save_or_rescue(model, options.output)
    seconds = time.monotonic() - started
    say_scores(model)
    say(f"saved {path} after {seconds:.0f} s")
    if options.report:
        write_report(options.report, training_report(model, path, samples, data, seconds))
    if broken_off:
        raise _broken_off(broken_off, f"saved in '{path.name}'") from broken_off
    if is_stopped:
        raise SystemExit(130)


def _broken_off(error: TrainingInterrupted, kept: str) -> UserError:
    return UserError(
        "CN-201",
        "Training broke off, usually for lack of memory. The best model until then (epoch "
        f"{error.epoch}) is {kept}. Try a smaller --batch-size or --size.",
        details=str(error.__cause__),
    )
