"""A folder per class: patches of the annotated cells and of picked patches, with ``manifest.csv``.

The folder trains a classifier by itself (here or in MATLAB, Keras, PyTorch); with its manifest the
annotations come back into a project. The classes' order and colours are in ``classes.csv``.
"""

from __future__ import annotations

import io
import re
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from napari_convnet.errors import UserError
from napari_convnet.exchange.class_table import class_table_bytes
from napari_convnet.exchange.matching import (
    ClassFinder,
    ImageFinder,
    Target,
    check_place,
)
from napari_convnet.exchange.output import FileNames, OutputFolder
from napari_convnet.exchange.pixels import Pixels
from napari_convnet.exchange.plan import ImportPlan, NewObject, NewPatch
from napari_convnet.exchange.results import ExportResult, nothing_to_export
from napari_convnet.exchange.tables import Row, plane_cell, read_table, table_bytes
from napari_convnet.images import cut_patch
from napari_convnet.progress import Progress
from napari_convnet.project import ImageRecord, Project
from napari_convnet.project.images import SPLITS

PatchFileType = Literal["tiff", "png"]

MANIFEST = "manifest.csv"
COLUMNS = (
    "file", "image", "source", "plane", "centre_y", "centre_x", "size", "labels", "label", "class",
    "split", "annotated_by", "black", "white",
)  # fmt: skip
_NEEDED = ("image", "source", "plane", "centre_y", "centre_x", "size", "label", "class")


@dataclass(frozen=True)
class _Sample:
    """One patch that is to be cut; ``label`` is 0 for a picked patch."""

    plane: tuple[int, ...]
    centre: tuple[float, float]
    size: int
    labels_name: str
    label: int
    value: int
    annotated_by: str


def export_patch_folder(
    project: Project,
    out: Path,
    pixels: Pixels,
    size: int = 48,
    file_type: PatchFileType = "tiff",
) -> Generator[Progress, None, ExportResult]:
    """Write a patch for each annotated cell and each picked patch into a folder of its class.

    Parameters
    ----------
    out
        The new folder.
    size
        Side of the patches around cells in pixels; picked patches have their own.
    file_type
        ``"tiff"`` (16 bit) or ``"png"`` (8 bit). Values that the type holds stay as they are; others
        are stretched per plane, and columns ``black`` and ``white`` of the manifest say which values of
        the image became the darkest and the brightest.

    Raises
    ------
    UserError
        CN-658 without annotations, CN-659 if ``out`` exists, CN-660 for pixels that are not there,
        CN-301 if the disk refuses; then there is no folder.
    """
    images = [(image, _samples(project, image, size)) for image in project.images()]
    total = sum(len(samples) for _, samples in images)
    if not total:
        raise nothing_to_export("annotated cells or patches")
    classes = project.classes("classify")
    folder_names = FileNames()
    folders = [folder_names.make(info.name) for info in classes]
    names, rows, done = FileNames(), [], 0
    with OutputFolder(out) as folder:
        for image, samples in images:
            writer = _Writer(image, pixels, file_type)
            for sample in samples:
                data, black, white = writer.patch(sample)
                what = (
                    f"{sample.label}"
                    if sample.label
                    else f"y{sample.centre[0]:.0f}_x{sample.centre[1]:.0f}"
                )
                stem = f"{Path(image.name).stem[:40]}_{plane_cell(sample.plane).replace(' ', '-')}_{what}"
                name = names.make(
                    re.sub("__+", "_", stem), ".tif" if file_type == "tiff" else ".png"
                )
                name = f"{folders[sample.value - 1]}/{name}"
                folder.write(name, data)
                rows.append(
                    (name, image.name, image.source, plane_cell(sample.plane), *sample.centre, sample.size,
                     sample.labels_name, sample.label or "", classes[sample.value - 1].name,
                     image.split, sample.annotated_by, black, white)
                )  # fmt: skip
                done += 1
                yield Progress(done=done, total=total, text="writing patches")
        folder.write(MANIFEST, table_bytes(COLUMNS, rows))
        folder.write("classes.csv", class_table_bytes(classes))
    return ExportResult(Path(out), {"patches": total})


def _samples(project: Project, image: ImageRecord, size: int) -> list[_Sample]:
    """Return what is annotated, plane by plane, so that each plane is read once."""
    cells = [
        _Sample(a.plane, a.centre, size, a.labels_name, a.label, a.value, a.annotated_by)
        for a in project.object_annotations(image.id)
    ]
    patches = [
        _Sample(p.plane, p.centre, p.size, "", 0, p.value, "person")
        for p in project.patches(image.id)
    ]
    return sorted([*cells, *patches], key=lambda sample: (sample.plane, sample.label))


class _Writer:
    """Cuts and encodes the patches of one image."""

    def __init__(self, image: ImageRecord, pixels: Pixels, file_type: PatchFileType) -> None:
        self._image, self._pixels, self._file_type = image, pixels, file_type
        self._plane: tuple[int, ...] | None = None

    def patch(self, sample: _Sample) -> tuple[bytes, float | str, float | str]:
        """Return a file's bytes, and which values of the image are black and white in it."""
        if sample.plane != self._plane:
            self._array = self._pixels.plane(self._image, sample.plane)
            if self._file_type == "png" and self._array.shape[0] not in (1, 3, 4):
                raise UserError(
                    "CN-661",
                    f"'{self._image.name[:60]}' has {self._array.shape[0]} channels, which a PNG cannot hold. "
                    "Nothing was exported. Choose 16-bit TIFF.",
                )
            self._range = _stretch_range(self._array, 255 if self._file_type == "png" else 65535)
            self._plane = sample.plane
        patch = cut_patch(self._array, sample.centre, sample.size)
        black, white = self._range or ("", "")
        return self._encode(patch), black, white

    def _encode(self, patch: np.ndarray) -> bytes:
        most = 255 if self._file_type == "png" else 65535
        if self._range:
            black, white = self._range
            scaled = (patch.astype(np.float64) - black) / ((white - black) or 1.0)
            # NaN in an image has no brightness: it becomes black.
            patch = (np.nan_to_num(np.clip(scaled, 0, 1), nan=0.0) * most).round()
        patch = patch.astype(np.uint8 if self._file_type == "png" else np.uint16)
        stream = io.BytesIO()
        if self._file_type == "png":
            from PIL import Image

            picture = patch[0] if len(patch) == 1 else np.moveaxis(patch, 0, -1)
            Image.fromarray(picture).save(stream, "PNG")
            return stream.getvalue()
        import tifffile

        if len(patch) in (3, 4) and self._image.axes.endswith("C"):
            tifffile.imwrite(stream, np.moveaxis(patch, 0, -1), photometric="rgb")
        elif len(patch) == 1:
            tifffile.imwrite(stream, patch[0], photometric="minisblack")
        else:
            tifffile.imwrite(stream, patch, photometric="minisblack", metadata={"axes": "CYX"})
        return stream.getvalue()


def _stretch_range(plane: np.ndarray, most: int) -> tuple[float, float] | None:
    """Return the values that become black and white, or None where values can stay as they are."""
    finite = plane[np.isfinite(plane)] if plane.dtype.kind == "f" else plane
    if finite.size == 0:
        return 0.0, 1.0
    low, high = finite.min(), finite.max()
    if plane.dtype.kind in "bui" and low >= 0 and high <= most:
        return None
    return float(low), float(high)


def plan_patch_folder(target: Target, path: Path) -> Generator[Progress, None, ImportPlan]:
    """Read the manifest of such a folder; nothing is written yet.

    Parameters
    ----------
    path
        The folder or its ``manifest.csv``. The patch files themselves are not read.

    Raises
    ------
    UserError
        CN-651 without a manifest or with a damaged one, CN-652 to CN-654 for a line that cannot be
        used, CN-656 for a file path that leaves the folder.
    """
    path = Path(path)
    table = path / MANIFEST if path.is_dir() else path
    rows = read_table(table, _NEEDED)
    images, classes = target.images, target.classes("classify")
    plan = ImportPlan(path.name)
    seen: set[tuple] = set()
    for number, row in enumerate(rows):
        _take_row(row, plan, images, classes, seen)
        if number % 500 == 0:
            yield Progress(done=number, total=len(rows), text="reading the manifest")
    return plan


def _take_row(
    row: Row, plan: ImportPlan, images: ImageFinder, classes: ClassFinder, seen: set[tuple]
) -> None:
    check_inside(row, row.text("file"))
    image = images.find(row.where, row.text("source"), row.text("image"))
    plane = row.indices("plane")
    centre = row.number("centre_y"), row.number("centre_x")
    size = row.whole("size", 1)
    check_place(row.where, image, plane, centre, size)
    value = classes.find(row.where, row.text("class"))
    split = row.text("split") or "automatic"
    if split not in SPLITS or plan.splits.get(image.id, split) != split:
        row.refuse(
            f"split '{split}'; expected one of {', '.join(SPLITS)}, the same for a whole image"
        )
    if split != image.split:
        plan.splits[image.id] = split
    if not row.text("label"):
        plan.patches.append(NewPatch(image.id, plane, centre, size, value))
        return
    label = row.whole("label", 1, 2**63 - 1)
    annotated_by = row.text("annotated_by") or "person"
    if annotated_by not in ("person", "model"):
        row.refuse(f"annotated_by is '{annotated_by}'; expected person or model")
    new = NewObject(image.id, row.text("labels"), label, plane, centre, value, annotated_by)
    if new.key in seen:
        row.refuse(f"label {label} of this image is there twice")
    seen.add(new.key)
    plan.objects.append(new)


def check_inside(row: Row, name: str) -> None:
    """Refuse a file path that is absolute or leads out of its folder, under any operating system.

    Raises
    ------
    UserError
        CN-656.
    """
    parts = name.replace("\\", "/").split("/")
    if name and (".." in parts or parts[0] == "" or ":" in parts[0]):
        row.refuse(f"the file '{name}' lies outside of the folder", "CN-656")
