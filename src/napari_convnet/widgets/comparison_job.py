"""Two models compared in the background: on the image that is looked at, and on what the project keeps for a test."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_convnet.classes import ClassInfo
from napari_convnet.errors import UserError
from napari_convnet.images import ImageNote
from napari_convnet.progress import Progress, until_stop
from napari_convnet.project import RunRecord
from napari_convnet.widgets.learned import learned_images
from napari_convnet.widgets.planes import Planes, image_of
from napari_convnet.widgets.project_test import image_names_of, read_annotated
from napari_convnet.widgets.source import PlaneArrays
from napari_convnet.widgets.stack_prediction import PlaneImages
from napari_convnet.widgets.training_data import AnnotatedPlane
from napari_convnet.widgets.training_job import centroids

if TYPE_CHECKING:
    from napari_convnet.evaluation import ComparedCells, ComparedMasks, Comparison
    from napari_convnet.model_file import Model


@dataclass(frozen=True, eq=False)
class ComparisonRequest:
    """What is compared on what.

    Parameters
    ----------
    first
        The current model, called A.
    load_second
        Reads the other one, called B; in the worker.
    arrays, planes
        The plane that is looked at, or all planes of a stack.
    depth_axis
        Which axis of the stack is depth, None where that is not known.
    device, orientations
        As for a prediction.
    test_planes, classes
        Annotated planes that the project keeps for a test, and the classes of their values.
    runs
        Of the project, which tell what the models learned from.
    """

    first: Model
    load_second: Callable[[], Model]
    arrays: PlaneArrays
    planes: Planes | None
    depth_axis: int | None
    device: str
    orientations: int
    test_planes: tuple[AnnotatedPlane, ...]
    classes: tuple[ClassInfo, ...]
    runs: tuple[RunRecord, ...]


@dataclass(frozen=True, eq=False)
class Compared:
    """Both models' answers as maps of one shape, where they differ, and how both score on test images.

    Parameters
    ----------
    first, second
        uint8 class values, each of its own model.
    difference
        uint8 values of ``comparison.differences``.
    scores
        Of `napari_convnet.score_masks` or `napari_convnet.score_cells`; None without test images.
    remark
        What is known of whether the models learned from the test images.
    """

    first_model: Model
    second_model: Model
    first: np.ndarray
    second: np.ndarray
    difference: np.ndarray
    comparison: Comparison
    scores: dict[str, Any] | None
    remark: str
    notes: tuple[ImageNote, ...]
    problem: str


def comparison_steps(
    request: ComparisonRequest, stop: threading.Event
) -> Generator[Progress, None, Compared | None]:
    """Apply both models, compare and score them; None when it is stopped before both have seen anything."""
    yield Progress(done=0, total=0, text="loading model B")
    from napari_convnet.evaluation import match_classes

    first, second = request.first, request.load_second()
    match_classes(first.card, second.card)  # refused before anything is read
    yield Progress(done=0, total=0, text="preparing the image")
    if first.card.task == "segment":
        masks = yield from _masks(request, second, stop)
        maps, found = (masks.first, masks.second, masks.comparison.map), masks
    else:
        cells = yield from _cells(request, second, stop)
        labels = request.arrays.labels
        maps, found = (*cells.draw_answers(labels), cells.draw(labels)), cells
    if not found.comparison.n:
        if found.problem:
            raise UserError("CN-604", found.problem)
        return None
    scores, remark = None, ""
    if request.test_planes and not stop.is_set():
        request, remark = _without_learned(request, second)
    if request.test_planes and not stop.is_set():
        try:
            scores = yield from until_stop(_scores(request, second), stop)
        except UserError as error:  # what was compared is there all the same
            remark = f"The images set to test could not be scored: {error.message}"
    return Compared(
        first, second, *maps, found.comparison, scores, remark, found.notes, found.problem
    )


def _masks(
    request: ComparisonRequest, second: Model, stop: threading.Event
) -> Generator[Progress, None, ComparedMasks]:
    from napari_convnet.evaluation import compare_masks, compare_stacks

    common = {"device": request.device, "stop": stop}
    if request.planes is None:
        image = image_of(request.arrays)
        return (yield from compare_masks(request.first, second, image, **common))
    planes = request.planes
    images = PlaneImages(planes)
    common["depth_axis"] = request.depth_axis
    return (yield from compare_stacks(request.first, second, images, planes.shape, **common))


def _cells(
    request: ComparisonRequest, second: Model, stop: threading.Event
) -> Generator[Progress, None, ComparedCells]:
    from napari_convnet.evaluation import compare_cells
    from napari_convnet.prediction import object_centres

    image, labels = image_of(request.arrays), request.arrays.labels
    found = object_centres(labels)
    if not len(found[0]):
        raise UserError("CN-625", f"There is no cell to classify in '{image.name}'.")
    return (
        yield from compare_cells(
            request.first, second, image, *found, orientations=request.orientations,
            device=request.device, stop=stop,
        )
    )  # fmt: skip


def _without_learned(request: ComparisonRequest, second: Model) -> tuple[ComparisonRequest, str]:
    """Leave out test images that one of the models learned from, and say of which models that is not known."""
    learned: set[int] = set()
    unknown = []
    for letter, model in (("A", request.first), ("B", second)):
        found = learned_images(model.card.scores, request.runs)
        learned |= found.image_ids
        if not found.is_all:
            unknown.append(letter)
    kept = tuple(plane for plane in request.test_planes if plane.image_id not in learned)
    n_left_out = len({plane.image_id for plane in request.test_planes} & learned)
    lines = []
    if n_left_out:
        lines.append(
            f"Left out of the score: {n_left_out} set to test that A or B learned from before."
        )
    if unknown and kept:
        lines.append(
            f"It is not known here whether {' and '.join(unknown)} learned from these images; if so, the score "
            "flatters."
        )
    return replace(request, test_planes=kept), " ".join(lines)


def _scores(request: ComparisonRequest, second: Model) -> Generator[Progress, None, dict[str, Any]]:
    """Score both models on the test planes."""
    from napari_convnet.evaluation import score_cells, score_masks
    from napari_convnet.samples import AnnotatedObjects

    names, read = image_names_of(request.test_planes), read_annotated(request.test_planes)
    classes = [info.name for info in request.classes]
    common = {"class_names": classes, "device": request.device}
    if request.first.card.task == "segment":
        pixels = ((image, _valid(image, plane.painted)) for image, plane in read)
        return (yield from score_masks(request.first, second, pixels, names, **common))
    cells = (
        AnnotatedObjects(image, centroids(plane), plane.values.astype(int)) for image, plane in read
    )
    return (yield from score_cells(request.first, second, cells, names, **common))


def _valid(image: Any, painted: np.ndarray) -> np.ndarray:
    """Return what is painted, 0 where a pixel is no number."""
    return painted if image.invalid is None else np.where(image.invalid, 0, painted)
