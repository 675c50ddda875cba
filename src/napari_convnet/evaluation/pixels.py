"""Classes of pixels, and objects, compared with the truth."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from typing import Any

import numpy as np

from napari_convnet.errors import UserError
from napari_convnet.evaluation.over_images import (
    as_part,
    interval_over_images,
    mean_of,
    measured_images,
)
from napari_convnet.folders import ImagePair, shown_name
from napari_convnet.images import CleanImage, check_labels
from napari_convnet.model_file import Model
from napari_convnet.prediction import segment_image
from napari_convnet.prediction.fitting import sees_depth
from napari_convnet.prediction.volumes import predict_volume
from napari_convnet.progress import Progress
from napari_convnet.scores import ObjectMatches, Scores, confusion_matrix, match_objects


def evaluate_segmentation(
    model: Model,
    pairs: Sequence[ImagePair],
    *,
    instances: bool = False,
    device: str = "auto",
) -> Generator[Progress, None, dict[str, Any]]:
    """Segment image files and compare with their labels.

    Parameters
    ----------
    instances
        Whether labels are whole objects; then objects are matched, too.

    Returns
    -------
    dict
        As `evaluate_pixels`; of a model of stacks, whose files are stacks, as `evaluate_stacks`.

    Raises
    ------
    UserError
        CN-509 for whole objects and a model of stacks.
    """
    names = [pair.image.name for pair in pairs]
    if sees_depth(model):
        refuse_instances_of_stacks(instances)
        stacks = (pair.read_stack() for pair in pairs)
        report = yield from evaluate_stacks(model, stacks, names, device=device)
    else:
        parts = (pair.read() for pair in pairs)
        report = yield from evaluate_pixels(model, parts, names, instances=instances, device=device)
    report["data"]["folder"] = str(pairs[0].image.parent) if pairs else ""
    return report


def evaluate_pixels(
    model: Model,
    parts: Iterable[tuple[CleanImage, np.ndarray]],
    names: Sequence[str],
    *,
    instances: bool = False,
    device: str = "auto",
) -> Generator[Progress, None, dict[str, Any]]:
    """Segment images and compare with their labels; pixels without a label do not count.

    Parameters
    ----------
    parts
        Images, or planes of images, one after the other, each with labels ``(Y, X)``: k = k-th class of the
        model, 0 = not annotated; or whole objects.
    names
        Of the image that each part is from; parts of one image count together.
    instances
        Whether labels are whole objects; then objects are matched, too.

    Returns
    -------
    dict
        IoU and Dice of each class as the mean over images (``"classes"``), scores over all pixels (``"pixels"``), and
        with ``instances`` the average precision at IoU 0.5 over all objects (``"objects"``).
    """
    classes = [entry.name for entry in model.card.classes]
    confusions: dict[str, np.ndarray] = {}
    matches: list[ObjectMatches] = []
    for number, (name, (image, labels)) in enumerate(zip(names, parts, strict=True)):
        labels = check_labels(labels, image.pixels.shape[1:], f"labels of {image.name}")
        result = yield from as_part(segment_image(model, image, device=device), number, len(names))
        truth = whole_object_classes(model, labels) if instances else labels
        found = _confusion(truth, result.classes, len(classes))
        confusions[name] = confusions.get(name, 0) + found
        if instances:
            matches.append(match_objects(labels, result.objects))
    report = _report(list(confusions.values()), list(map(shown_name, confusions)), classes)
    if instances:
        report["objects"] = _summarise(matches)
    return report


def evaluate_stacks(
    model: Model,
    stacks: Iterable[tuple[Sequence[CleanImage], np.ndarray]],
    names: Sequence[str],
    *,
    device: str = "auto",
) -> Generator[Progress, None, dict[str, Any]]:
    """Segment stacks in three dimensions and compare with their labels; voxels without a label do not count.

    Parameters
    ----------
    stacks
        Slices from first to last, with labels ``(Z, Y, X)``: k = k-th class of the model, 0 = not annotated.
    names
        Of the image that each stack is from; the stacks of one film count together.

    Returns
    -------
    dict
        As `evaluate_pixels`; its pixels are voxels.
    """
    classes = [entry.name for entry in model.card.classes]
    confusions: dict[str, np.ndarray] = {}
    for number, (name, (planes, labels)) in enumerate(zip(names, stacks, strict=True)):
        answer = np.zeros(labels.shape, np.uint8)
        steps = predict_volume(model, planes, answer, device=device)
        yield from as_part(steps, number, len(names))
        confusions[name] = confusions.get(name, 0) + _confusion(labels, answer, len(classes))
    return _report(list(confusions.values()), list(map(shown_name, confusions)), classes)


def refuse_instances_of_stacks(instances: bool) -> None:
    """Refuse to match whole objects of a model of stacks, which learns classes of voxels (CN-509)."""
    if instances:
        raise UserError(
            "CN-509",
            "A model of stacks is scored by the classes of voxels, not by whole objects. Nothing was started. Leave "
            "--instances out and give labels of classes.",
        )


def _confusion(truth: np.ndarray, answer: np.ndarray, n_classes: int) -> np.ndarray:
    return confusion_matrix(truth.astype(np.int64) - 1, answer.astype(np.int64) - 1, n_classes)


def whole_object_classes(model: Model, instances: np.ndarray) -> np.ndarray:
    """Return true classes of a two-class model from whole objects: the object class inside, background outside."""
    background = model.card.background_value or 1
    inside = next(k for k in range(1, len(model.card.classes) + 1) if k != background)
    return np.where(instances > 0, inside, background).astype(np.uint8)


def _report(
    confusions: Sequence[np.ndarray], names: Sequence[str], classes: Sequence[str]
) -> dict[str, Any]:
    """Return the scores of images by their confusion matrices."""
    per_image = [Scores(confusion) for confusion in confusions]
    ious = [scores.mean_iou for scores in per_image]
    return {
        "data": {"images": len(names)},
        "mean_iou": mean_of(ious),
        "mean_iou_interval": interval_over_images(ious),
        "measured": measured_images(names),
        "classes": {
            name: {
                "iou": mean_of([s.iou[k] for s in per_image]),
                "dice": mean_of([s.f1[k] for s in per_image]),
                "iou_interval": interval_over_images([s.iou[k] for s in per_image]),
                "dice_interval": interval_over_images([s.f1[k] for s in per_image]),
            }
            for k, name in enumerate(classes)
        },
        "pixels": Scores(sum(confusions)).as_dict(classes),
    }


def _summarise(matches: Sequence[ObjectMatches]) -> dict[str, Any]:
    total = ObjectMatches(
        sum(m.true_positives for m in matches),
        sum(m.false_positives for m in matches),
        sum(m.false_negatives for m in matches),
    )
    return {
        "average_precision_at_iou_0.5": mean_of([m.average_precision for m in matches]),
        "average_precision_at_iou_0.5_interval": interval_over_images(
            [m.average_precision for m in matches]
        ),
        "average_precision_at_iou_0.5_pooled": mean_of([total.average_precision]),
        "true_positives": total.true_positives,
        "false_positives": total.false_positives,
        "false_negatives": total.false_negatives,
    }
