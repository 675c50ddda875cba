"""Whole objects into the painting: label images in which every object has a number of its own, as cellpose writes them.

Touching objects get a seam of background between them, so that the painted areas are the objects again.
"""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from napari_convnet.classes import background_index
from napari_convnet.errors import UserError
from napari_convnet.exchange.applying import ImportResult, write_plan
from napari_convnet.exchange.cellpose import read_cellpose_masks
from napari_convnet.exchange.label_files import list_label_files, read_label_file
from napari_convnet.exchange.matching import ImportOptions, Target, plane_and_shape
from napari_convnet.exchange.painted_masks import add_painting
from napari_convnet.exchange.pixels import check_label_image
from napari_convnet.exchange.plan import ImportPlan
from napari_convnet.exchange.tables import shown
from napari_convnet.progress import Progress
from napari_convnet.project import ImageRecord, Project
from napari_convnet.seams import OBJECT, instance_classes

#: What the files of other programs are called besides the image's name.
_ENDINGS = ("_cp_masks", "_masks", "_labels", "_seg")
_TO_LEARN = "Tick 'Painted areas are whole objects' in the Train dock to learn from them."


def plan_whole_objects(target: Target, path: Path) -> Generator[Progress, None, ImportPlan]:
    """Read label images of whole objects as painted labels: objects of one class on background.

    Parameters
    ----------
    target
        The class of its options is the objects', else the first one that is not the background.
    path
        A folder of label images that are called as their images, perhaps with ``_masks`` behind, or one of them; or
        one ``_seg.npy`` of cellpose.

    Raises
    ------
    UserError
        CN-651 for files that cannot be read, CN-611 to CN-613 for labels that do not fit their image, CN-653 without
        a class for objects, CN-654 for a file that belongs to no image.
    """
    path = Path(path)
    plan = ImportPlan(path.name)
    values = _values(target, path.name)
    files = list_label_files(path)
    for number, file in enumerate(files):
        yield Progress(done=number, total=len(files), text=f"reading {shown(file.name, 40)}")
        image = _image_of(target, file, is_one=path.is_file())
        if file.suffix == ".npy":
            labels = read_cellpose_masks(file)
        else:
            labels = read_label_file(file, plan, target.options.converts_decimals)
        _add_objects(plan, image, check_label_image(labels, image, file.name), *values)
    plan.notes.append(_TO_LEARN)
    return plan


def import_label_layer(
    project: Project, image: ImageRecord, labels: ArrayLike, name: str, class_name: str = ""
) -> Generator[Progress, None, ImportResult]:
    """Write the objects of a label image that is open into the painting of an image, all of them or nothing.

    Parameters
    ----------
    image
        Of the project, which the labels are of.
    labels
        ``(..., Y, X)`` integers, every object a value of its own; anything that NumPy can read.
    name
        What to call the labels in messages.
    class_name
        Of the objects; "" for the first class that is not the background.

    Raises
    ------
    UserError
        As `plan_whole_objects`.
    """
    plan, target = ImportPlan(name), Target(project, ImportOptions(class_name=class_name))
    values = _values(target, name)
    yield Progress(done=0, total=0, text=f"reading {shown(name, 40)}")
    _add_objects(plan, image, check_label_image(np.asarray(labels), image, name), *values)
    plan.notes.append(_TO_LEARN)
    return (yield from write_plan(target, plan))


def _values(target: Target, source: str) -> tuple[int, int]:
    """Return the class value of objects and that of the background."""
    classes = target.project.classes("segment")
    if not classes:
        raise UserError(
            "CN-653",
            f"'{shown(source)}': there are no classes to segment yet. Nothing was imported. Add a class called "
            "background and one for the objects, then import again.",
        )
    background = background_index(classes) + 1
    name = target.options.class_name.strip()
    others = [info.name for k, info in enumerate(classes, start=1) if k != background]
    value = target.classes("segment").find(f"'{shown(source)}'", name or (others or [""])[0])
    if value == background:
        raise UserError(
            "CN-653",
            f"'{shown(source)}': objects cannot be of the class '{classes[background - 1].name}', which is what "
            "lies around them. Nothing was imported. Choose another class.",
        )
    return value, background


def _add_objects(
    plan: ImportPlan, image: ImageRecord, labels: np.ndarray, value: int, background: int
) -> None:
    """Paint the objects of every plane, with a seam of background where they touch."""
    for index in np.ndindex(*plane_and_shape(image)[0]):
        is_object = instance_classes(labels[index]) == OBJECT
        painted = np.where(is_object, value, background).astype(np.uint8)
        add_painting(plan, image, index, painted)


def _image_of(target: Target, file: Path, is_one: bool) -> ImageRecord:
    """Return the image that a file belongs to; of several files none goes to an image of another name."""
    if is_one:
        return target.images.find_for_file(file, target.options, *_ENDINGS)
    stem = file.stem
    ending = next((e for e in _ENDINGS if stem.endswith(e) and stem != e), "")
    return target.images.find(f"'{shown(file.name)}'", "", stem.removesuffix(ending))
