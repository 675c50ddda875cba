"""Masks of cellpose's ``_seg.npy``, read without unpickling it."""

from __future__ import annotations

import tokenize
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np

from napari_convnet.errors import UserError
from napari_convnet.exchange.label_files import label_tiff
from napari_convnet.exchange.matching import Target
from napari_convnet.exchange.output import OutputFolder, free_folder
from napari_convnet.exchange.pickle_reading import RefusedError, read_pickled_arrays
from napari_convnet.exchange.pixels import check_label_image, find_label_objects
from napari_convnet.exchange.plan import ImportPlan, LabelFiles, NewObject
from napari_convnet.exchange.tables import file_error, shown
from napari_convnet.progress import Progress

_ENDING = "_seg"
_MOST_BYTES = 8 * 2**30

#: What numpy raises for a damaged header, which it takes apart as a Python literal.
_READING_ERRORS = (
    OSError, ValueError, EOFError, MemoryError, SyntaxError, tokenize.TokenError, TypeError, KeyError,
    AttributeError, RecursionError,
)  # fmt: skip


def read_cellpose_masks(path: Path) -> np.ndarray:
    """Return the label image ``(Y, X)`` or ``(Z, Y, X)`` of a ``_seg.npy`` file, 0 = background.

    Nothing of the file is executed, whatever it holds. A plain ``.npy`` file of whole numbers is
    read, too.

    Raises
    ------
    UserError
        CN-651 for another or a damaged file, CN-657 for one that would run code if it were unpickled.
    """
    path = Path(path)
    try:
        content = _read(path)
    except RefusedError as error:
        raise UserError(
            "CN-657",
            f"'{shown(path.name)}' was not read: it is a pickle with {shown(error, 80)}, and reading that "
            "could run a stranger's code. In cellpose, save the masks as TIFF (save_tif=True), import those.",
            str(path),
        ) from error
    except _READING_ERRORS as error:
        if isinstance(error, UserError):
            raise
        raise file_error(path, "it is no .npy file that can be read", str(error)) from error
    masks = content.get("masks") if isinstance(content, dict) else content
    if not isinstance(masks, np.ndarray) or masks.dtype.kind not in "bui":
        raise file_error(path, "it has no masks of whole numbers")
    masks = np.squeeze(masks)
    if masks.ndim not in (2, 3) or masks.size == 0:
        raise file_error(path, f"its masks have shape {masks.shape}")
    return masks


def _read(path: Path) -> Any:
    formats = np.lib.format
    if path.stat().st_size > _MOST_BYTES:
        raise ValueError("the file is too large")
    with path.open("rb") as file:
        version = formats.read_magic(file)
        read_header = {
            (1, 0): formats.read_array_header_1_0,
            (2, 0): formats.read_array_header_2_0,
        }.get(version)
        if read_header is None:
            raise ValueError(f"version {version} of .npy")
        _, _, dtype = read_header(file)
        if dtype.hasobject:
            if dtype != np.dtype(object):
                raise RefusedError("objects inside of records")
            return read_pickled_arrays(file.read())
        file.seek(0)
        return np.load(file, allow_pickle=False)


def plan_cellpose(target: Target, path: Path) -> Generator[Progress, None, ImportPlan]:
    """Make a label image of the masks; with a class in the options, all its objects get that class.

    The label image goes into a new folder ``NAME_masks`` beside the file, as TIFF.

    Raises
    ------
    UserError
        As `read_cellpose_masks`; CN-654, CN-613 if a class is given and the image is not in the project
        or has another size.
    """
    path = Path(path)
    yield Progress(done=0, total=2, text="reading the masks")
    masks = read_cellpose_masks(path)
    stem = path.stem.removesuffix(_ENDING)
    plan = ImportPlan(path.name)
    name = f"{stem}_masks"
    if target.options.class_name.strip():
        image = target.images.find_for_file(path, target.options, _ENDING)
        masks = check_label_image(masks, image, path.name)
        classes = target.classes("classify")
        value = classes.find(f"'{shown(path.name)}'", "")
        yield Progress(done=1, total=2, text="finding the cells")
        for label, found in find_label_objects(masks).items():
            plan.objects.append(NewObject(image.id, name, label, found.plane, found.centre, value))
    elif masks.dtype.kind == "i" and masks.min() < 0:
        raise file_error(path, "its masks have negative values")
    folder = free_folder(path.with_name(name))
    plan.label_files.append(LabelFiles(OutputFolder(folder), {f"{name}.tif": label_tiff(masks)}))
    n_objects = len(np.unique(masks[masks > 0]))
    plan.notes.append(f"{n_objects:,} masks are in '{folder.name}/{name}.tif': open it as labels.")
    return plan
