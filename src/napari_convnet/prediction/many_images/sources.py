"""What a model is applied to: image files, and films as files of several planes or folders of frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from napari_convnet.errors import UserError
from napari_convnet.folders import (
    list_images,
    list_inputs,
    pixel_size_um,
    read_array,
    read_image,
)
from napari_convnet.images import CleanImage, clean_image
from napari_convnet.model_file import Model
from napari_convnet.samples import Film


class FrameFolder(Sequence[CleanImage]):
    """A folder of frames, in the order of their names, each read when it is asked for."""

    def __init__(self, folder: Path) -> None:
        self.files = list_images(folder)
        if not self.files:
            raise UserError("CN-636", f"'{folder}' holds no images. Check the path.")

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index):
        if isinstance(index, slice):
            return [self[k] for k in range(*index.indices(len(self)))]
        return read_image(self.files[index])


@dataclass(frozen=True)
class Source:
    """An image, or a film: a file with several planes, or a folder of frames.

    Parameters
    ----------
    path
        File or folder.
    frames
        One frame for an image.
    is_film
        Whether frames have numbers.
    """

    path: Path
    frames: Sequence[CleanImage]
    is_film: bool

    @cached_property
    def pixel_size_um(self) -> float | None:
        """Side of a pixel in micrometres where the file says so."""
        file = self.frames.files[0] if isinstance(self.frames, FrameFolder) else self.path
        return pixel_size_um(file)


def open_source(path: Path, *, is_film: bool | None = None) -> Source:
    """Open an image or a film.

    Parameters
    ----------
    is_film
        Whether it is a film; by default a folder and a file with three axes that are no colours or channels
        are.

    Raises
    ------
    UserError
        CN-634, CN-60x for files that cannot be used, CN-631 if there is none.
    """
    if not path.exists():
        raise UserError("CN-631", f"There is no file or folder '{path}'. Check the path.")
    if path.is_dir():
        return Source(path, FrameFolder(path), True)
    array, axes = read_array(path)
    if array.ndim == 2 or axes == "YXC" or (axes == "CYX" and not is_film):
        return Source(path, [clean_image(array, axes, path.name)], False)
    axes = "TYXC" if array.ndim == 4 and array.shape[-1] in (3, 4) else "TCYX"
    return Source(path, Film(array, axes if array.ndim == 4 else "TYX", path.name), True)


def list_sources(
    model: Model, inputs: Sequence[Path], output: Path, labels: Path | None = None
) -> list[Path]:
    """Return what a model is applied to: the image files, or folders of frames where it takes films.

    What lies in a folder of ``labels`` inside a folder of images is left out.

    Raises
    ------
    UserError
        As `napari_convnet.folders.list_inputs`.
    """
    files = list_inputs(inputs, output)
    if labels is not None:
        files = [file for file in files if labels.resolve() not in file.resolve().parents]
        if not files:
            raise UserError(
                "CN-636",
                f"All images are in the folder of the label images, '{labels}'. Choose another folder of images.",
            )
    if not takes_films(model):
        return files
    folders = [path for path in inputs if path.is_dir() and _holds_frames(path)]
    inside = {file for folder in folders for file in list_images(folder)}
    return [*folders, *(file for file in files if file not in inside)]


def takes_films(model: Model) -> bool | None:
    """Return True for a model that finds one position in each frame; None where films are told by their files."""
    locate = model.card.locate
    return True if locate is not None and locate.mode == "patch" else None


def _holds_frames(folder: Path) -> bool:
    files = list_images(folder)
    if not files:
        return False
    array, axes = read_array(files[0])
    return array.ndim == 2 or axes == "YXC"
