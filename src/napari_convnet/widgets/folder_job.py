"""The background part of training on a folder of images for each class: list, show samples, train."""

from __future__ import annotations

import threading
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_convnet.classes import make_classes
from napari_convnet.errors import UserError
from napari_convnet.folders import ClassFolder, group_names, read_array, read_class_folder
from napari_convnet.progress import Progress
from napari_convnet.settings import TrainingSettings
from napari_convnet.widgets.image_list_job import small_picture
from napari_convnet.widgets.training_job import Trained
from napari_convnet.widgets.training_worker import TrainingControl, train_on

if TYPE_CHECKING:
    from napari_convnet.samples import ClassificationSet, Split

#: Pictures of samples have at most this many pixels a side.
PICTURE_SIDE = 96


@dataclass(frozen=True, kw_only=True, eq=False)
class SampleSeen(Progress):
    """A random sample was read; ``picture`` is ``(Y, X, 3)`` uint8, or None where it cannot be read."""

    index: int
    picture: np.ndarray | None


@dataclass(frozen=True, eq=False)
class FolderRequest:
    """Everything that training on a folder needs, independent of widgets.

    ``together`` is a pattern in the file names (patient, slide, well) that must not be split
    between training and validation, or empty. ``input_size`` 0 means: as the network likes it.
    """

    folder: ClassFolder
    together: str
    network: str
    settings: TrainingSettings
    automatic: frozenset[str]
    input_size: int
    pretrained: str
    name: str
    task: str = "classify"
    network_settings: Mapping[str, Any] | None = None


def list_folder(path: Path, _stop: threading.Event) -> Generator[Progress, None, ClassFolder]:
    """List a folder of class folders; only names are read."""
    yield Progress(done=0, total=0, text=f"listing {path.name}")
    return read_class_folder(path)


def look_at_samples(
    folder: ClassFolder, indices: Sequence[int], stop: threading.Event
) -> Generator[Progress, None, None]:
    """Read some samples as small pictures."""
    for done, index in enumerate(indices, start=1):
        if stop.is_set():
            return
        try:
            picture = small_picture(read_array(folder.files[index])[0], PICTURE_SIDE)
        except UserError:  # training will name the file; the grid shows an empty place
            picture = None
        yield SampleSeen(
            done=done, total=len(indices), text="reading samples", index=index, picture=picture
        )


def folder_training_steps(
    request: FolderRequest, stop: threading.Event, control: TrainingControl
) -> Generator[Progress, None, Trained | None]:
    """Read the images resized, split, train and serialise the model; runs in the worker.

    Returns None when it is stopped before all images are read.
    """
    yield Progress(done=0, total=0, text="preparing the training set")
    samples = yield from read_samples(request, stop)
    if samples is None:
        return None
    return Trained(*(yield from train_on(samples, request, stop, control)))


def read_samples(
    request: FolderRequest, stop: threading.Event
) -> Generator[Progress, None, ClassificationSet | None]:
    """Read and resize all images; None when it is stopped before the last one."""
    from napari_convnet.images import CleanImage
    from napari_convnet.networks import network_entry
    from napari_convnet.samples import ClassificationSet, resize_patch

    folder = request.folder
    size = request.input_size or network_entry(request.network).input_size
    split = split_folder(folder, request)  # before an hour of reading, as it may be refused
    images: list[CleanImage] = []
    for index in range(len(folder.files)):
        if stop.is_set():
            return None
        image = folder.read(index)
        # Only what the network will see stays in memory.
        images.append(CleanImage(resize_patch(image.pixels, size), None, image.name))
        yield Progress(done=index + 1, total=len(folder.files), text="reading images")
    return ClassificationSet.from_images(
        lambda index: images[index],
        folder.targets,
        make_classes(folder.class_names),
        split,
        input_size=size,
    )


def split_folder(folder: ClassFolder, request: FolderRequest) -> Split:
    """Hold out whole groups, or without a pattern the same share of every class.

    Raises
    ------
    UserError
        CN-635 for a pattern that does not fit the names, CN-637 if its groups cannot be held out.
    """
    from napari_convnet.samples import split_by_group, split_by_sample

    fraction, seed = request.settings.validation_fraction, request.settings.seed
    if not request.together or fraction == 0:
        return split_by_sample(folder.targets, fraction, seed)
    groups = group_names(folder.files, request.together)
    split = split_by_group(folder.targets, groups, fraction, seed)
    if split is None:
        raise UserError(
            "CN-637",
            f"'{request.together}' gives {len(set(groups))} groups in the file names, which cannot be held out "
            "without losing a class or most samples. Nothing was changed. Choose a pattern that gives more groups.",
        )
    return split
