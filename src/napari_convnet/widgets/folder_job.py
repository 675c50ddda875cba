"""The background part of training on a folder of images for each class: list, show samples, train."""

from __future__ import annotations

import threading
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_convnet.classes import make_classes
from napari_convnet.errors import UserError
from napari_convnet.folders import ClassFolder, group_names, read_array, read_class_folder
from napari_convnet.images import CleanImage
from napari_convnet.progress import Progress
from napari_convnet.settings import TrainingSettings
from napari_convnet.widgets.image_list_job import small_picture
from napari_convnet.widgets.training_job import Trained
from napari_convnet.widgets.training_worker import TrainingControl, train_on

if TYPE_CHECKING:
    from napari_convnet.samples import ClassificationSet, ImageFiles, Split

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
    between training and validation, or empty. With ``skips_broken`` files that cannot be read are
    left out. ``input_size`` 0 means: as the network likes it.
    """

    folder: ClassFolder
    together: str
    network: str
    settings: TrainingSettings
    automatic: frozenset[str]
    input_size: int
    pretrained: str
    name: str
    skips_broken: bool = False
    task: str = "classify"
    network_settings: Mapping[str, Any] | None = None
    start_model: Any = None
    start_path: Path | None = None
    features: bool = False


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
    model, data = yield from train_on(samples, request, stop, control)
    return None if model is None else Trained(model, data)


def read_samples(
    request: FolderRequest, stop: threading.Event
) -> Generator[Progress, None, ClassificationSet | None]:
    """Return the training set of all images; None when it is stopped before the last one."""
    found = yield from read_folder_set(request, stop)
    return None if found is None else found[0]


def read_folder_set(
    request: FolderRequest, stop: threading.Event
) -> Generator[Progress, None, tuple[ClassificationSet, Sequence[CleanImage]] | None]:
    """Read and resize all images; return the training set and the images, None after a stop before the last one."""
    from napari_convnet.networks import network_entry
    from napari_convnet.samples import ClassificationSet, read_image_files, split_class_folder

    folder, settings = request.folder, request.settings
    size = request.input_size or network_entry(request.network).input_size
    groups = group_names(folder.files, request.together) if request.together else None
    split = split_class_folder(  # before an hour of reading, as it may be refused
        folder, settings.validation_fraction, settings.seed, groups, pattern=request.together
    )
    files = yield from read_image_files(folder, size, skip_broken=request.skips_broken, stop=stop)
    if files is None:
        return None
    kept = folder.subset(files.kept)
    split = _with_notes(split.subset(files.kept), files)
    samples = ClassificationSet.from_images(
        files.images.__getitem__,
        kept.targets,
        make_classes(kept.class_names),
        split,
        input_size=size,
    )
    return samples, files.images


def _with_notes(split: Split, files: ImageFiles) -> Split:
    """Say with the split what was done about unequal and broken images."""
    left_out = (
        f"{len(files.broken)} images that cannot be read are left out" if files.broken else ""
    )
    notes = filter(None, (split.description, files.note, left_out))
    return replace(split, description="; ".join(notes))
