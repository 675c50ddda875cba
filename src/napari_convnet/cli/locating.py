"""Training, applying and measuring models that locate, on files."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_convnet.classes import ClassInfo, make_classes
from napari_convnet.cli.console import print_table
from napari_convnet.cli.inputs import parse_validation
from napari_convnet.cli.position_files import Marked, Source, open_source, read_positions
from napari_convnet.cli.position_pictures import draw_positions
from napari_convnet.cli.reports import write_picture, write_table
from napari_convnet.cli.train import Options, check_options, train_and_save
from napari_convnet.errors import UserError
from napari_convnet.evaluation import evaluate_marked
from napari_convnet.folders import group_names, list_images, read_array
from napari_convnet.model_file import Model
from napari_convnet.networks.catalogue import LARGEST_FRAME
from napari_convnet.prediction import locate_in_frames, locate_positions
from napari_convnet.progress import Progress
from napari_convnet.samples import AnnotatedFrames, AnnotatedPositions, HeatMapSet, PositionSet
from napari_convnet.training import run

_MODES = ("auto", "patch", "heat-map")
COLUMNS = ("image", "frame", "y", "x", "class", "confidence", "y_um", "x_um")

#: Image or frame, its number, and rows of positions ``(N, 2)``, class values, confidence.
Found = tuple[int, np.ndarray, np.ndarray, np.ndarray]


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


def locate_files(
    model: Model, inputs: Sequence[Path], output: Path, device: str
) -> Generator[Progress, None, dict[Path, str]]:
    """Write ``positions.csv`` and a picture of each image or film; returns why files were left out."""
    failures: dict[Path, str] = {}
    rows: list[tuple[Any, ...]] = []
    names = [entry.name for entry in model.card.classes]
    for done, path in enumerate(inputs, start=1):
        try:
            source = open_source(path, is_film=_wants_films(model))
            found = list(_locate(model, source, device))
        except UserError as error:
            failures[path] = f"{error.code} {error.message}"
        else:
            rows += _rows(source, found, names)
            write_picture(
                output / f"{path.stem}_positions.png", draw_positions(source, found, model)
            )
        yield Progress(done=done, total=len(inputs), text=f"{done} of {len(inputs)} images")
    if rows:
        write_table(output / "positions.csv", COLUMNS, rows)
    return failures


def films_among(model: Model, inputs: Sequence[Path], files: Sequence[Path]) -> list[Path]:
    """Return what a model is applied to: files, or folders of frames where it takes films."""
    if not _wants_films(model):
        return list(files)
    folders = [path for path in inputs if path.is_dir() and _holds_frames(path)]
    inside = {file for folder in folders for file in list_images(folder)}
    return [*folders, *(file for file in files if file not in inside)]


def _holds_frames(folder: Path) -> bool:
    files = list_images(folder)
    if not files:
        return False
    array, axes = read_array(files[0])
    return array.ndim == 2 or axes == "YXC"


def _wants_films(model: Model) -> bool | None:
    return True if model.card.locate.mode == "patch" else None


def _locate(model: Model, source: Source, device: str) -> Iterator[Found]:
    """Yield what is found in each frame."""
    if model.card.locate.mode == "patch":
        result = run(locate_in_frames(model, source.frames, device=device))
        for frame, position in enumerate(result.positions):
            yield frame, position[np.newaxis], np.ones(1, int), result.confidence[frame, np.newaxis]
        return
    for frame, image in enumerate(source.frames):
        result = run(locate_positions(model, image, device=device))
        yield frame, result.positions, result.values, result.confidence


def _rows(source: Source, found: Sequence[Found], names: Sequence[str]) -> Iterator[tuple]:
    size = source.pixel_size_um
    for frame, positions, values, confidence in found:
        for (y, x), value, sure in zip(positions, values, confidence, strict=True):
            physical = (f"{y * size:.5f}", f"{x * size:.5f}") if size else ("", "")
            number = frame if source.is_film else ""
            yield (source.path.name, number, f"{y:.4f}", f"{x:.4f}", names[value - 1], f"{sure:.4f}",
                   *physical)  # fmt: skip


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
