"""Training and measuring models that locate, on files."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_convnet.classes import ClassInfo, make_classes
from napari_convnet.cli.console import print_table
from napari_convnet.cli.inputs import parse_validation
from napari_convnet.cli.position_files import Marked, read_positions
from napari_convnet.cli.train import Options, check_options, train_and_save
from napari_convnet.errors import UserError
from napari_convnet.evaluation import evaluate_marked
from napari_convnet.folders import group_names
from napari_convnet.model_file import Model
from napari_convnet.networks.catalogue import LARGEST_FRAME
from napari_convnet.progress import Progress
from napari_convnet.samples import AnnotatedFrames, AnnotatedPositions, HeatMapSet, PositionSet

_MODES = ("auto", "patch", "heat-map")


def train_locator(
    images: Path, positions: Path, options: Options, *, mode: str, sigma: float
) -> None:
    """Train on images or films and a table of positions, and write the model and the report."""
    started = time.monotonic()
    if mode not in _MODES:
        raise UserError("CN-506", f"--mode {mode}: choose one of {', '.join(_MODES)}.")
    fraction, folder = parse_validation(options.validation)
    if folder is not None:
        raise UserError("CN-507", "--validation: give a share; a folder is not possible here.")
    marked = read_positions(positions, images)
    if mode == "auto":
        mode = "patch" if _is_one_a_frame(marked) else "heat-map"
    is_patch = mode == "patch"
    if is_patch and options.groups:
        raise UserError("CN-506", "--groups: films are held out whole, or by blocks of time.")
    network = options.network or ("position_convnet" if is_patch else "unet")
    options = replace(options, network=network)
    settings = check_options(options, "locate" if is_patch else "segment")
    classes = _classes(marked)
    if is_patch:
        samples = PositionSet.from_frames(
            _films(marked),
            classes=classes,
            patch_size=options.size,
            validation_fraction=fraction,
            seed=options.seed,
        )
    else:
        samples = HeatMapSet.from_images(
            _annotated(marked, classes),
            classes,
            patch_size=options.size or 64,
            sigma=sigma,
            validation_fraction=fraction,
            groups=options.groups and group_names([m.source.path for m in marked], options.groups),
            seed=options.seed,
        )
    data = {
        "folder": str(images),
        "positions": str(positions),
        "images": len(marked),
        "taken_as_completely_marked": "every image or frame with at least one position",
    }
    train_and_save(samples, settings, options, data, started)


def _is_one_a_frame(marked: Sequence[Marked]) -> bool:
    return all(
        part.source.is_film
        and len(part.centres) == 1
        and max(part.image.pixels.shape[1:]) <= LARGEST_FRAME
        for part in marked
    )


def _classes(marked: Sequence[Marked]) -> tuple[ClassInfo, ...]:
    names = sorted({name for part in marked for name in part.class_names})
    if "" in names and len(names) > 1:
        raise UserError("CN-624", "Some positions have a class and some have none. Fill them all.")
    return make_classes(names if names != [""] else ("position",))


def _films(marked: Sequence[Marked]) -> list[AnnotatedFrames]:
    films: dict[Path, list[Marked]] = {}
    for part in marked:
        if len(part.centres) != 1:
            raise UserError(
                "CN-645",
                f"Frame {part.frame} of '{part.source.path.name}' has {len(part.centres)} positions. "
                "--mode patch wants one in each frame; use --mode heat-map for more.",
            )
        films.setdefault(part.source.path, []).append(part)
    return [
        AnnotatedFrames(
            [part.image for part in parts],
            np.concatenate([part.centres for part in parts]),
            np.array([part.frame for part in parts]),
        )
        for parts in films.values()
    ]


def _annotated(
    marked: Sequence[Marked], classes: tuple[ClassInfo, ...]
) -> list[AnnotatedPositions]:
    names = [info.name for info in classes]
    return [
        AnnotatedPositions(
            part.image,
            part.centres,
            np.array([names.index(name) + 1 if name else 1 for name in part.class_names]),
            film=part.source.path.name if part.source.is_film else "",
            time=part.frame,
        )
        for part in marked
    ]


def evaluate_locator(
    model: Model, images: Path, positions: Path, device: str
) -> Generator[Progress, None, dict[str, Any]]:
    """Compare the positions that a model finds with those of a table.

    Returns
    -------
    dict
        See `napari_convnet.evaluation.evaluate_marked`.
    """
    marked = read_positions(positions, images)
    values = {"": 0} | {entry.name: k for k, entry in enumerate(model.card.classes, start=1)}
    sizes = {part.source.pixel_size_um for part in marked}
    parts = (
        (part.image, part.centres, np.array([values.get(name, -1) for name in part.class_names]))
        for part in marked
    )  # fmt: skip
    report = yield from evaluate_marked(
        model, parts, [part.source.path.name for part in marked], device=device,
        pixel_size_um=sizes.pop() if len(sizes) == 1 else None,
    )  # fmt: skip
    report["data"] = {"folder": str(images), "positions": str(positions), "images": len(marked)}
    return report


def print_located(title: str, report: dict[str, Any]) -> None:
    """Print the scores of `evaluate_locator`."""
    row = {
        "true": report["n"],
        "found": report["found"],
        "precision": report["precision"],
        "recall": report["recall"],
        "f1": report["f1"],
        "error (px)": report["root_mean_square_error_pixels"],
        "error (um)": report["root_mean_square_error_um"],
        "within (px)": report["tolerance_pixels"],
    }
    print_table(title, [row], tuple(row))
