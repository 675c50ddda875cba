"""Image files that a project gets to know, by reference: what annotations are then matched with."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from napari_convnet.errors import UserError
from napari_convnet.exchange.label_files import list_label_files
from napari_convnet.exchange.matching import ImportOptions
from napari_convnet.exchange.tables import file_error, shown
from napari_convnet.folders import read_array
from napari_convnet.progress import Progress
from napari_convnet.project import Project, content_hash


@dataclass(frozen=True)
class FoundImage:
    """An image file, read once: see `ImageRecord`."""

    path: Path
    shape: tuple[int, ...]
    dtype: str
    axes: str
    content_hash: str


@dataclass(eq=False)
class ImageList:
    """Image files that are added to a project."""

    images: list[FoundImage]
    skipped: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def summary(self) -> str:
        """Return how many images were added, and what was left out."""
        lines = [f"{len(self.images):,} images added."]
        return " ".join(lines + [f"Left out: {text}." for text in self.skipped] + self.notes)

    def apply(self, project: Project) -> ImageList:
        """Write the references; an image without annotations changes nothing else."""
        for image in self.images:
            project.add_image(
                image.path.stem, str(image.path), image.shape, image.dtype, image.axes,
                (1.0,) * len(image.axes.replace("C", "")), "pixel", image.content_hash,
            )  # fmt: skip
        return self


def plan_images(
    project: Project, paths: Sequence[Path], options: ImportOptions
) -> Generator[Progress, None, ImageList]:
    """Read image files and folders of them; images that the project knows already are left out.

    What an axis before Y and X means is taken from the options; without, it is noted as unknown and not
    guessed, as napari does, and annotations then have an index along it.

    Raises
    ------
    UserError
        CN-651 for a file that is no image, CN-602 for one that the given axes do not fit.
    """
    files = [file for path in paths for file in list_label_files(Path(path).absolute())]
    known = {image.content_hash for image in project.images()}
    result, twins, unknown = ImageList([]), 0, 0
    for number, file in enumerate(files):
        yield Progress(done=number, total=len(files), text=f"reading {shown(file.name, 40)}")
        try:
            array, axes = read_array(file)
        except UserError as error:
            raise file_error(file, "it could not be read as an image", error.details) from error
        digest = content_hash(array)
        if digest in known:
            twins += 1
            continue
        known.add(digest)
        axes = _axes(file, array.shape, axes, options.axes.upper())
        unknown += "?" in axes
        result.images.append(FoundImage(file, array.shape, str(array.dtype), axes, digest))
    if twins:
        result.skipped.append(f"{twins:,} images that are there already")
    if unknown:
        result.notes.append(
            f"{unknown:,} images have an axis before Y and X of unknown meaning, which counts as planes."
        )
    return result


def _axes(file: Path, shape: tuple[int, ...], guessed: str, given: str) -> str:
    """Return one letter for each axis; "?" where nobody has said what it is."""
    if not given or len(shape) == 2 or guessed == "YXC":
        return guessed if guessed in ("YX", "YXC") else "?" * (len(shape) - 2) + "YX"
    if len(given) != len(shape) or given.replace("C", "")[-2:] != "YX":
        raise UserError(
            "CN-602",
            f"'{shown(file.name)}' has shape {shape}, which does not fit axes {shown(given, 20)}. "
            "Nothing was imported. Give one letter for each axis, such as ZYX.",
        )
    return given
