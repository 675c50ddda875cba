"""Training in the background: from copied annotations to a model, in the worker."""

from __future__ import annotations

import threading
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_convnet.classes import ClassInfo, background_index
from napari_convnet.images import CleanImage, ImageNote
from napari_convnet.progress import Progress
from napari_convnet.settings import TrainingSettings
from napari_convnet.widgets.background import JobResult
from napari_convnet.widgets.closed_images import read_planes
from napari_convnet.widgets.failure import is_interrupted_training
from napari_convnet.widgets.live_job import live_steps
from napari_convnet.widgets.live_source import LiveDesk
from napari_convnet.widgets.position_mode import WHOLE_OBJECTS
from napari_convnet.widgets.position_training import position_set, with_pixel_size
from napari_convnet.widgets.source import PlaneArrays
from napari_convnet.widgets.stack_training import PaintedStack, stack_set
from napari_convnet.widgets.training_data import AnnotatedPlane
from napari_convnet.widgets.training_worker import TrainingControl, train_on

if TYPE_CHECKING:
    from napari_convnet.samples import TrainingSet

#: Patches are this much larger than the cells, to show what surrounds them.
_SURROUNDINGS = 1.4
_PATCH_SIZES = (16, 256)


@dataclass(frozen=True, eq=False)
class TrainingRequest:
    """Everything a training needs, independent of layers and widgets.

    ``patch_size`` 0 and the names in ``automatic`` mean: fit them to the data. ``pretrained`` is ``"none"``,
    ``"starter"``, ``"imagenet"`` or the path of a ``.safetensors`` file. ``mode`` says how positions are
    learned, or that painted areas are whole objects. ``start_model`` is a model to go on from (``start_path`` its
    file); ``features`` fits its last layer only. On ``test_planes`` the model is scored after its training, which never
    sees them; where it learns from ``stacks``, on ``test_stacks``. A ``live`` request has a source of strokes instead
    of planes, and names the ``channels``.
    """

    task: str
    planes: tuple[AnnotatedPlane, ...]
    classes: tuple[ClassInfo, ...]
    network: str
    settings: TrainingSettings
    automatic: frozenset[str]
    patch_size: int
    pretrained: str
    name: str
    network_settings: Mapping[str, Any] | None = None
    mode: str = ""
    start_model: Any = None
    start_path: Path | None = None
    features: bool = False
    test_planes: tuple[AnnotatedPlane, ...] = ()
    live: LiveDesk | None = None
    stacks: tuple[PaintedStack, ...] = ()
    test_stacks: tuple[PaintedStack, ...] = ()
    channels: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Trained:
    """A model, the bytes of its file, and what the person should know about the images and the scores."""

    model: Any
    data: bytes
    notes: tuple[ImageNote, ...] = ()
    remark: str = ""


def training_steps(
    request: TrainingRequest, stop: threading.Event, control: TrainingControl
) -> Generator[Progress, None, Trained | None]:
    """Build the training set, train and serialise the model; runs in the worker, where torch is imported.

    Returns None when it is stopped before there is a model.
    """
    if request.live is not None:
        model, data = yield from live_steps(request, stop, control)
        return None if model is None else Trained(model, data)
    yield Progress(done=0, total=0, text="preparing the training set")
    samples, notes = build_samples(request)
    model, data = yield from train_on(samples, request, stop, control)
    if model is None:
        return None
    if request.task == "locate":
        model, data = with_pixel_size(model, data, request.planes)
    return Trained(model, data, notes)


def build_samples(request: TrainingRequest) -> tuple[TrainingSet, tuple[ImageNote, ...]]:
    """Return what is trained on, normalised, and what the person should know about the images."""
    if request.stacks:
        return stack_set(request)
    samples, images = build_set(request)
    return samples, tuple(note for image in images for note in image.notes)


def build_set(request: TrainingRequest) -> tuple[TrainingSet, list[CleanImage]]:
    """Return what is trained on where that is planes, and the images as they are."""
    images = read_planes([plane.arrays for plane in request.planes])
    return _training_set(request, images), images


def kept_model(result: JobResult) -> Trained | None:
    """Return the model that a training left, also when it broke off; None when there is none."""
    if is_interrupted_training(result.error):
        return Trained(result.error.model, result.error.data)
    return result.value


def _training_set(request: TrainingRequest, images: list[CleanImage]):
    from napari_convnet.networks import network_entry
    from napari_convnet.samples import (
        AnnotatedObjects,
        AnnotatedPixels,
        ClassificationSet,
        SegmentationSet,
        WholeObjectSet,
    )

    planes = request.planes
    channels = next(
        (p.arrays.channel_names for p in planes if isinstance(p.arrays, PlaneArrays)), None
    )
    is_held = np.array([plane.split == "validation" for plane in planes])
    always_train = [plane.split == "training" for plane in planes if plane.split != "validation"]
    fraction, seed = request.settings.validation_fraction, request.settings.seed
    if request.task == "locate":
        return position_set(
            planes, images, request.classes, request.mode, patch_size=request.patch_size,
            validation_fraction=fraction, channels=channels, seed=seed,
        )  # fmt: skip
    if request.task == "segment":
        annotated = [AnnotatedPixels(i, p.painted) for i, p in zip(images, planes, strict=True)]
        kind = SegmentationSet
        if request.mode == WHOLE_OBJECTS:
            kind, background = WholeObjectSet, background_index(request.classes) + 1
            annotated = [part.with_whole_objects(background) for part in annotated]
        size = request.patch_size or network_entry(request.network).input_size
        return kind.from_annotations(
            [a for a, held in zip(annotated, is_held, strict=True) if not held], request.classes,
            validation=[a for a, held in zip(annotated, is_held, strict=True) if held],
            patch_size=size, validation_fraction=fraction, channels=channels, seed=seed,
            always_train=always_train, stacks=[plane.image_id for plane in planes if plane.split != "validation"],
        )  # fmt: skip
    objects = [
        AnnotatedObjects(image, centroids(plane), plane.values.astype(int))
        for image, plane in zip(images, planes, strict=True)
    ]
    return ClassificationSet.from_objects(
        objects, request.classes, patch_size=request.patch_size or choose_patch_size(planes),
        validation_fraction=fraction, channels=channels, seed=seed,
        is_validation=is_held, always_train=None if is_held.any() else always_train,
        stacks=[plane.image_id for plane in planes],
    )  # fmt: skip


def centroids(plane: AnnotatedPlane) -> np.ndarray:
    """Return the centres that prediction will use, too; those of picked patches are where they were clicked."""
    from napari_convnet.prediction import object_centres

    if plane.arrays.labels is None:
        return plane.centres
    labels, centres = object_centres(plane.arrays.labels)
    found = np.searchsorted(labels, plane.labels).clip(0, len(labels) - 1)
    return np.where(plane.labels[:, None] > 0, centres[found], plane.centres)


def choose_patch_size(planes: tuple[AnnotatedPlane, ...]) -> int:
    """Return a side in pixels that shows a typical cell: that of the patches, if any were picked."""
    from napari_convnet.networks import network_entry

    picked = [size for plane in planes for size in plane.patch_sizes]
    if picked:
        return int(np.median(picked))
    areas = [
        np.unique(p.arrays.labels, return_counts=True)[1][1:]
        for p in planes if p.arrays.labels is not None
    ]  # fmt: skip
    if not areas:  # cells whose label layer is not open
        return network_entry("convnet").input_size
    return patch_size_of_areas(np.concatenate(areas))


def patch_size_of_areas(areas: np.ndarray) -> int:
    """Return a side in pixels that shows a cell of typical area, in pixels, and what surrounds it."""
    diameter = 2 * np.sqrt(np.median(areas) / np.pi)
    return int(np.clip(round(diameter * _SURROUNDINGS / 8) * 8, *_PATCH_SIZES))
