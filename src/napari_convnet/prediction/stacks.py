"""Stacks: planes segmented one after the other, with objects that keep their number from slice to slice."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from napari_convnet.errors import UserError
from napari_convnet.images import CleanImage, ImageNote, LazyImage, UnreadableError
from napari_convnet.model_file import Model
from napari_convnet.prediction.fitting import check_stack_fits, sees_depth
from napari_convnet.prediction.objects import separate_objects
from napari_convnet.prediction.reading import PredictionInterrupted
from napari_convnet.prediction.segmentation import (
    Segmentation,
    SegmentationBegun,
    segment_image,
    strided_levels,
)
from napari_convnet.prediction.volumes import predict_volumes
from napari_convnet.progress import Progress, run, told_as
from napari_convnet.settings import ObjectSettings

#: Objects of two neighbouring slices that share at least this much of the smaller one may be one.
LEAST_OVERLAP = 0.5

#: Takes the number of a plane, its image and result, and the stack's object for each of its labels ``(n + 1,)``.
TakePlane = Callable[[int, CleanImage | LazyImage, Segmentation, np.ndarray], None]


@dataclass(frozen=True)
class StackSegmentation:
    """Classes of pixels of a stack and the objects they form.

    Parameters
    ----------
    classes
        ``(..., Y, X)`` uint8, k = k-th class; 0 where prediction was stopped before.
    objects
        ``(..., Y, X)`` int32: unique in the stack, 0 = background.
    object_values
        ``(n + 1,)`` uint8: class value of each object by its label; index 0 is background.
    n_planes
        How many planes were reached.
    notes
        What a person should know about the planes.
    """

    classes: np.ndarray
    objects: np.ndarray
    object_values: np.ndarray
    n_planes: int
    notes: tuple[ImageNote, ...] = ()

    @classmethod
    def of(
        cls,
        classes: np.ndarray,
        found: StackObjects,
        n_planes: int,
        notes: Iterable[ImageNote],
    ) -> StackSegmentation:
        """Put together what was found in planes; what their notes repeat is said once."""
        values = np.array(found.values, np.uint8)
        return cls(classes, found.objects, values, n_planes, tuple(dict.fromkeys(notes)))


@dataclass
class StackObjects:
    """Objects of planes that get numbers of the whole stack.

    Parameters
    ----------
    shape
        ``(..., Y, X)`` of the stack.
    linked_axis
        The axis along which an object goes on in the next plane, as along Z; None where each plane has objects of
        its own, as in a film.

    Notes
    -----
    An object goes on in that of the next slice, of the same class, with which its intersection over union is largest,
    if that one's is largest with it, too, and they share at least `LEAST_OVERLAP` of the smaller one; the smaller one,
    because the first slice of a ball is a dot. Unlike connected components of the whole stack, this keeps objects
    apart that were cut apart in their slices.

    References
    ----------
    Stringer et al. 2021, https://doi.org/10.1038/s41592-020-01018-x (slices joined by their overlap, in cellpose).
    """

    shape: tuple[int, ...]
    linked_axis: int | None
    objects: np.ndarray = field(init=False)
    values: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self.objects = np.zeros(self.shape, np.int32)
        self.values = [0]

    def add(self, index: tuple[int, ...], labels: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Take a plane's objects; return the stack's object for each label ``(n + 1,)`` int32.

        Parameters
        ----------
        index
            Of the plane along the axes before Y and X; planes come in ascending order.
        labels, values
            As `Segmentation` has them.
        """
        numbers = np.zeros(len(values), np.int32)
        if self.linked_axis is not None and index[self.linked_axis] > 0:
            above = list(index)
            above[self.linked_axis] -= 1
            self._link(self.objects[tuple(above)], labels, values, numbers)
        is_new = numbers == 0
        is_new[0] = False
        numbers[is_new] = len(self.values) + np.arange(is_new.sum())
        self.values += values[is_new].tolist()
        self.objects[index] = numbers[labels]
        return numbers

    def _link(
        self, above: np.ndarray, labels: np.ndarray, values: np.ndarray, numbers: np.ndarray
    ) -> None:
        shared = (above > 0) & (labels > 0)
        if not shared.any():
            return
        areas_above, areas = np.bincount(above.ravel()), np.bincount(labels.ravel())
        pairs, common = np.unique(
            np.stack([above[shared], labels[shared]]), axis=1, return_counts=True
        )
        before, here = pairs
        union = areas_above[before] + areas[here] - common
        is_enough = common >= LEAST_OVERLAP * np.minimum(areas_above[before], areas[here])
        is_enough &= np.array(self.values)[before] == values[here]
        overlap = np.where(is_enough, common / union, 0)
        best_before, best_here = np.zeros(len(areas_above)), np.zeros(len(areas))
        np.maximum.at(best_before, before, overlap)
        np.maximum.at(best_here, here, overlap)
        is_link = is_enough & (overlap == best_before[before]) & (overlap == best_here[here])
        for one, other in zip(before[is_link], here[is_link], strict=True):
            if not numbers[other] and one not in numbers:  # of equal overlaps the first
                numbers[other] = one


def segment_stack(
    model: Model,
    planes: Sequence[CleanImage | LazyImage],
    shape: tuple[int, ...],
    *,
    linked_axis: int | None = None,
    objects: ObjectSettings | None = None,
    device: str = "auto",
    take: TakePlane | None = None,
    stop: threading.Event | None = None,
) -> Generator[Progress, None, StackSegmentation]:
    """Segment every plane of a z-stack, a time series or both, one after the other.

    A model that was trained on stacks sees all slices of a stack together.

    Parameters
    ----------
    planes
        Read one after the other, the last of the axes before Y and X fastest.
    shape
        ``(..., Y, X)`` of the stack.
    linked_axis
        Axis of depth, along which objects go on from slice to slice; None where no axis is.
    objects, device
        As for `segment_image`.
    take
        Is given every plane with its result.
    stop
        Looked at after every tile; planes that are done are kept.

    Raises
    ------
    UserError
        CN-106 when the model does not fit a plane, CN-675 when it needs an axis of depth and there is none, CN-605
        when the result does not fit into the memory;
        `PredictionInterrupted` with what is done when a plane cannot be read.
    """
    check_stack_fits(shape, getattr(planes, "name", "stack"))
    if sees_depth(model):
        steps = _segment_volumes(model, planes, shape, linked_axis, objects, device, take, stop)
        return (yield from steps)
    classes, found = np.zeros(shape, np.uint8), StackObjects(shape, linked_axis)
    notes: list[ImageNote] = []
    problem: UserError | None = None
    yield SegmentationBegun.of(strided_levels(classes))
    n_done = 0
    for number, index in enumerate(np.ndindex(*shape[:-2])):
        try:
            image = planes[number]
            steps = segment_image(model, image, objects=objects, device=device, stop=stop)
            result = yield from told_as(steps, partial(_tell, number, len(planes)))
        except UnreadableError as error:
            problem = error
            break
        except PredictionInterrupted as interrupted:
            result, problem = interrupted.result, interrupted
        classes[index] = result.classes
        numbers = found.add(index, result.objects, result.object_values)
        if take is not None:
            take(number, image, result, numbers)
        notes += result.notes
        n_done += 1
        if problem is not None or (stop is not None and stop.is_set()):
            break
    return _finish(StackSegmentation.of(classes, found, n_done, notes), problem)


def _segment_volumes(
    model: Model,
    planes: Sequence[CleanImage | LazyImage],
    shape: tuple[int, ...],
    depth_axis: int | None,
    objects: ObjectSettings | None,
    device: str,
    take: TakePlane | None,
    stop: threading.Event | None,
) -> Generator[Progress, None, StackSegmentation]:
    """Segment stack after stack in three dimensions, then tell objects apart slice by slice and link them."""
    classes, found = np.zeros(shape, np.uint8), StackObjects(shape, depth_axis)
    yield SegmentationBegun.of(strided_levels(classes))
    notes, problem = yield from predict_volumes(
        model, planes, classes, depth_axis, device=device, stop=stop
    )
    background, settings = model.card.background_value, objects or ObjectSettings()
    n_done = 0
    for number, index in enumerate(np.ndindex(*shape[:-2])):
        plane = classes[index]
        if not plane.any():
            continue
        parts = run(separate_objects(plane, background, settings))
        result = Segmentation(plane, *parts)
        numbers = found.add(index, result.objects, result.object_values)
        if take is not None:
            take(number, planes[number], result, numbers)
        n_done += 1
        if stop is None or not stop.is_set():  # a stopped job may say little more
            text = f"objects of plane {number + 1:,} of {len(planes):,}"
            yield Progress(done=number + 1, total=len(planes), text=text)
    return _finish(StackSegmentation.of(classes, found, n_done, notes), problem)


def _finish(done: StackSegmentation, problem: UserError | None) -> StackSegmentation:
    """Return what was done, or raise why it is not all, with it."""
    if problem is not None:
        raise PredictionInterrupted(problem, done) if done.n_planes else problem
    return done


def _tell(number: int, n_planes: int, event: Progress) -> Progress:
    """Tell a plane's progress as the stack's, in hundredths of planes."""
    done = round(100 * (number + event.share))
    return Progress(done=done, total=100 * n_planes, text=f"plane {number + 1:,} of {n_planes:,}")
