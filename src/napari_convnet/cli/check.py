"""The command `check`: what in a training set would spoil a training or its score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_convnet.cli.console import follow, say
from napari_convnet.cli.data_options import GroupsColumn, GroupsFile, SkipBroken
from napari_convnet.cli.options import ClassNames, Groups, Instances, Report, Validation
from napari_convnet.errors import UserError

if TYPE_CHECKING:
    from napari_convnet.cli.class_data import DataOptions
    from napari_convnet.data_doctor import Evidence


def check(
    folder: Annotated[
        Path | None, typer.Argument(help="To classify: holds one folder of images for each class.")
    ] = None,
    images: Annotated[Path | None, typer.Option(help="To segment: folder of images.")] = None,
    labels: Annotated[
        Path | None, typer.Option(help="To segment: folder of label images; 0 = not annotated.")
    ] = None,
    instances: Instances = False,
    classes: ClassNames = None,
    validation: Validation = "0.2",
    groups: Groups = None,
    groups_file: GroupsFile = None,
    groups_column: GroupsColumn = "",
    size: Annotated[
        int, typer.Option(min=8, help="Side of patches, or of resized images, in pixels.")
    ] = 64,
    seed: Annotated[int, typer.Option(min=0, help="As it will be for `train`.")] = 0,
    skip_broken: SkipBroken = False,
    report: Report = None,
) -> None:
    """Look for what would spoil a training or its score, before it begins.

    Classes with few samples, patches that do not fit the objects, images that are overexposed or unlike the others,
    swapped channels, and held-out samples that look like training samples. Give the options that `train` will get.
    """
    from napari_convnet.cli.class_data import DataOptions
    from napari_convnet.data_doctor import describe_findings, examine
    from napari_convnet.exchange.result_files import check_file, write_report

    if report:
        check_file(report)
    if (folder is None) == (images is None) or (images is None) != (labels is None):
        raise UserError("CN-516", "Give a folder of classes, or --images and --labels.")
    data = DataOptions(
        validation=validation, groups=groups, groups_file=groups_file, groups_column=groups_column,
        skip_broken=skip_broken, seed=seed,
    )  # fmt: skip
    if folder is not None:
        evidence = _class_folder(folder, data, size)
    else:
        evidence = _pairs(images, labels, instances, classes, data, size)
    findings = follow(examine(evidence), "checking")
    say(describe_findings(findings), "yellow" if findings else "green")
    say(f"Held out: {evidence.samples.description}.")
    if report:
        write_report(report, {"findings": [asdict(finding) for finding in findings]})


def _class_folder(root: Path, data: DataOptions, size: int) -> Evidence:
    from napari_convnet.cli.class_data import list_class_data, training_set
    from napari_convnet.data_doctor import Evidence
    from napari_convnet.samples import read_image_files

    listed = list_class_data(root, data)
    files = follow(read_image_files(listed.folder, size, skip_broken=data.skip_broken), "reading")
    if files.broken:
        say(f"{len(files.broken)} images that cannot be read are left out.", "yellow")
        listed = listed.subset(files.kept)
    return Evidence(training_set(listed, files.images, listed.split, size), files.images)


def _pairs(
    images: Path, labels: Path, instances: bool, names: str | None, data: DataOptions, size: int
) -> Evidence:
    from napari_convnet.cli.inputs import list_held_pairs, list_pairs, parse_validation, read_pairs
    from napari_convnet.cli.label_classes import classes_of_labels
    from napari_convnet.data_doctor import Evidence, object_diameters
    from napari_convnet.samples import SegmentationSet

    fraction, held_folder = parse_validation(data.validation)
    pairs = list_pairs(images, labels)
    held_pairs = list_held_pairs(held_folder, images, labels) if held_folder else ()
    annotated, held_out = (read_pairs(part, instances) for part in (pairs, held_pairs))
    everything: Sequence = (*annotated, *held_out)
    samples = SegmentationSet.from_annotations(
        annotated, classes_of_labels([p.labels for p in everything], names, instances),
        patch_size=size, validation_fraction=fraction, validation=held_out,
        groups=data.groups_of([pair.image for pair in pairs]), seed=data.seed,
    )  # fmt: skip
    found = object_diameters([p.instances for p in everything]) if instances else ()
    return Evidence(samples, [part.image for part in everything], found)
