"""Classes of images and objects compared with the truth."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from typing import Any

import numpy as np

from napari_convnet.errors import UserError
from napari_convnet.evaluation.over_images import as_part
from napari_convnet.folders import ClassFolder, shown_name
from napari_convnet.model_file import Model
from napari_convnet.prediction import classify_images, classify_objects
from napari_convnet.progress import Progress
from napari_convnet.samples import AnnotatedObjects
from napari_convnet.samples.split import image_names
from napari_convnet.scores import ClassifierScores, measure_classifier


def evaluate_classification(
    model: Model,
    folder: ClassFolder,
    indices: Sequence[int] | None = None,
    *,
    groups: Sequence[str] | None = None,
    orientations: int = 1,
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
    orientations
        That of `napari_convnet.prediction.classify_images`.

    Returns
    -------
    dict
        `ClassifierScores.as_dict` with the data that it was measured on.

    Raises
    ------
    UserError
        CN-641 when a folder's class is not one of the model's.
    """
    scores = yield from score_classification(
        model, folder, indices, groups=groups, orientations=orientations, device=device
    )
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
    orientations: int = 1,
    device: str = "auto",
) -> Generator[Progress, None, ClassifierScores]:
    """Return the same as `evaluate_classification`, with the probabilities of every sample.

    ``orientations`` is that of `napari_convnet.prediction.classify_images`.
    """
    names = [entry.name for entry in model.card.classes]
    for name in folder.class_names:
        if name not in names:
            raise UserError(
                "CN-641",
                f"The model knows {', '.join(names)}, but the folder has a class '{name}'.",
            )
    chosen = np.arange(len(folder.files)) if indices is None else np.asarray(indices)
    result = yield from classify_images(
        model, lambda i: folder.read(int(chosen[i])), len(chosen), orientations=orientations,
        device=device,
    )  # fmt: skip
    to_model = np.array([names.index(name) for name in folder.class_names])
    truth = to_model[folder.targets[chosen]]
    of = None if groups is None else [shown_name(groups[int(i)]) for i in chosen]
    return measure_classifier(truth, result.probabilities, names, of)


def evaluate_objects(
    model: Model,
    annotated: Iterable[AnnotatedObjects],
    *,
    names: Sequence[str] | None = None,
    device: str = "auto",
) -> Generator[Progress, None, dict[str, Any]]:
    """Classify annotated objects of images (such as a project's test images) and compare.

    Parameters
    ----------
    annotated
        Their class values are the model's, or below 1 for what the model does not know, which is left out. With
        names they may be made one after the other.
    names
        Of the image that each part is from: planes of one stack are of one image. By default each part is an
        image of its own.

    Returns
    -------
    dict
        `ClassifierScores.as_dict`, with intervals over images, and ``"warning"``.
    """
    truth, probabilities, groups = [], [], []
    if names is None:
        annotated = list(annotated)
        names = image_names([part.image.name for part in annotated]).tolist()
    for number, (part, name) in enumerate(zip(annotated, names, strict=True)):
        is_known = np.asarray(part.values) > 0
        numbers, centres = np.arange(is_known.sum()), np.asarray(part.centres)[is_known]
        steps = classify_objects(model, part.image, numbers, centres, device=device)
        result = yield from as_part(steps, number, len(names))
        truth.append(np.asarray(part.values, np.int64)[is_known] - 1)
        probabilities.append(result.probabilities)
        groups += [shown_name(str(name))] * len(numbers)
    classes = [entry.name for entry in model.card.classes]
    measured = measure_classifier(
        np.concatenate([np.empty(0, np.int64), *truth]),
        np.concatenate([np.empty((0, len(classes))), *probabilities]),
        classes, groups, "images",
    )  # fmt: skip
    data = {"images": len(set(groups))}
    return {"data": data, "warning": measured.warning, **measured.as_dict()}
