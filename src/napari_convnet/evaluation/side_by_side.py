"""Two models scored on the same annotations that neither learned from."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_convnet.evaluation.comparison import compare_cells
from napari_convnet.evaluation.differences import SharedClasses, match_classes
from napari_convnet.evaluation.over_images import as_part, interval_over_images, mean_of
from napari_convnet.evaluation.pixels import whole_object_classes
from napari_convnet.folders import shown_name
from napari_convnet.images import CleanImage, check_labels
from napari_convnet.model_file import Model
from napari_convnet.prediction import segment_image
from napari_convnet.progress import Progress, told_as
from napari_convnet.samples import AnnotatedObjects
from napari_convnet.scores import Scores, confusion_matrix, match_objects, wilson_interval


@dataclass(frozen=True)
class _Known:
    """Classes that both models know, and which of them each value of an answer or of a label means."""

    names: tuple[str, ...]
    first: np.ndarray
    second: np.ndarray
    truth: np.ndarray


def score_masks(
    first: Model,
    second: Model,
    parts: Iterable[tuple[CleanImage, np.ndarray]],
    names: Sequence[str],
    class_names: Sequence[str] | None = None,
    *,
    instances: bool = False,
    device: str = "auto",
) -> Generator[Progress, None, dict[str, Any]]:
    """Segment images with two models and compare both with their labels, on the same pixels.

    Only pixels whose true class both models know count.

    Parameters
    ----------
    parts
        Images, or planes of images, one after the other, each with labels ``(Y, X)``: k = k-th class, 0 = not
        annotated; or whole objects.
    names
        Of the image that each part is from; parts of one image count together.
    class_names
        Classes of the labels; by default those of the first model.
    instances
        Whether labels are whole objects; then objects are matched, too.

    Returns
    -------
    dict
        ``"first"`` and ``"second"`` with the mean IoU and that of each class as means over images, the difference of
        the mean IoUs (second - first) with its interval over images, and how much it was ``"measured"`` on.

    Raises
    ------
    UserError
        CN-671 and CN-672 when the models cannot be compared, CN-106 when one does not fit an image.
    """
    known = _known(first, second, class_names)
    confusions: tuple[dict[str, np.ndarray], ...] = ({}, {})
    precisions: tuple[list[float], ...] = ([], [])
    for number, (name, (image, labels)) in enumerate(zip(names, parts, strict=True)):
        labels = check_labels(labels, image.pixels.shape[1:], f"labels of {image.name}")
        for which, model in enumerate((first, second)):
            steps = segment_image(model, image, device=device)
            part = as_part(steps, 2 * number + which, 2 * len(names))
            found = yield from _told_in_images(part)
            answer = (known.first, known.second)[which][found.classes]
            values = whole_object_classes(first, labels) if instances else labels
            truth = (known.first if instances else known.truth)[values]
            n = len(known.names) + 1  # one more column for classes that only one model knows
            counts = confusion_matrix(truth.astype(np.int64) - 1, (answer - 1) % n, n)
            confusions[which][name] = confusions[which].get(name, 0) + counts
            if instances:
                precisions[which].append(match_objects(labels, found.objects).average_precision)
    report = _masks_report(confusions, known.names)
    if instances:
        for key, values in zip(("first", "second"), precisions, strict=True):
            report[key]["average_precision_at_iou_0.5"] = mean_of(values)
        report["difference"]["average_precision_at_iou_0.5"] = _difference(precisions)
    return report


def score_cells(
    first: Model,
    second: Model,
    parts: Iterable[AnnotatedObjects],
    names: Sequence[str],
    class_names: Sequence[str] | None = None,
    *,
    device: str = "auto",
) -> Generator[Progress, None, dict[str, Any]]:
    """Classify annotated objects with two models and compare both with the truth, on the same cells.

    The parameters and errors are those of `score_masks`; values of the objects are those of ``class_names``.

    Returns
    -------
    dict
        ``"first"`` and ``"second"`` with the accuracy and its interval, on how many cells only one of them is right,
        and how much it was ``"measured"`` on.
    """
    known = _known(first, second, class_names)
    right: list[np.ndarray] = []
    images: set[str] = set()
    for number, (name, part) in enumerate(zip(names, parts, strict=True)):
        truth = known.truth[np.asarray(part.values, np.int64).clip(0)].astype(np.int64)
        chosen = truth > 0
        labels, centres = np.arange(chosen.sum()), np.asarray(part.centres)[chosen]
        steps = compare_cells(first, second, part.image, labels, centres, device=device)
        found = yield from _told_in_images(as_part(steps, number, len(names)))
        answers = known.first[found.first.values], known.second[found.second.values]
        right.append(np.stack([answer == truth[chosen] for answer in answers]))
        if chosen.any():
            images.add(name)
    hits = np.concatenate([np.empty((2, 0), bool), *right], axis=1)
    n = hits.shape[1]
    report: dict[str, Any] = {
        key: {
            "accuracy": round(float(row.mean()), 6) if n else None,
            "accuracy_interval": list(wilson_interval(int(row.sum()), n)) if n else None,
            "only_right": int((row & ~other).sum()),
        }
        for key, row, other in (("first", *hits), ("second", *hits[::-1]))
    }
    report["measured"] = {
        "cells": n,
        "images": len(images),
        "names": sorted(map(shown_name, images)),
    }
    return report


def _known(first: Model, second: Model, class_names: Sequence[str] | None) -> _Known:
    """Return what both models know, and lookups into it, where 0 is "does not count" or "other"."""
    classes: SharedClasses = match_classes(first.card, second.card)
    common = classes.common

    def lookup(names: Sequence[str]) -> np.ndarray:
        return np.array([0, *(common.index(n) + 1 if n in common else 0 for n in names)], np.int64)

    own = [[entry.name for entry in model.card.classes] for model in (first, second)]
    return _Known(common, *map(lookup, own), lookup(own[0] if class_names is None else class_names))


def _told_in_images(
    steps: Generator[Progress, None, Any],
) -> Generator[Progress, None, Any]:
    """Pass progress on, without the number of images: each is looked at twice."""

    def tell(event: Progress) -> Progress:
        return Progress(done=event.done, total=event.total, text="scoring both models")

    return told_as(steps, tell)


def _masks_report(
    confusions: Sequence[dict[str, np.ndarray]], names: Sequence[str]
) -> dict[str, Any]:
    report: dict[str, Any] = {}
    means = []
    used = [name for name, counts in confusions[0].items() if counts.sum()]
    for key, of_model in zip(("first", "second"), confusions, strict=True):
        ious = [Scores(of_model[name]).iou[: len(names)] for name in used]
        per_image = [float(np.nanmean(iou)) for iou in ious]
        means.append(per_image)
        report[key] = {
            "mean_iou": mean_of(per_image),
            "mean_iou_interval": interval_over_images(per_image),
            "classes": {name: {"iou": mean_of([iou[k] for iou in ious])} for k, name in enumerate(names)},
        }  # fmt: skip
    report["difference"] = {"mean_iou": _difference(means)}
    n_pixels = sum(int(counts.sum()) for counts in confusions[0].values())
    report["measured"] = {
        "pixels": n_pixels, "images": len(used), "names": [shown_name(name) for name in used],
    }  # fmt: skip
    return report


def _difference(values: Sequence[Sequence[float]]) -> dict[str, Any]:
    """Return the mean over images of the second model's score less the first's, and how sure it is."""
    each = [b - a for a, b in zip(*values, strict=True)]
    return {"mean": mean_of(each), "interval": interval_over_images(each)}
