"""What one to two percent of painted pixels teach: nuclei of the Data Science Bowl 2018, from simulated strokes.

Run ``NAPARI_CONVNET_DATA=FOLDER python benchmarks/sparse_strokes.py``, where the folder holds
``dsb2018/fluo/images`` and ``dsb2018/fluo/masks`` (instance labels, same stems), or another set with ``--set``. A
simulated person draws a line along some nuclei, around some of them and through the background; a UNet trained on
that is measured on images that it never saw. ``--starter FILE`` trains once more, from these starter weights, which
must not have seen the set; ``--starter shipped`` leaves out what the shipped ones have seen.
"""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy import ndimage
from skimage.morphology import skeletonize

from napari_convnet import TrainingSettings, make_classes, run, save_model, train
from napari_convnet.evaluation import evaluate_segmentation
from napari_convnet.folders import ImagePair, pair_images
from napari_convnet.networks import read_starter_weights
from napari_convnet.samples import AnnotatedPixels, SegmentationSet
from napari_convnet.training import suggest_epochs

REPOSITORY = Path(__file__).parents[1]
SHIPPED = "shipped"
CLASSES = make_classes(("background", "nucleus"))
BACKGROUND, NUCLEUS = 1, 2
#: Shares of an image's pixels that are painted of each class; a class stops at its share.
SHARES = {BACKGROUND: 0.010, NUCLEUS: 0.006}


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    start: str
    seed: int
    painted: float
    iou: float
    dice: float
    precision: float
    training_seconds: float
    prediction_seconds: float


def draw_strokes(instances: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Paint as a person would: labels ``(Y, X)`` uint8, 0 = not painted."""
    labels = np.zeros(instances.shape, np.uint8)
    numbers = random.permutation(np.unique(instances[instances > 0]))
    boxes = ndimage.find_objects(instances)
    away = ndimage.distance_transform_edt(instances == 0)
    background = skeletonize(away > 4)
    for number in numbers:
        rows, columns = (slice(max(0, s.start - 6), s.stop + 6) for s in boxes[number - 1])
        is_nucleus = instances[rows, columns] == number
        # The line along a nucleus, and half a ring some pixels outside it.
        line = ndimage.binary_dilation(skeletonize(ndimage.binary_erosion(is_nucleus))) & is_nucleus
        ring = (away[rows, columns] > 2) & (away[rows, columns] <= 4)
        ring[:, : ring.shape[1] // 2] = False
        _paint(labels, rows, columns, line, NUCLEUS)
        if random.random() < 0.3:
            _paint(labels, rows, columns, ring, BACKGROUND)
    for row, column in random.permutation(np.argwhere(background))[:100]:
        rows, columns = (slice(max(0, int(p) - 12), int(p) + 12) for p in (row, column))
        piece = ndimage.binary_dilation(background[rows, columns]) & (away[rows, columns] > 2)
        _paint(labels, rows, columns, piece, BACKGROUND)
    return labels


def _paint(labels: np.ndarray, rows: slice, columns: slice, mask: np.ndarray, value: int) -> None:
    if (labels == value).mean() < SHARES[value]:
        labels[rows, columns][mask] = value


def pairs_of(data: Path, name: str, only_kept_out: bool = True) -> list[ImagePair]:
    """Return the images of a set, of those that starter weights are made of only what was kept out."""
    pairs = pair_images(data / name / "images", data / name / "masks")
    kept_out = (REPOSITORY / "starter_weights" / "kept_out.txt").read_text().split()
    if not only_kept_out or not any(path.startswith(f"{name}/") for path in kept_out):
        return list(pairs)
    return [pair for pair in pairs if f"{name}/images/{pair.image.name}" in kept_out]


def measure(
    training: tuple[ImagePair, ...],
    held_out: tuple[ImagePair, ...],
    seed: int,
    starter: str,
    options: argparse.Namespace,
) -> Row:
    """Paint, train, predict and compare, once."""
    random = np.random.default_rng(seed)
    annotated = []
    for pair in training:
        image, instances = pair.read()
        annotated.append(AnnotatedPixels(image, draw_strokes(instances, random)))
    painted = np.concatenate([(part.labels > 0).ravel() for part in annotated]).mean()
    samples = SegmentationSet.from_annotations(
        annotated, CLASSES, patch_size=options.patch_size, seed=seed
    )
    settings = TrainingSettings(batch_size=8, seed=seed, device=options.device)
    settings = replace(settings, epochs=options.epochs or suggest_epochs(samples, 8))
    weights = None
    if starter:
        weights = read_starter_weights(None if starter == SHIPPED else Path(starter))
    start = time.perf_counter()
    steps = train(samples, "unet", settings, initial_weights=weights, name="nuclei from strokes")
    model = run(steps)
    trained = time.perf_counter()
    report = run(evaluate_segmentation(model, held_out, instances=True, device=options.device))
    if options.output:
        save_model(model, options.output)
    nucleus, objects = report["classes"]["nucleus"], report["objects"]
    return Row(
        "starter" if starter else "random", seed, float(painted), nucleus["iou"], nucleus["dice"],
        objects["average_precision_at_iou_0.5"],
        trained - start, time.perf_counter() - trained,
    )  # fmt: skip


def main() -> None:
    """Measure with every seed and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--set", default="dsb2018/fluo")
    parser.add_argument("--starter", default="", help=f"file of starter weights, or '{SHIPPED}'")
    parser.add_argument("--training-images", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=0, help="0 = chosen from the set's size")
    parser.add_argument("--measured", type=int, help="unseen images, at most; all by default")
    parser.add_argument("--patch-size", type=int, default=64)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--output", type=Path, help="where to save the last model (.safetensors)")
    options = parser.parse_args()
    pairs = pairs_of(
        Path(os.environ["NAPARI_CONVNET_DATA"]), options.set, options.starter == SHIPPED
    )
    print(
        "start   seed painted     IoU    Dice  AP@0.5  training  prediction   images trained/measured"
    )
    for seed in range(options.seeds):
        order = np.random.default_rng(seed).permutation(len(pairs))
        training = tuple(pairs[i] for i in order[: options.training_images])
        held_out = tuple(pairs[i] for i in order[options.training_images :][: options.measured])
        for starter in ("", options.starter)[: 1 + bool(options.starter)]:
            row = measure(training, held_out, seed, starter, options)
            print(
                f"{row.start:7} {row.seed:4} {row.painted:7.2%} {row.iou:7.3f} {row.dice:7.3f} {row.precision:7.3f} "
                f"{row.training_seconds:7.0f} s {row.prediction_seconds:9.0f} s   {len(training)}/{len(held_out)}",
                flush=True,
            )


if __name__ == "__main__":
    main()
