"""What an import is going to write, written at once and taken back as one step.

A file is read and checked completely before the first write, and a write that fails is taken back:
an import is in the project whole or not at all.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
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


class PackedPlane:
    """A painted plane ``(Y, X)`` uint8, compressed in bands of rows, so that many fit into memory."""

    def __init__(self, labels: np.ndarray) -> None:
        self.shape = labels.shape
        self._bands = [
            zlib.compress(np.ascontiguousarray(labels[top : top + _BAND]).tobytes(), level=1)
            for top in range(0, labels.shape[0], _BAND)
        ]

    def bands(self):
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
    skipped
        What was left out, how many and why.
    notes
        Other things worth telling.
    """

    source: str
    classes: dict[str, tuple[ClassInfo, ...]] = field(default_factory=dict)
    objects: list[NewObject] = field(default_factory=list)
    patches: list[NewPatch] = field(default_factory=list)
    paintings: list[NewPainting] = field(default_factory=list)
    label_files: list[LabelFiles] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def apply(self, project: Project) -> ImportResult:
        """Write it; when a write fails, what was written before is taken back.

        Raises
        ------
        UserError
            CN-30x as the project says it.
        """
        result = ImportResult(self)
        try:
            result._write(project)
        except BaseException:
            try:
                result.undo(project)
            finally:
                for folder in result.folders:
                    folder.remove()
            raise
        return result

    def take_in(self, other: ImportPlan) -> None:
        """Add what another file brings."""
        for mine, theirs in (
            (self.objects, other.objects), (self.patches, other.patches), (self.paintings, other.paintings),
            (self.label_files, other.label_files), (self.skipped, other.skipped), (self.notes, other.notes),
        ):  # fmt: skip
            mine.extend(theirs)
        self.classes.update(other.classes)


class ImportResult:
    """An import that is in the project, and what is needed to take it back."""

    def __init__(self, plan: ImportPlan) -> None:
        self.plan = plan
        self.patch_ids: list[int] = []
        self.folders: list[OutputFolder] = []
        self._classes: dict[str, tuple[ClassInfo, ...]] = {}
        self._objects: list[NewObject] = []
        self._paintings: list[NewPainting] = []

    @property
    def summary(self) -> str:
        """Return how many of what, and what was skipped, for a person."""
        plan, parts = self.plan, []
        for many, one in (
            (plan.objects, "cell"),
            (plan.patches, "patch"),
            (plan.paintings, "plane"),
        ):
            if many:
                plural = "es" if one == "patch" else "s"
                parts.append(f"{len(many):,} {one}{plural if len(many) > 1 else ''}")
        parts += [f"the classes of '{task}'" for task in plan.classes]
        lines = [f"{plan.source}: {', '.join(parts) if parts else 'nothing'} imported."]
        lines += [f"Left out: {text}." for text in plan.skipped]
        return " ".join(lines + plan.notes)

    def undo(self, project: Project) -> None:
        """Put everything back as it was before; label images that were made stay."""
        while self._paintings:
            old = self._paintings[-1]
            for top, band in old.labels.bands():
                project.write_painting(old.image_id, old.plane, band, origin=(top, 0))
            self._paintings.pop()
        if self._objects:
            _set_objects(project, self._objects)
            self._objects.clear()
        while self.patch_ids:
            project.remove_patch(self.patch_ids[-1])
            self.patch_ids.pop()
        for task in list(self._classes):
            project.set_classes(task, self._classes.pop(task))

    def _write(self, project: Project) -> None:
        plan = self.plan
        for new in plan.label_files:
            if new.folder.path.exists():  # done again after it was undone
                continue
            with new.folder:
                for name, data in new.files.items():
                    new.folder.write(name, data)
            self.folders.append(new.folder)
        for task, classes in plan.classes.items():
            self._classes[task] = project.classes(task)
            project.set_classes(task, classes)
        self._objects = _present(project, plan.objects)
        _set_objects(project, plan.objects)
        for patch in plan.patches:
            self.patch_ids.append(
                project.add_patch(
                    patch.image_id, patch.plane, patch.centre, patch.size, patch.value
                )
            )
        for painting in plan.paintings:
            self._paint(project, painting)

    def _paint(self, project: Project, painting: NewPainting) -> None:
        place = painting.image_id, painting.plane
        before = project.read_painting(*place, painting.labels.shape)
        self._paintings.append(NewPainting(*place, PackedPlane(before)))
        for top, band in painting.labels.bands():
            old = before[top : top + len(band)]
            project.write_painting(*place, np.where(band > 0, band, old), origin=(top, 0))


def _present(project: Project, objects: Sequence[NewObject]) -> list[NewObject]:
    """Return objects as the project has them now; value 0 where it has none."""
    known: dict[tuple, NewObject] = {}
    for image_id in {new.image_id for new in objects}:
        for old in project.object_annotations(image_id):
            same = NewObject(
                image_id, old.labels_name, old.label, old.plane, old.centre, old.value, old.annotated_by
            )  # fmt: skip
            known[same.key] = same
    return [
        known.get(new.key)
        or NewObject(new.image_id, new.labels_name, new.label, new.plane, new.centre, 0)
        for new in objects
    ]


def _set_objects(project: Project, objects: Sequence[NewObject]) -> None:
    groups: dict[tuple[int, str, str], list] = {}
    for new in objects:
        group = groups.setdefault((new.image_id, new.labels_name, new.annotated_by), [])
        group.append((new.label, new.plane, new.centre, new.value))
    for (image_id, labels_name, annotated_by), rows in groups.items():
        project.set_object_classes(image_id, labels_name, rows, annotated_by)


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
