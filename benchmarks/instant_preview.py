"""The instant preview: seconds from the last stroke to its overlays, and its accuracy beside scikit-image's.

Run ``NAPARI_CONVNET_DATA=FOLDER python benchmarks/instant_preview.py``, where the folder holds ``dsb2018/fluo/images``
and ``dsb2018/fluo/masks`` (instance labels, same stems). The painter of `sparse_strokes` paints three images; ours and
scikit-image's trainable segmentation (a random forest on filters, images normalised to percentiles) learn from them
and are scored on images that neither saw. ``--classifiers`` compares kinds of classifiers on our features instead.
Put no other work on the machine: the seconds are those of a wall clock.
"""

from __future__ import annotations

import argparse
import os
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from sparse_strokes import BACKGROUND, NUCLEUS, draw_strokes

from napari_convnet.demonstration.person import paint_strokes
from napari_convnet.folders import ImagePair, pair_images
from napari_convnet.images import CleanImage
from napari_convnet.instant import (
    FeatureStore,
    PreviewPart,
    PreviewRequest,
    compute_features,
    measure_scale,
    preview_steps,
    split_strokes,
)

TRAINING_IMAGES = 3


def iou(instances: np.ndarray, classes: np.ndarray) -> float:
    """Return the intersection over union of the nuclei of one image."""
    truth, found = instances > 0, classes == NUCLEUS
    return float((truth & found).sum() / max(1, (truth | found).sum()))


# Ours --------------------------------------------------------------------------------------------


def preview(images: dict, painted: dict, shown: object, store: FeatureStore) -> tuple:
    """Return the full classes of an image and the seconds to the coarse and to the full ones."""
    parts = [part for key, labels in painted.items() for part in split_strokes(key, labels)]
    opening = {key: partial(lambda found: found, found) for key, found in images.items()}
    shape = images[shown].shape
    request = PreviewRequest(opening, parts, shown, (slice(0, shape[0]), slice(0, shape[1])))
    classes, start, coarse = np.zeros(shape, np.uint8), time.perf_counter(), 0.0
    for event in preview_steps(request, store, threading.Event()):
        if isinstance(event, PreviewPart):
            (row, column), (height, width) = event.origin, event.classes.shape
            classes[row : row + height, column : column + width] = event.classes
            if event.is_coarse:
                coarse = time.perf_counter() - start
    return classes, coarse, time.perf_counter() - start


def score_ours(training: list, held_out: list, strokes: list) -> float:
    """Learn from painted images and return the mean over unseen ones of the nuclei's IoU."""
    images = dict(enumerate(image for image, _ in (*training, *held_out)))
    painted, store = dict(enumerate(strokes)), FeatureStore()
    return float(
        np.mean([
            iou(instances, preview(images, painted, key, store)[0])
            for key, (_, instances) in enumerate(held_out, start=len(training))
        ])
    )  # fmt: skip


# Theirs ------------------------------------------------------------------------------------------


def score_scikit_image(training: list, held_out: list, strokes: list, seed: int) -> float:
    """Do the same with scikit-image's trainable segmentation, as its gallery sets it up."""
    from skimage.feature import multiscale_basic_features
    from skimage.future import TrainableSegmenter
    from sklearn.ensemble import RandomForestClassifier

    def normalise(image: CleanImage) -> np.ndarray:
        low, high = np.percentile(image.pixels[0], (1, 99.8))
        return (image.pixels[0] - low) / max(high - low, 1e-6)

    features = partial(multiscale_basic_features, sigma_min=1, sigma_max=16)
    forest = RandomForestClassifier(
        n_estimators=50, n_jobs=-1, max_depth=10, max_samples=0.05, random_state=seed
    )
    segmenter = TrainableSegmenter(clf=forest, features_func=features)
    known = np.concatenate(
        [features(normalise(image))[painted > 0] for (image, _), painted in zip(training, strokes, strict=True)]
    )  # fmt: skip
    values = np.concatenate([painted[painted > 0] for painted in strokes])
    segmenter.clf.fit(known, values)
    return float(
        np.mean([iou(instances, segmenter.predict(normalise(image))) for image, instances in held_out])
    )  # fmt: skip


# Kinds of classifiers ------------------------------------------------------------------------------


def classifiers(seed: int) -> dict[str, Callable]:
    """Return what could learn from our features."""
    from sklearn.ensemble import (
        ExtraTreesClassifier,
        HistGradientBoostingClassifier,
        RandomForestClassifier,
    )
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    trees = {"max_depth": 10, "class_weight": "balanced", "random_state": seed}
    linear = LogisticRegression(C=0.1, max_iter=200, class_weight="balanced")
    return {
        "extra trees": ExtraTreesClassifier(30, **trees),
        "random forest": RandomForestClassifier(30, **trees),
        "boosted trees": HistGradientBoostingClassifier(max_iter=30, max_leaf_nodes=15, random_state=seed),
        "logistic regression": make_pipeline(StandardScaler(), linear),
    }  # fmt: skip


def compare_classifiers(training: list, held_out: list, strokes: list, seed: int) -> dict:
    """Return IoU, and seconds to fit and to classify a megapixel, of each kind."""

    def features_of(image: CleanImage) -> np.ndarray:
        return compute_features(measure_scale(image).apply(image.pixels))

    known = [features_of(image)[p > 0] for (image, _), p in zip(training, strokes, strict=True)]
    values = np.concatenate([painted[painted > 0] for painted in strokes])
    unseen = [features_of(image) for image, _ in held_out]
    table = {}
    for name, classifier in classifiers(seed).items():
        start = time.perf_counter()
        classifier.fit(np.concatenate(known), values)
        fitted, scores = time.perf_counter(), []
        for features, (_, instances) in zip(unseen, held_out, strict=True):
            classes = classifier.predict(features.reshape(-1, features.shape[-1]))
            scores.append(iou(instances, classes.reshape(instances.shape)))
        pixels = sum(features[..., 0].size for features in unseen)
        seconds = (time.perf_counter() - fitted) / pixels * 2**20
        table[name] = (float(np.mean(scores)), fitted - start, seconds)
    return table


# The tables ----------------------------------------------------------------------------------------


def read_split(pairs: tuple[ImagePair, ...], seed: int, n_scored: int) -> tuple[list, list, list]:
    """Return training images and scored images (image, instances), and strokes of the former."""
    order = np.random.default_rng(seed).permutation(len(pairs))
    found = [pairs[k].read() for k in order[: TRAINING_IMAGES + n_scored]]
    training, held_out = found[:TRAINING_IMAGES], found[TRAINING_IMAGES:]
    random = np.random.default_rng([seed, 1])
    return training, held_out, [draw_strokes(instances, random) for _, instances in training]


def measure_seconds(pairs: tuple[ImagePair, ...], channels: int, repeats: int) -> np.ndarray:
    """Return seconds of the first preview and of one after another stroke: ``(repeats, 4)``."""
    large = [found for found in (pair.read() for pair in pairs) if min(found[0].shape) >= 512][:4]
    crops = [(image.pixels[0, :512, :512], instances[:512, :512]) for image, instances in large]
    pixels, instances = (
        np.block([[a[k], b[k]], [c[k], d[k]]]) for a, b, c, d in [crops] for k in (0, 1)
    )
    image = CleanImage(np.stack([pixels] * channels), None, "1024 x 1024")
    truth = np.where(instances > 0, NUCLEUS, BACKGROUND)
    rows = []
    for seed in range(repeats + 1):
        strokes = paint_strokes(
            truth, {BACKGROUND: 0.0010, NUCLEUS: 0.0006}, np.random.default_rng(seed)
        )
        store = FeatureStore()
        first = preview({0: image}, {0: strokes}, 0, store)[1:]
        strokes[500:504, 500:530] = truth[500:504, 500:530]
        rows.append((*first, *preview({0: image}, {0: strokes}, 0, store)[1:]))
    return np.array(rows[1:])  # the first one imports scikit-learn


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--scored", type=int, default=40, help="unseen images")
    parser.add_argument("--repeats", type=int, default=5, help="of the seconds, or 0")
    parser.add_argument("--classifiers", action="store_true", help="compare kinds of classifiers")
    options = parser.parse_args()
    folder = Path(os.environ["NAPARI_CONVNET_DATA"], "dsb2018", "fluo")
    pairs = pair_images(folder / "images", folder / "masks")
    print(f"load of the machine (1 min) {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores")
    if options.repeats and not options.classifiers:
        print(
            "1024 x 1024, seconds: the first preview's coarse and full one, and after one more stroke"
        )
        for channels in (1, 3):
            seconds = np.median(measure_seconds(pairs, channels, options.repeats), axis=0)
            cells = "".join(f"{value:8.2f}" for value in seconds)
            print(
                f"{channels} channels, median of {options.repeats:2}                         {cells}",
                flush=True,
            )
    scores: dict[str, list] = {}
    for seed in range(options.seeds):
        split = read_split(pairs, seed, options.scored)
        if options.classifiers:
            found = compare_classifiers(*split, seed)
        else:
            found = {"ours": (score_ours(*split),), "scikit-image": (score_scikit_image(*split, seed),)}  # fmt: skip
        for name, values in found.items():
            scores.setdefault(name, []).append(values)
        print(f"seed {seed}: " + ", ".join(f"{n} {v[0]:.3f}" for n, v in found.items()), flush=True)
    print(f"mean IoU of nuclei, {TRAINING_IMAGES} painted images, {options.scored} unseen")
    for name, rows in scores.items():
        table = np.array(rows)
        line = f"{name:20} {table[:, 0].mean():.3f} ({table[:, 0].min():.3f} to {table[:, 0].max():.3f})"
        if options.classifiers:
            fit, predict = np.median(table[:, 1:], axis=0)
            line += f"  fit {fit:.2f} s, a megapixel {predict:.2f} s"
        print(line)
    print(f"load of the machine (1 min) {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
