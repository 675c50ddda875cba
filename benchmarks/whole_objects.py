"""Touching objects told apart by a network that learned whole objects, and by the shape of its mask.

Run it with the folder of real images; it names the sets that it finds there::

    NAPARI_CONVNET_DATA=/data python benchmarks/whole_objects.py --minutes 20

Every fifth image, by name, is held out. The same UNet is trained twice for the same time: on whole objects, so that
its last output is how deep a pixel lies in its object, and on the mask alone (objects as one class, seams between
touching ones as background). AP50 is true positives over true positives, false positives and false negatives at
IoU 0.5, as the mean over the held-out images.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import tifffile

from napari_convnet import (
    TrainingSettings,
    clean_image,
    make_classes,
    run,
    save_model,
    segment_image,
    train,
)
from napari_convnet.folders import pair_images, read_image, read_labels
from napari_convnet.images import CleanImage
from napari_convnet.model_file import Model
from napari_convnet.prediction import separate_objects
from napari_convnet.samples import AnnotatedPixels, SegmentationSet, WholeObjectSet
from napari_convnet.scores import match_objects
from napari_convnet.settings import ObjectSettings

SETS = {
    "dsb2018 (fluorescence)": "dsb2018/fluo",
    "bbbc039": "bbbc039",
    "bacteria_phase": "bacteria_phase",
    "bbbc050_3d (slices)": "bbbc050_3d",
}
CLASSES = make_classes(("background", "object"))
#: Of a stack every so many slices are taken.
EVERY_SLICE = 4
WAYS = ("automatic", "shape", "off")

Example = tuple[CleanImage, np.ndarray]


def read_examples(folder: Path) -> tuple[list[Example], list[Example]]:
    """Return images with their true objects ``(Y, X)``: those to train on, and every fifth file."""
    kept: list[Example] = []
    held: list[Example] = []
    for number, pair in enumerate(pair_images(folder / "images", folder / "masks")):
        (held if number % 5 == 0 else kept).extend(_planes(pair.image, pair.labels))
    return kept, held


def _planes(image: Path, labels: Path) -> Iterator[Example]:
    truth = read_labels(labels)
    pixels = tifffile.imread(image) if truth.ndim == 3 else None
    if pixels is None:
        yield read_image(image), truth
        return
    for z in range(0, len(truth), EVERY_SLICE):
        if truth[z].any():
            yield clean_image(pixels[z], "YX", f"{image.stem} {z}"), truth[z]


def train_model(
    examples: Sequence[Example], knows_objects: bool, options: argparse.Namespace
) -> Model:
    """Train with or without whole objects; nothing else differs."""
    parts = [AnnotatedPixels.of_objects(*example) for example in examples]
    if knows_objects:
        kind = WholeObjectSet
    else:
        kind, parts = SegmentationSet, [replace(part, instances=None) for part in parts]
    samples = kind.from_annotations(
        parts, CLASSES, patch_size=options.patch_size, validation_fraction=0.0, seed=options.seed
    )
    per_epoch = samples.batches_per_epoch(options.batch_size)
    settings = TrainingSettings(
        batch_size=options.batch_size,
        seed=options.seed,
        learning_rate=options.rate,
        epochs=max(1, options.steps // per_epoch) if options.steps else 2000,
        max_seconds=0 if options.steps else 60 * options.minutes,
    )
    return run(
        train(
            samples,
            "unet",
            settings,
            network_settings={"width": options.width, "levels": options.levels},
        )
    )


def measure(model: Model, examples: Sequence[Example]) -> dict[str, float]:
    """Return AP50, mean over images, for each way to separate objects."""
    found: dict[str, list[float]] = {way: [] for way in WAYS}
    background = model.card.background_value
    for image, truth in examples:
        result = run(segment_image(model, image))
        for way in WAYS:
            settings = ObjectSettings(touching=way)
            objects = run(
                separate_objects(result.classes, background, settings, depth=result.depth)
            )[0]
            found[way].append(match_objects(truth, objects).average_precision)
    return {way: float(np.nanmean(values)) for way, values in found.items()}


def main() -> None:
    """Train and measure on every set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", nargs="*", default=list(SETS), help="names of sets")
    parser.add_argument("--minutes", type=float, default=20, help="of each training")
    parser.add_argument("--steps", type=int, default=0, help="of each training, instead of minutes")
    parser.add_argument("--only", choices=("objects", "mask"), help="one of the two trainings")
    parser.add_argument("--patch-size", type=int, default=128)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--levels", type=int, default=3)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save", type=Path, help="folder to save the models in")
    options = parser.parse_args()
    titles = "".join(f"{way:>11}" for way in WAYS)
    print(
        f"{'set':<24}{'trained on':<12}{'steps':>6}{'seconds':>9}{titles}   images trained on/measured"
    )
    for name in options.sets:
        kept, held = read_examples(Path(os.environ["NAPARI_CONVNET_DATA"], SETS[name]))
        for what in ("objects", "mask"):
            if options.only not in (None, what):
                continue
            began = time.monotonic()
            model = train_model(kept, what == "objects", options)
            seconds = time.monotonic() - began
            scores = measure(model, held)
            figures = "".join(f"{scores[way]:>11.3f}" for way in WAYS)
            steps = model.card.scores["steps"]
            print(
                f"{name:<24}{what:<12}{steps:>6}{seconds:>9.0f}{figures}   {len(kept)}/{len(held)}",
                flush=True,
            )
            if options.save:
                place = SETS[name].replace("/", "_")
                save_model(model, options.save / f"{place}_{what}.safetensors")


if __name__ == "__main__":
    main()
