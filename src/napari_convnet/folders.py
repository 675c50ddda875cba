"""Folders of images: a folder per class, and images paired with label images."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from napari_convnet.errors import UserError
from napari_convnet.images import CleanImage, clean_image

#: File types that are read.
IMAGE_SUFFIXES = (".tif", ".tiff", ".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp")

#: What Pillow and tifffile raise for files that are damaged or no images.
_READING_ERRORS = (
    OSError,
    ValueError,
    SyntaxError,
    KeyError,
    IndexError,
    TypeError,
    EOFError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)


@dataclass(frozen=True)
class ClassFolder:
    """Image files with a class each, from a folder per class.

    Parameters
    ----------
    root
        The folder that holds the class folders.
    files
        All image files, sorted.
    targets
        ``(N,)`` class index of each file.
    class_names
        Names of the class folders, sorted.
    """

    root: Path
    files: tuple[Path, ...]
    targets: np.ndarray
    class_names: tuple[str, ...]

    def read(self, index: int) -> CleanImage:
        """Read the image of a sample index."""
        return read_image(self.files[index])


@dataclass(frozen=True)
class ImagePair:
    """An image file and the label image of the same stem."""

    image: Path
    labels: Path

    def read(self) -> tuple[CleanImage, np.ndarray]:
        """Read the image and its labels ``(Y, X)``."""
        return read_image(self.image), read_labels(self.labels)


def list_images(folder: Path) -> list[Path]:
    """Return the image files directly in a folder, sorted; hidden files are left out.

    Raises
    ------
    UserError
        CN-631 when there is no such folder.
    """
    if not folder.is_dir():
        raise UserError("CN-631", f"There is no folder '{folder}'. Check the path.")
    return sorted(
        path for path in folder.iterdir()
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".") and path.is_file()
    )  # fmt: skip


def read_class_folder(root: Path, class_names: Sequence[str] | None = None) -> ClassFolder:
    """List a folder per class.

    Parameters
    ----------
    root
        Holds one sub-folder of images for each class; its name is the class.
    class_names
        Use these classes in this order instead of the sub-folders' own names.

    Raises
    ------
    UserError
        CN-631 no such folder, CN-632 no class folders, CN-633 a class without images or not among ``class_names``.
    """
    root = Path(root)
    if not root.is_dir():
        raise UserError("CN-631", f"There is no folder '{root}'. Check the path.")
    folders = sorted(
        path for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")
    )
    if not folders:
        raise UserError(
            "CN-632",
            f"'{root}' has no class folders. Make one folder for each class in it and put that class's images there.",
        )
    names = tuple(class_names) if class_names else tuple(folder.name for folder in folders)
    files: list[Path] = []
    targets: list[int] = []
    for folder in folders:
        images = list_images(folder)
        if folder.name not in names:
            raise UserError(
                "CN-633",
                f"'{root}' has a folder '{folder.name}', but the classes are {', '.join(names)}.",
            )
        if not images:
            raise UserError(
                "CN-633", f"The class folder '{folder}' holds no images. Add images or remove it."
            )
        files += images
        targets += [names.index(folder.name)] * len(images)
    return ClassFolder(root, tuple(files), np.array(targets, np.int64), names)


def pair_images(images: Path, labels: Path) -> tuple[ImagePair, ...]:
    """Pair images with label images of the same stem.

    Raises
    ------
    UserError
        CN-631 for a missing folder, CN-636 when an image has no labels or there are none at all.
    """
    label_files = {path.stem: path for path in list_images(Path(labels))}
    image_files = list_images(Path(images))
    if not image_files:
        raise UserError("CN-636", f"'{images}' holds no images. Check the path.")
    missing = [path.name for path in image_files if path.stem not in label_files]
    if missing:
        raise UserError(
            "CN-636",
            f"{len(missing)} of {len(image_files)} images have no label image of the same name in '{labels}', "
            f"first '{missing[0]}'. Name both alike or move the image away.",
            details="\n".join(missing),
        )
    return tuple(ImagePair(path, label_files[path.stem]) for path in image_files)


def group_names(files: Sequence[Path], pattern: str) -> tuple[str, ...]:
    """Return the group of each file: what the pattern finds in its name (the first bracket, or all of it).

    Raises
    ------
    UserError
        CN-635 for a pattern that is not valid or does not occur in a file's name.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise UserError(
            "CN-635", f"'{pattern}' is not a valid regular expression: {error}."
        ) from error
    groups = []
    for path in files:
        found = compiled.search(path.name)
        if found is None:
            raise UserError(
                "CN-635", f"The group pattern '{pattern}' does not occur in '{path.name}'."
            )
        groups.append(found.group(1) if compiled.groups else found.group(0))
    return tuple(groups)


def read_image(path: Path) -> CleanImage:
    """Read an image file of one plane into the core's form.

    Raises
    ------
    UserError
        CN-634 when it cannot be read, CN-60x when its pixels cannot be used.
    """
    array, axes = read_array(path)
    return clean_image(array, axes, Path(path).name)


def read_labels(path: Path) -> np.ndarray:
    """Read a label image ``(Y, X)``; a grey image that was saved in colour is taken back to grey.

    Raises
    ------
    UserError
        CN-634 when the file cannot be read.
    """
    array, axes = read_array(path, keeps_palette=True)
    if axes == "YXC" and (array[..., :3] == array[..., :1]).all():
        return array[..., 0]
    return array[0] if axes == "CYX" and len(array) == 1 else array


def read_array(path: Path, *, keeps_palette: bool = False) -> tuple[np.ndarray, str]:
    """Read a file's pixels as they are, and the letters of its axes.

    Parameters
    ----------
    path
        Image file.
    keeps_palette
        Whether a picture with a colour table gives its indices (labels) instead of its colours.

    Raises
    ------
    UserError
        CN-634 when the file cannot be read.
    """
    path = Path(path)
    read = _read_tiff if path.suffix.lower() in (".tif", ".tiff") else _read_picture
    try:
        return read(path, keeps_palette)
    except _READING_ERRORS as error:
        raise UserError(
            "CN-634",
            f"'{path.name}' could not be read as an image. Open it elsewhere to check it, or remove it.",
            details=f"{path}: {error}",
        ) from error


def _read_tiff(path: Path, keeps_palette: bool) -> tuple[np.ndarray, str]:
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            series = file.series[0]
            return _with_axes(series.asarray(), series.axes)
    except (tifffile.TiffFileError, IndexError, ValueError):
        # Pillow brings decoders (LZW, JPEG) that tifffile has only together with imagecodecs.
        return _read_picture(path, keeps_palette)


def _read_picture(path: Path, keeps_palette: bool) -> tuple[np.ndarray, str]:
    with Image.open(path) as picture:
        if picture.mode == "LA":
            picture = picture.convert("L")
        elif picture.mode in ("CMYK", "YCbCr", "PA") or (picture.mode == "P" and not keeps_palette):
            picture = picture.convert("RGB")
        return _with_axes(np.asarray(picture), "")


def _with_axes(array: np.ndarray, axes: str) -> tuple[np.ndarray, str]:
    array = np.squeeze(array) if array.ndim > 3 else array
    if array.ndim == 2:
        return array, "YX"
    if array.ndim == 3 and (
        axes.endswith("S") or (not axes.startswith("C") and array.shape[-1] in (3, 4))
    ):
        return array, "YXC"
    if array.ndim == 3 and (axes.startswith("C") or array.shape[0] <= 8):
        return array, "CYX"
    return array, axes or "?" * array.ndim
