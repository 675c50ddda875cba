"""Both jobs: image 1 of a pair is annotated and trained on, image 2 is predicted and compared."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_convnet.classes import make_classes
from napari_convnet.demonstration.person import (
    choose_clicks,
    labels_of,
    paint_strokes,
    true_values,
)
from napari_convnet.images import CleanImage, clean_image
from napari_convnet.model_file import Model
from napari_convnet.prediction import (
    Classification,
    Segmentation,
    classify_objects,
    object_centres,
    segment_image,
)
from napari_convnet.progress import Progress
from napari_convnet.sample_data import Sample, read_sample
from napari_convnet.samples import (
    AnnotatedObjects,
    AnnotatedPixels,
    ClassificationSet,
    SegmentationSet,
)
from napari_convnet.scores import Scores, confusion_matrix, match_objects
from napari_convnet.settings import TrainingSettings
from napari_convnet.training import train

CELL_IMAGES = ("blood_smear_1", "blood_smear_2")
NUCLEI_IMAGES = ("nuclei_1", "nuclei_2")

#: Share of the cells of image 1 that the simulated person clicks.
CLICKED_SHARE = 0.65

#: Shares of the pixels of image 1 that are painted, by class value (background, nucleus).
PAINTED_SHARES = {1: 0.010, 2: 0.007}


@dataclass(frozen=True)
class Setup:
    """How much is trained, and where.

    Parameters
    ----------
    seed
        Drives the simulated person and the training.
    device
        ``auto``, ``cpu``, ``cuda`` or ``mps``.
    max_seconds
        Limit for each of the two trainings; 0 = none, and every run then trains the same steps.
    cell_epochs, nuclei_epochs
        Passes over the annotations.
    """

    seed: int = 0
    device: str = "auto"
    max_seconds: float = 0.0
    cell_epochs: int = 60
    nuclei_epochs: int = 16


@dataclass(frozen=True)
class CellsResult:
    """What classifying the cells gave.

    Parameters
    ----------
    sample, test_sample
        Image 1 and image 2 with their truth.
    clicked, clicked_values
        ``(N,)`` labels of the cells of image 1 that were annotated, and their class values.
    prediction
        Classes of all cells of image 2.
    true_values
        ``(M,)`` true class values, in the order of ``prediction``.
    facts
        JSON values: what was trained on, what was measured on, scores, seconds.
    """

    model: Model
    sample: Sample
    test_sample: Sample
    clicked: np.ndarray
    clicked_values: np.ndarray
    prediction: Classification
    true_values: np.ndarray
    facts: dict[str, Any]


@dataclass(frozen=True)
class NucleiResult:
    """What segmenting the nuclei gave.

    Parameters
    ----------
    sample, test_sample
        Image 1 and image 2 with their truth.
    strokes
        ``(Y, X)`` uint8: what was painted in image 1; 0 = not annotated.
    prediction
        Pixel classes and objects of image 2.
    facts
        As for the cells.
    """

    model: Model
    sample: Sample
    test_sample: Sample
    strokes: np.ndarray
    prediction: Segmentation
    facts: dict[str, Any]


def classify_cells(setup: Setup) -> Generator[Progress, None, CellsResult]:
    """Click cells of the first blood smear, train, and classify all cells of the second."""
    clock = _Clock()
    sample, test_sample = map(read_sample, CELL_IMAGES)
    counts = Counter(sample.classes.values())
    names = sorted(counts, key=lambda name: (-counts[name], name))
    classes = make_classes(names)
    clicked = choose_clicks(sample, CLICKED_SHARE, np.random.default_rng(setup.seed))
    values = true_values(sample, clicked, classes)
    labels, centres = object_centres(labels_of(sample))
    image = clean_image(sample.image, sample.axes, CELL_IMAGES[0])
    samples = ClassificationSet.from_objects(
        [AnnotatedObjects(image, centres[np.searchsorted(labels, clicked)], values)],
        classes,
        patch_size=suggest_patch_size(labels_of(sample)),
        seed=setup.seed,
    )
    clock.lap("prepare")
    settings = _settings(setup, setup.cell_epochs, batch_size=16)
    model = yield from train(samples, settings=settings, name="cells")
    clock.lap("train")
    test_labels, test_centres = object_centres(labels_of(test_sample))
    test_image = clean_image(test_sample.image, test_sample.axes, CELL_IMAGES[1])
    prediction = yield from classify_objects(
        model, test_image, test_labels, test_centres, device=setup.device
    )
    clock.lap("predict")
    truth = true_values(test_sample, test_labels, classes)
    confusion = confusion_matrix(truth - 1, prediction.values - 1, len(classes))
    facts = {
        "trained_on": {
            "image": CELL_IMAGES[0],
            "cells_clicked": len(clicked),
            "cells_in_image": len(labels),
            "clicked_by_class": {n: int((values == k).sum()) for k, n in enumerate(names, 1)},
            "patch_size_px": samples.patch_size,
        },
        "measured_on": {"image": CELL_IMAGES[1], "cells": len(test_labels), "seen_before": False},
        "training": _training_facts(model),
        "scores": Scores(confusion).as_dict(names),
        "seconds": clock.seconds,
    }
    return CellsResult(model, sample, test_sample, clicked, values, prediction, truth, facts)


def segment_nuclei(setup: Setup) -> Generator[Progress, None, NucleiResult]:
    """Paint a few strokes in the first image of nuclei, train, and segment the second."""
    clock = _Clock()
    sample, test_sample = map(read_sample, NUCLEI_IMAGES)
    truth = np.where(labels_of(sample) > 0, 2, 1)
    strokes = paint_strokes(truth, PAINTED_SHARES, np.random.default_rng(setup.seed))
    # All strokes train: held-out ones are too few to choose an epoch by, and image 2 tells the score.
    samples = SegmentationSet.from_annotations(
        [AnnotatedPixels(dna_channel(sample, NUCLEI_IMAGES[0]), strokes)],
        make_classes(("background", "nucleus")),
        validation_fraction=0.0,
        channels=("DNA",),
        seed=setup.seed,
    )
    clock.lap("prepare")
    settings = _settings(setup, setup.nuclei_epochs, batch_size=8)
    model = yield from train(samples, settings=settings, name="nuclei")
    clock.lap("train")
    prediction = yield from segment_image(
        model, dna_channel(test_sample, NUCLEI_IMAGES[1]), device=setup.device
    )
    clock.lap("predict")
    painted = np.bincount(strokes.ravel(), minlength=3)
    facts = {
        "trained_on": {
            "image": NUCLEI_IMAGES[0],
            "channel": "DNA",
            "painted_share": round(float(painted[1:].sum() / strokes.size), 5),
            "painted_pixels": {"background": int(painted[1]), "nucleus": int(painted[2])},
        },
        "measured_on": {
            "image": NUCLEI_IMAGES[1],
            "nuclei": int(np.unique(labels_of(test_sample)).size - 1),
            "seen_before": False,
        },
        "training": _training_facts(model),
        "scores": _nuclei_scores(labels_of(test_sample), prediction),
        "seconds": clock.seconds,
    }
    return NucleiResult(model, sample, test_sample, strokes, prediction, facts)


def suggest_patch_size(labels: np.ndarray) -> int:
    """Return a side in pixels that shows an object with its rim: 1.3 diameters, in steps of 8."""
    areas = np.bincount(labels.ravel())[1:]
    diameter = 2 * math.sqrt(float(np.median(areas[areas > 0])) / math.pi)
    return math.ceil(1.3 * diameter / 8) * 8


def dna_channel(sample: Sample, name: str) -> CleanImage:
    """Return the channel that shows nuclei; the other one shows cell bodies and would mislead."""
    return clean_image(sample.image[0], "YX", name)


def _settings(setup: Setup, epochs: int, batch_size: int) -> TrainingSettings:
    return TrainingSettings(
        epochs=epochs,
        batch_size=batch_size,
        max_seconds=setup.max_seconds,
        device=setup.device,
        seed=setup.seed,
    )


def _training_facts(model: Model) -> dict[str, Any]:
    return {
        "network": model.card.network,
        "settings": model.card.training,
        "on_the_training_image": model.card.scores,
    }


def _nuclei_scores(truth: np.ndarray, prediction: Segmentation) -> dict[str, Any]:
    predicted = prediction.classes.astype(np.int64) - 1
    pixels = Scores(confusion_matrix((truth > 0).astype(np.int64), predicted, 2))
    matches = match_objects(truth, prediction.objects)
    return {
        "mask_iou": round(float(pixels.iou[1]), 6),
        "mask_dice": round(float(pixels.f1[1]), 6),
        "average_precision_at_iou_0.5": round(matches.average_precision, 6),
        "nuclei_found": matches.true_positives,
        "nuclei_missed": matches.false_negatives,
        "nuclei_invented": matches.false_positives,
        "pixels": pixels.as_dict(["background", "nucleus"]),
    }


class _Clock:
    """Seconds of each step."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.monotonic()

    def lap(self, step: str) -> None:
        """End a step."""
        now = time.monotonic()
        self.seconds[step] = round(now - self._last, 2)
        self._last = now
