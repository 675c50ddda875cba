"""What an import is going to write, written at once and taken back as one step.

A file is read and checked completely before the first write, and a write that fails is taken back:
an import is in the project whole or not at all.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from napari_convnet.classes import ClassInfo
from napari_convnet.exchange.output import OutputFolder
from napari_convnet.project import PatchAnnotation, Project

#: Rows of a painted plane that are held and written together.
_BAND = 1024


@dataclass(frozen=True)
class NewObject:
    """A class for one object of a label image; see `ObjectAnnotation`."""

    image_id: int
    labels_name: str
    label: int
    plane: tuple[int, ...]
    centre: tuple[float, float]
    value: int
    annotated_by: str = "person"

    @property
    def key(self) -> tuple[int, str, tuple[int, ...], int]:
        """What the project tells objects apart by."""
        return self.image_id, self.labels_name, self.plane, self.label


@dataclass(frozen=True)
class NewPatch:
    """A square patch; see `PatchAnnotation`."""

    image_id: int
    plane: tuple[int, ...]
    centre: tuple[float, float]
    size: int
    value: int


@dataclass(frozen=True)
class NewPosition:
    """A point with a class or, ``value`` 0, none; see `PositionAnnotation`."""

    image_id: int
    plane: tuple[int, ...]
    centre: tuple[float, float]
    value: int


class PackedPlane:
    """A painted plane ``(Y, X)`` uint8, compressed in bands of rows, so that many fit into memory."""

    def __init__(self, labels: np.ndarray) -> None:
        self.shape = labels.shape
        self._bands = [
            zlib.compress(np.ascontiguousarray(labels[top : top + _BAND]).tobytes(), level=1)
            for top in range(0, labels.shape[0], _BAND)
        ]

    def bands(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the first row of each band, and the band ``(rows, X)``."""
        for number, stream in enumerate(self._bands):
            rows = np.frombuffer(zlib.decompress(stream), np.uint8)
            yield number * _BAND, rows.reshape(-1, self.shape[1])


@dataclass(frozen=True, eq=False)
class NewPainting:
    """Painted pixels of one plane; where they are 0, what the project has stays."""

    image_id: int
    plane: tuple[int, ...]
    labels: PackedPlane


@dataclass(frozen=True, eq=False)
class LabelFiles:
    """Label images that an import makes: a new folder and what goes into it, by file name."""

    folder: OutputFolder
    files: dict[str, bytes]


@dataclass(eq=False)
class ImportPlan:
    """What an import is going to write, all of it checked.

    Parameters
    ----------
    source
        What is imported, for a person.
    classes
        Class table after the import, by task; tasks that do not change are left out.
    splits
        What images are used for, by image id.
    skipped
        What was left out, how many and why.
    notes
        Other things worth telling.
    """

    source: str
    classes: dict[str, tuple[ClassInfo, ...]] = field(default_factory=dict)
    objects: list[NewObject] = field(default_factory=list)
    patches: list[NewPatch] = field(default_factory=list)
    positions: list[NewPosition] = field(default_factory=list)
    splits: dict[int, str] = field(default_factory=dict)
    paintings: list[NewPainting] = field(default_factory=list)
    label_files: list[LabelFiles] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def take_in(self, other: ImportPlan) -> None:
        """Add what another file brings."""
        self.objects.extend(other.objects)
        self.patches.extend(other.patches)
        self.paintings.extend(other.paintings)
        self.label_files.extend(other.label_files)
        self.skipped.extend(other.skipped)
        self.notes.extend(other.notes)
        self.positions.extend(other.positions)
        self.classes.update(other.classes)
        self.splits.update(other.splits)


def drop_known(project: Project, plan: ImportPlan) -> None:
    """Leave out patches that the project has already, so that importing twice makes no twins."""
    known = {
        _patch_key(patch)
        for image_id in {new.image_id for new in plan.patches}
        for patch in project.patches(image_id)
    }
    new = [patch for patch in plan.patches if _patch_key(patch) not in known]
    if len(new) < len(plan.patches):
        plan.skipped.append(f"{len(plan.patches) - len(new):,} patches that are there already")
        plan.patches[:] = new


def _patch_key(patch: NewPatch | PatchAnnotation) -> tuple:
    """Return what makes two patches the same; a box's middle comes back within rounding errors."""
    y, x = patch.centre
    return patch.image_id, patch.plane, round(y, 6), round(x, 6), patch.size, patch.value
