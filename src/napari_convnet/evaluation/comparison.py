"""Two models applied to the same image, side by side."""

from __future__ import annotations

import threading
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_convnet.errors import UserError
from napari_convnet.evaluation.differences import Comparison, compare_answers, match_classes
from napari_convnet.images import CleanImage, ImageNote, LazyImage, UnreadableError
from napari_convnet.model_file import Model
from napari_convnet.prediction import (
    Classification,
    PredictionInterrupted,
    check_model_fits,
    classify_objects,
    draw_values,
    segment_image,
)
from napari_convnet.prediction.fitting import check_stack_fits, sees_depth
from napari_convnet.prediction.volumes import predict_volumes
from napari_convnet.progress import Progress, told_as
from napari_convnet.settings import ObjectSettings

#: Objects are not compared, so the mask is not cut apart.
_NO_OBJECTS = ObjectSettings(touching="off", fill_holes=0)
#: Steps that the progress of one model on one plane is told in.
_STEPS = 100


@dataclass(frozen=True, eq=False)
class ComparedMasks:
    """Two models' masks of an image and where they differ.

    Parameters
    ----------
    first, second
        ``(..., Y, X)`` uint8 class values, each of its own model; 0 where it was stopped before.
    comparison
        What is the same and what is not; the map has the shape of the masks.
    notes
        What a person should know about the image.
    problem
        Why the image could not be read to its end, or "".
    """

    first: np.ndarray
    second: np.ndarray
    comparison: Comparison
    notes: tuple[ImageNote, ...] = ()
    problem: str = ""


@dataclass(frozen=True, eq=False)
class ComparedCells:
    """Two models' classes of the same cells, and where they differ.

    Parameters
    ----------
    first, second
        Of the cells that both models reached.
    comparison
        The map is ``(N,)``, one value a cell.
    """

    first: Classification
    second: Classification
    comparison: Comparison
    problem: str = ""

    @property
    def notes(self) -> tuple[ImageNote, ...]:
        """What a person should know about the image."""
        return tuple(dict.fromkeys((*self.first.notes, *self.second.notes)))

    def draw(self, labels: np.ndarray) -> np.ndarray:
        """Return the differences as a map ``(Y, X)`` uint8 over the label image of the cells."""
        return draw_values(labels, self.first.labels, self.comparison.map)

    def draw_answers(self, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return both models' class values as maps ``(Y, X)`` uint8 over the label image of the cells."""
        return self.first.draw(labels), self.second.draw(labels)


def compare_masks(
    first: Model,
    second: Model,
    image: CleanImage | LazyImage,
    *,
    device: str = "auto",
    stop: threading.Event | None = None,
) -> Generator[Progress, None, ComparedMasks]:
    """Segment an image with two models and compare their masks pixel by pixel.

    Classes are matched by their names. The other parameters are those of `napari_convnet.segment_image`.

    Raises
    ------
    UserError
        CN-671 and CN-672 when the models cannot be compared, CN-106 when one does not fit the image, CN-605 when the
        masks do not fit into the memory.
    """
    for model in (first, second):
        _refuse_depth(model, is_first=model is first)
    return (
        yield from compare_stacks(first, second, [image], image.shape, device=device, stop=stop)
    )


def compare_stacks(
    first: Model,
    second: Model,
    planes: Sequence[CleanImage | LazyImage],
    shape: tuple[int, ...],
    *,
    depth_axis: int | None = None,
    device: str = "auto",
    stop: threading.Event | None = None,
) -> Generator[Progress, None, ComparedMasks]:
    """Compare the masks that two models make of the planes of a stack or a film.

    Plane after plane by both models; where one of them was trained on stacks, the whole by the first, then by the
    second. ``planes`` and ``shape`` are those of `napari_convnet.segment_stack`, ``depth_axis`` its ``linked_axis``;
    the rest is as for `compare_masks`.
    """
    classes = match_classes(first.card, second.card)
    check_stack_fits(shape, getattr(planes, "name", "image"))
    masks = np.zeros((2, *shape), np.uint8)
    notes: list[ImageNote] = []
    problem = ""
    models, numbers = (first, second), range(len(planes))
    if sees_depth(first) or sees_depth(second):
        order = [(which, None if sees_depth(models[which]) else n) for which in (0, 1)
                 for n in ([0] if sees_depth(models[which]) else numbers)]  # fmt: skip
    else:
        order = [(which, number) for number in numbers for which in (0, 1)]
    indices = list(np.ndindex(*shape[:-2]))
    total = _STEPS * len(order)
    for count, (which, number) in enumerate(order):
        tell = _teller("AB"[which], _STEPS * count, total)
        if number is None:
            _check_fits(models[which], "segment", planes[0], is_first=which == 0)
            steps = predict_volumes(
                models[which], planes, masks[which], depth_axis, device=device, stop=stop
            )
            found, error = yield from told_as(steps, tell)
            notes += found
            problem = "" if error is None else PredictionInterrupted(error, None).message
        else:
            try:
                image = planes[number]
                _check_fits(models[which], "segment", image, is_first=which == 0)
                steps = segment_image(
                    models[which], image, objects=_NO_OBJECTS, device=device, stop=stop
                )
                result = yield from told_as(steps, tell)
            except UnreadableError as error:
                problem = PredictionInterrupted(error, None).message
                break
            except PredictionInterrupted as interrupted:
                result, problem = interrupted.result, interrupted.message
            masks[which][indices[number]] = result.classes
            notes += result.notes
        if problem or (stop is not None and stop.is_set()):
            break
    yield Progress(done=total, total=total, text="counting differences")
    comparison = compare_answers(masks[0], masks[1], classes)
    return ComparedMasks(masks[0], masks[1], comparison, tuple(dict.fromkeys(notes)), problem)


def compare_cells(
    first: Model,
    second: Model,
    image: CleanImage | LazyImage,
    labels: np.ndarray,
    centres: np.ndarray,
    *,
    orientations: int = 1,
    device: str = "auto",
    stop: threading.Event | None = None,
) -> Generator[Progress, None, ComparedCells]:
    """Classify the objects of an image with two models and compare their classes.

    The parameters are those of `napari_convnet.classify_objects`; errors as for `compare_masks`.
    """
    classes = match_classes(first.card, second.card)
    found: list[Classification] = []
    problem = ""
    for which, model in enumerate((first, second)):
        _check_fits(model, "classify", image, is_first=which == 0)
    for which, model in enumerate((first, second)):
        steps = classify_objects(
            model, image, labels, centres, orientations=orientations, device=device, stop=stop
        )
        try:
            told = told_as(steps, _teller("AB"[which], which * _STEPS, 2 * _STEPS))
            found.append((yield from told))
        except PredictionInterrupted as interrupted:
            found.append(interrupted.result)
            problem = interrupted.message
        if stop is not None and stop.is_set() and which == 0:
            found.append(_none_of(found[0], len(second.card.classes)))
            break
    n = min(len(part.labels) for part in found)
    a, b = (_first_ones(part, n) for part in found)
    return ComparedCells(a, b, compare_answers(a.values, b.values, classes, "cells"), problem)


def _refuse_depth(model: Model, *, is_first: bool) -> None:
    """Refuse a model that was trained on stacks where there is a single plane."""
    if sees_depth(model):
        raise UserError(
            "CN-675",
            f"Model {'A' if is_first else 'B'} ('{model.card.name}') was trained on z-stacks and needs all slices. "
            "Nothing was changed. Open the stack and choose all of its planes, or choose another model.",
        )


def _check_fits(model: Model, task: str, image: Any, *, is_first: bool) -> None:
    """Refuse a model as `check_model_fits` does, and say which of the two it is."""
    try:
        check_model_fits(model, task, image)
    except UserError as error:
        which = f"Model {'A' if is_first else 'B'} ('{model.card.name}')"
        message = error.message.replace("This model", which, 1)
        raise UserError(error.code, message, error.details) from error


def _teller(which: str, done: int, total: int) -> Any:
    def tell(event: Progress) -> Progress:
        text = f"model {which}: {event.text}"
        return Progress(done=done + round(_STEPS * event.share), total=total, text=text)

    return tell


def _first_ones(found: Classification, n: int) -> Classification:
    return Classification(found.labels[:n], found.centres[:n], found.probabilities[:n], found.notes)


def _none_of(like: Classification, n_classes: int) -> Classification:
    return Classification(
        like.labels[:0], like.centres[:0], np.empty((0, n_classes), np.float32), like.notes
    )
