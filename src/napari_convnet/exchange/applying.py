"""Writing an import into a project at once, and taking it back as one step."""

from __future__ import annotations

from collections.abc import Generator, Sequence

import numpy as np

from napari_convnet.classes import ClassInfo
from napari_convnet.exchange.matching import Target
from napari_convnet.exchange.output import OutputFolder
from napari_convnet.exchange.plan import ImportPlan, NewObject, NewPainting, PackedPlane, drop_known
from napari_convnet.progress import Progress
from napari_convnet.project import Project


def write_plan(target: Target, plan: ImportPlan) -> Generator[Progress, None, ImportResult]:
    """End an import that was read: add its new classes, leave out what the project has, and write the rest."""
    plan.classes.update(target.changed_classes())
    drop_known(target.project, plan)
    yield Progress(done=0, total=0, text="writing into the project")
    return apply_plan(target.project, plan)


def apply_plan(project: Project, plan: ImportPlan) -> ImportResult:
    """Write what an import brings as one step: all of it, or nothing if that fails or is killed.

    Raises
    ------
    UserError
        CN-30x as the project says it.
    """
    result = ImportResult(plan)
    try:
        result._write(project)
    except BaseException:
        for folder in result.folders:
            folder.remove()
        raise
    return result


class ImportResult:
    """An import that is in the project, and what is needed to take it back."""

    def __init__(self, plan: ImportPlan) -> None:
        self.plan = plan
        self.patch_ids: list[int] = []
        self.folders: list[OutputFolder] = []
        self.position_ids: list[int] = []
        self._classes: dict[str, tuple[ClassInfo, ...]] = {}
        self._splits: dict[int, str] = {}
        self._n_before: dict[str, int] = {}
        self._objects: list[NewObject] = []
        self._paintings: list[NewPainting] = []

    @property
    def summary(self) -> str:
        """Return how many of what, and what was skipped, for a person."""
        plan, parts = self.plan, []
        for many, word, words in (
            (plan.objects, "cell", "cells"),
            (plan.patches, "patch", "patches"),
            (plan.positions, "position", "positions"),
            (plan.paintings, "painted plane", "painted planes"),
        ):
            if many:
                parts.append(f"{len(many):,} {word if len(many) == 1 else words}")
        for task, classes in plan.classes.items():
            added = len(classes) - self._n_before.get(task, 0)
            is_addition = added > 0 and (
                plan.objects or plan.patches or plan.positions or plan.paintings
            )
            parts.append(f"{added} new classes" if is_addition else f"{len(classes)} classes")
        lines = [f"{plan.source}: {', '.join(parts) if parts else 'nothing'} imported."]
        lines += [f"Left out: {text}." for text in plan.skipped]
        return " ".join(lines + plan.notes)

    def undo(self, project: Project) -> None:
        """Put everything back as it was before, in one step; label images that were made stay."""
        with project.together():
            self._put_back(project)
        self.patch_ids.clear()
        self.position_ids.clear()
        for kept in (self._classes, self._splits, self._objects, self._paintings):
            kept.clear()

    def _put_back(self, project: Project) -> None:
        for old in reversed(self._paintings):
            for top, band in old.labels.bands():
                project.write_painting(old.image_id, old.plane, band, origin=(top, 0))
        _set_objects(project, self._objects)
        project.remove_patches(self.patch_ids)
        project.remove_positions(self.position_ids)
        for image_id, split in self._splits.items():
            project.set_split(image_id, split)
        for task, classes in self._classes.items():
            project.set_classes(task, classes)

    def _write(self, project: Project) -> None:
        plan = self.plan
        for new in plan.label_files:
            if new.folder.path.exists():  # done again after it was undone
                continue
            with new.folder:
                for name, data in new.files.items():
                    new.folder.write(name, data)
            self.folders.append(new.folder)
        with project.together():
            self._write_rows(project)

    def _write_rows(self, project: Project) -> None:
        plan = self.plan
        for task, classes in plan.classes.items():
            self._classes[task] = project.classes(task)
            self._n_before[task] = len(self._classes[task])
            project.set_classes(task, classes)
        self._objects = _present(project, plan.objects)
        _set_objects(project, plan.objects)
        for image_id in dict.fromkeys(patch.image_id for patch in plan.patches):
            patches = [patch for patch in plan.patches if patch.image_id == image_id]
            squares = [(new.plane, new.centre, new.size, new.value) for new in patches]
            self.patch_ids += project.add_patches(image_id, squares)
        for image_id in dict.fromkeys(point.image_id for point in plan.positions):
            points = [point for point in plan.positions if point.image_id == image_id]
            rows = [(point.plane, point.centre, point.value) for point in points]
            self.position_ids += project.add_positions(image_id, rows)
        for image_id, split in plan.splits.items():
            self._splits[image_id] = project.splits().get(image_id, "automatic")
            project.set_split(image_id, split)
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
