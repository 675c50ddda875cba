"""Whole objects into the painting: label images in which every object has a number of its own, as cellpose writes them.

Touching objects get a seam of background between them, so that the painted areas are the objects again.
"""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import numpy as np

from napari_convnet.classes import background_index
from napari_convnet.errors import UserError
from napari_convnet.exchange.cellpose import read_cellpose_masks
from napari_convnet.exchange.label_files import list_label_files, read_label_file
from napari_convnet.exchange.matching import Target, plane_and_shape
from napari_convnet.exchange.painted_masks import add_painting
from napari_convnet.exchange.pixels import check_label_image
from napari_convnet.exchange.plan import ImportPlan
from napari_convnet.exchange.tables import shown
from napari_convnet.progress import Progress
from napari_convnet.project import ImageRecord
from napari_convnet.seams import OBJECT, instance_classes

#: What the files of other programs are called besides the image's name.
_ENDINGS = ("_cp_masks", "_masks", "_labels", "_seg")


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
    classes = target.project.classes("segment")
    if not classes:
        raise UserError(
            "CN-653",
            f"'{shown(path.name)}': there are no classes to segment yet. Nothing was imported. Add a class called "
            "background and one for the objects, then import again.",
        )
    background = background_index(classes) + 1
    name = target.options.class_name.strip()
    others = [info.name for k, info in enumerate(classes, start=1) if k != background]
    value = target.classes("segment").find(f"'{shown(path.name)}'", name or (others or [""])[0])
    if value == background:
        raise UserError(
            "CN-653",
            f"'{shown(path.name)}': objects cannot be of the class '{classes[background - 1].name}', which is what "
            "lies around them. Nothing was imported. Choose another class.",
        )
    files = list_label_files(path)
    for number, file in enumerate(files):
        yield Progress(done=number, total=len(files), text=f"reading {shown(file.name, 40)}")
        image = _image_of(target, file, is_one=path.is_file())
        if file.suffix == ".npy":
            labels = read_cellpose_masks(file)
        else:
            labels = read_label_file(file, plan, target.options.converts_decimals)
        labels = check_label_image(labels, image, file.name)
        for index in np.ndindex(*plane_and_shape(image)[0]):
            is_object = instance_classes(labels[index]) == OBJECT
            painted = np.where(is_object, value, background).astype(np.uint8)
            add_painting(plan, image, index, painted)
    plan.notes.append(
        "Tick 'Painted areas are whole objects' in the Train dock to learn from them."
    )
    return plan


def _image_of(target: Target, file: Path, is_one: bool) -> ImageRecord:
    """Return the image that a file belongs to; of several files none goes to an image of another name."""
    if is_one:
        return target.images.find_for_file(file, target.options, *_ENDINGS)
    stem = file.stem
    ending = next((e for e in _ENDINGS if stem.endswith(e) and stem != e), "")
    return target.images.find(f"'{shown(file.name)}'", "", stem.removesuffix(ending))
