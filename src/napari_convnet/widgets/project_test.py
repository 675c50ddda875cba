"""Scoring a model, once and after its training, on the images that the project keeps for a test."""

from __future__ import annotations

import logging
import threading
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_convnet.images import CleanImage
from napari_convnet.progress import Progress, told_as, until_stop
from napari_convnet.widgets.closed_images import read_planes
from napari_convnet.widgets.failure import explain
from napari_convnet.widgets.learned import learned_images
from napari_convnet.widgets.stack_training import PaintedStack
from napari_convnet.widgets.training_data import AnnotatedPlane
from napari_convnet.widgets.training_job import Trained, TrainingRequest, centroids

if TYPE_CHECKING:
    from napari_convnet.model_file import Model
    from napari_convnet.project import Project

logger = logging.getLogger(__name__)

#: Where the scores were measured, as the model's card says it.
MEASURED_ON = "images that the project keeps for a test"
_STOPPED = "The test images were not scored, as that was stopped. Train again to score them."


@dataclass(frozen=True, kw_only=True)
class Testing(Progress):
    """The training is over, and its model is scored on test images; a stop leaves that out."""


def with_test_scores(
    trained: Trained, request: TrainingRequest, stop: threading.Event
) -> Generator[Progress, None, Trained]:
    """Return the model with ``"test"`` among its scores; in the worker.

    Whatever goes wrong, the model stays as it is and `Trained.remark` says why there is no score.
    """
    yield Testing(done=0, total=0, text="scoring on test images, which training never saw")
    try:
        report = yield from until_stop(told_as(_report(trained.model, request), _as_test), stop)
        return (
            replace(trained, remark=_STOPPED) if report is None else _with_report(trained, report)
        )
    except Exception as error:  # whatever it is: the model must not be lost
        logger.exception("test images were not scored")
        why = explain(error, "Scoring").text
        return replace(trained, remark=f"The model is kept, but test images were not scored. {why}")


def _as_test(event: Progress) -> Testing:
    return Testing(done=event.done, total=event.total, text=f"test: {event.text}")


def _with_report(trained: Trained, report: dict[str, Any]) -> Trained:
    from napari_convnet.model_file import model_bytes

    card = trained.model.card
    scores = {**card.scores, "test": {"measured_on": MEASURED_ON, **report}}
    model = replace(trained.model, card=card.model_copy(update={"scores": scores}))
    return replace(trained, model=model, data=model_bytes(model))


def _report(model: Model, request: TrainingRequest) -> Generator[Progress, None, dict[str, Any]]:
    """Evaluate on the test planes of a request, image after image."""
    from napari_convnet.evaluation import evaluate_marked, evaluate_objects, evaluate_pixels
    from napari_convnet.samples import AnnotatedObjects

    if request.stacks:
        return (yield from _report_stacks(model, request))
    names, device = image_names_of(request.test_planes), request.settings.device
    to_model = _to_model(model, request)
    read = read_annotated(request.test_planes)
    if request.task == "segment":
        pixels = ((image, _labels(image, plane, to_model)) for image, plane in read)
        return (yield from evaluate_pixels(model, pixels, names, device=device))
    if request.task == "locate":
        marked = (
            (image, plane.centres, to_model[plane.values.astype(int)]) for image, plane in read
        )
        return (yield from evaluate_marked(model, marked, names, device=device))
    objects = (
        AnnotatedObjects(image, centroids(plane), to_model[plane.values.astype(int)])
        for image, plane in read
    )
    return (yield from evaluate_objects(model, objects, names=names, device=device))


def _report_stacks(
    model: Model, request: TrainingRequest
) -> Generator[Progress, None, dict[str, Any]]:
    """Evaluate on the painted slices of the test stacks of a request, stack after stack."""
    from napari_convnet.evaluation import evaluate_stacks

    to_model = _to_model(model, request)
    stacks = (_labelled(stack, to_model) for stack in request.test_stacks)
    names = image_names_of(request.test_stacks)
    return (yield from evaluate_stacks(model, stacks, names, device=request.settings.device))


def _labelled(stack: PaintedStack, to_model: np.ndarray) -> tuple[list[CleanImage], np.ndarray]:
    """Read a stack, with what is painted ``(Z, Y, X)`` as the model's values, 0 where a voxel is no number."""
    planes, labels = stack.read(), to_model[stack.labels()].clip(0).astype(np.uint8)
    for painted, plane in zip(labels, planes, strict=True):
        if plane.invalid is not None:
            painted[plane.invalid] = 0
    return planes, labels


def read_annotated(planes: Sequence[AnnotatedPlane]) -> Iterator[tuple[CleanImage, AnnotatedPlane]]:
    """Yield planes with their pixels; those of one image are read together, each image when it is needed."""
    for _, of_image in groupby(planes, key=lambda plane: plane.image_id):
        members = list(of_image)
        yield from zip(read_planes([plane.arrays for plane in members]), members, strict=True)


def image_names_of(planes: Sequence[AnnotatedPlane | PaintedStack]) -> list[str]:
    """Return the name of the image of each plane or stack; of two that are called alike, one gets a number."""
    from napari_convnet.samples.split import image_names

    names = {plane.image_id: plane.image_name for plane in planes}
    unique = dict(zip(names, image_names(list(names.values())), strict=True))
    return [str(unique[plane.image_id]) for plane in planes]


def _to_model(model: Model, request: TrainingRequest) -> np.ndarray:
    """Return the model's class value of each value of the project; 0 stays, -1 = the model does not know it."""
    known = [entry.name for entry in model.card.classes]
    found = (known.index(c.name) + 1 if c.name in known else -1 for c in request.classes)
    return np.array([0, *found], np.int64)


def _labels(image: CleanImage, plane: AnnotatedPlane, to_model: np.ndarray) -> np.ndarray:
    """Return what is painted ``(Y, X)`` as the model's values, 0 where a pixel is no number."""
    labels = to_model[plane.painted].clip(0).astype(np.uint8)
    if image.invalid is not None:
        labels[image.invalid] = 0
    return labels


def without_learned(
    request: TrainingRequest, project: Project | None
) -> tuple[TrainingRequest, str]:
    """Leave out test images that were learned from: live, before they were set to test, or by the model begun with.

    Returns
    -------
    request, remark
        What is left to test on, and what a person should know of it, or "".
    """
    learned, lines = set(request.live.learned if request.live is not None else ()), []
    if request.start_model is not None:
        before = learned_images(request.start_model.card.scores, project.runs() if project else ())
        learned |= before.image_ids
        if not before.is_all:
            lines.append(
                "It is not known here whether the model that this training began with had learned from the test "
                "images; if so, their score flatters."
            )
    planes = tuple(plane for plane in request.test_planes if plane.image_id not in learned)
    stacks = tuple(stack for stack in request.test_stacks if stack.image_id not in learned)
    n_left_out = len({p.image_id for p in request.test_planes} - {p.image_id for p in planes})
    if n_left_out:
        lines.insert(0, f"Left out of the test, as they were learned from before: {n_left_out}.")
    if not planes:
        lines = lines[:1] if n_left_out else []
    return replace(request, test_planes=planes, test_stacks=stacks), " ".join(lines)
