"""Evaluation: a model's answers compared with the truth, with everything a reader needs to judge the figure."""

from __future__ import annotations

import platform
from collections.abc import Generator, Sequence
from typing import Any

import numpy as np
import torch

from napari_convnet import __version__
from napari_convnet.errors import UserError
from napari_convnet.folders import ClassFolder, ImagePair, shown_name
from napari_convnet.images import check_labels
from napari_convnet.model_file import Model
from napari_convnet.prediction import classify_images, classify_objects, segment_image
from napari_convnet.progress import Progress
from napari_convnet.samples import AnnotatedObjects
from napari_convnet.samples.split import image_names
from napari_convnet.scores import (
    ClassifierScores,
    ObjectMatches,
    PositionMatches,
    Scores,
    confusion_matrix,
    interval_of_mean,
    match_objects,
    match_positions,
    measure_classifier,
)
from napari_convnet.training import run


def versions() -> dict[str, str]:
    """Return the versions that a figure depends on."""
    return {
        "napari-convnet": __version__, "python": platform.python_version(), "torch": torch.__version__,
        "numpy": np.__version__,
    }  # fmt: skip


def evaluate_classification(
    model: Model,
    folder: ClassFolder,
    indices: Sequence[int] | None = None,
    *,
    groups: Sequence[str] | None = None,
    device: str = "auto",
) -> Generator[Progress, None, dict[str, Any]]:
    """Classify the images of a folder per class and compare.

    Parameters
    ----------
    folder
        Its classes must be among the model's; the order may differ.
    indices
        Samples to use; all by default.
    groups
        Name of the group (patient, slide) of each file of the folder, for intervals that respect them.

    Returns
    -------
    dict
        `ClassifierScores.as_dict` with the data that it was measured on.

    Raises
    ------
    UserError
        CN-641 when a folder's class is not one of the model's.
    """
    scores = yield from score_classification(model, folder, indices, groups=groups, device=device)
    return {
        "data": {"folder": str(folder.root), "images": len(scores.truth)},
        **scores.as_dict(),
    }


def score_classification(
    model: Model,
    folder: ClassFolder,
    indices: Sequence[int] | None = None,
    *,
    groups: Sequence[str] | None = None,
    device: str = "auto",
) -> Generator[Progress, None, ClassifierScores]:
    """Return the same as `evaluate_classification`, with the probabilities of every sample."""
    names = [entry.name for entry in model.card.classes]
    for name in folder.class_names:
        if name not in names:
            raise UserError(
                "CN-641",
                f"The model knows {', '.join(names)}, but the folder has a class '{name}'.",
            )
    chosen = np.arange(len(folder.files)) if indices is None else np.asarray(indices)
    result = yield from classify_images(
        model, lambda i: folder.read(int(chosen[i])), len(chosen), device=device
    )
    to_model = np.array([names.index(name) for name in folder.class_names])
    truth = to_model[folder.targets[chosen]]
    of = None if groups is None else [shown_name(groups[int(i)]) for i in chosen]
    return measure_classifier(truth, result.probabilities, names, of)


def evaluate_objects(
    model: Model, annotated: Sequence[AnnotatedObjects], *, device: str = "auto"
) -> Generator[Progress, None, dict[str, Any]]:
    """Classify annotated objects of images (such as a project's test images) and compare.

    Parameters
    ----------
    annotated
        Their class values are the model's.

    Returns
    -------
    dict
        `ClassifierScores.as_dict`, with intervals over images.
    """
    truth, probabilities, groups = [], [], []
    names = image_names([part.image.name for part in annotated])
    for part, name in zip(annotated, names, strict=True):
        numbers = np.arange(len(part.values))
        result = yield from classify_objects(
            model, part.image, numbers, np.asarray(part.centres), device=device
        )
        truth.append(np.asarray(part.values, np.int64) - 1)
        probabilities.append(result.probabilities)
        groups += [shown_name(str(name))] * len(numbers)
    classes = [entry.name for entry in model.card.classes]
    measured = measure_classifier(
        np.concatenate([np.empty(0, np.int64), *truth]),
        np.concatenate([np.empty((0, len(classes))), *probabilities]),
        classes, groups, "images",
    )  # fmt: skip
    return {"data": {"images": len(annotated)}, **measured.as_dict()}


def evaluate_segmentation(
    model: Model,
    pairs: Sequence[ImagePair],
    *,
    instances: bool = False,
    device: str = "auto",
) -> Generator[Progress, None, dict[str, Any]]:
    """Segment images and compare with their labels.

    Parameters
    ----------
    instances
        Whether labels are whole objects; then objects are matched, too.

    Returns
    -------
    dict
        IoU and Dice of each class as the mean over images (``"classes"``), scores over all pixels (``"pixels"``), and
        with ``instances`` the average precision at IoU 0.5 over all objects (``"objects"``).
    """
    names = [entry.name for entry in model.card.classes]
    confusions: list[np.ndarray] = []
    matches: list[ObjectMatches] = []
    for done, pair in enumerate(pairs, start=1):
        image, labels = pair.read()
        labels = check_labels(labels, image.pixels.shape[1:], pair.labels.name)
        result = run(segment_image(model, image, device=device))
        classes = whole_object_classes(model, labels) if instances else labels
        confusions.append(
            confusion_matrix(
                classes.astype(np.int64) - 1, result.classes.astype(np.int64) - 1, len(names)
            )
        )
        if instances:
            matches.append(match_objects(labels, result.objects))
        yield Progress(done=done, total=len(pairs), text=f"{done} of {len(pairs)} images evaluated")
    per_image = [Scores(confusion) for confusion in confusions]
    report: dict[str, Any] = {
        "data": {"images": len(pairs), "folder": str(pairs[0].image.parent) if pairs else ""},
        "mean_iou": _mean([scores.mean_iou for scores in per_image]),
        "mean_iou_interval": _interval([scores.mean_iou for scores in per_image]),
        "measured": {"images": len(pairs), "intervals": "95 %, bootstrap over images"},
        "classes": {
            name: {
                "iou": _mean([s.iou[k] for s in per_image]),
                "dice": _mean([s.f1[k] for s in per_image]),
                "iou_interval": _interval([s.iou[k] for s in per_image]),
                "dice_interval": _interval([s.f1[k] for s in per_image]),
            }
            for k, name in enumerate(names)
        },
        "pixels": Scores(sum(confusions)).as_dict(names),
    }
    if instances:
        report["objects"] = _summarise(matches)
    return report


def whole_object_classes(model: Model, instances: np.ndarray) -> np.ndarray:
    """Return true classes of a two-class model from whole objects: the object class inside, background outside."""
    background = next((k for k, c in enumerate(model.card.classes, start=1) if c.is_background), 1)
    inside = next(k for k in range(1, len(model.card.classes) + 1) if k != background)
    return np.where(instances > 0, inside, background).astype(np.uint8)


def _mean(values: Sequence[float]) -> float | None:
    known = [value for value in values if not np.isnan(value)]
    return round(float(np.mean(known)), 6) if known else None


def _interval(values: Sequence[float]) -> list[float] | None:
    """Return the interval of a mean over images; a single one says nothing of how images differ."""
    known = np.array([value for value in values if not np.isnan(value)])
    return [round(end, 6) for end in interval_of_mean(known)] if len(known) > 1 else None


def evaluate_positions(
    truth: Sequence[np.ndarray],
    found: Sequence[np.ndarray],
    tolerance: float,
    pixel_size_um: float | None = None,
) -> dict[str, Any]:
    """Compare located positions with true ones, image by image.

    Parameters
    ----------
    truth, found
        ``(N, 2)`` rows and columns in pixels, one array an image.
    tolerance
        Distance in pixels up to which a position counts as found.

    Returns
    -------
    dict
        `PositionMatches.as_dict` of all images together, with the number of images.
    """
    parts = [match_positions(t, f, tolerance) for t, f in zip(truth, found, strict=True)]
    together = PositionMatches.together(parts)
    return {
        "data": {"images": len(parts)},
        **together.as_dict(pixel_size_um),
        "recall_interval_over_images": _interval([part.recall for part in parts]),
        "precision_interval_over_images": _interval([part.precision for part in parts]),
    }


def _summarise(matches: Sequence[ObjectMatches]) -> dict[str, Any]:
    total = ObjectMatches(
        sum(m.true_positives for m in matches),
        sum(m.false_positives for m in matches),
        sum(m.false_negatives for m in matches),
    )
    return {
        "average_precision_at_iou_0.5": _mean([m.average_precision for m in matches]),
        "average_precision_at_iou_0.5_interval": _interval([m.average_precision for m in matches]),
        "average_precision_at_iou_0.5_pooled": _mean([total.average_precision]),
        "true_positives": total.true_positives,
        "false_positives": total.false_positives,
        "false_negatives": total.false_negatives,
    }
