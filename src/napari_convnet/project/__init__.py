"""The project file ``name.convnet``: images by reference, classes, annotations, runs and models.

One SQLite file in which every edit is a transaction, so there is nothing to save; `Project` is its
only mutable face, and everything it returns is frozen. The format is described in
``docs/project_format.md``.
"""

from __future__ import annotations

from napari_convnet.project.backups import backups_of
from napari_convnet.project.class_edits import ClassEdit
from napari_convnet.project.images import SPLITS, content_hash, file_state
from napari_convnet.project.project import Project
from napari_convnet.project.records import (
    EpochRecord,
    ImageRecord,
    MarkedPlane,
    NetworkRecord,
    ObjectAnnotation,
    PatchAnnotation,
    PositionAnnotation,
    RunRecord,
)
from napari_convnet.project.recovery import UnclosedProject, unclosed_projects

__all__ = [
    "SPLITS",
    "ClassEdit",
    "EpochRecord",
    "ImageRecord",
    "MarkedPlane",
    "NetworkRecord",
    "ObjectAnnotation",
    "PatchAnnotation",
    "PositionAnnotation",
    "Project",
    "RunRecord",
    "UnclosedProject",
    "backups_of",
    "content_hash",
    "file_state",
    "unclosed_projects",
]
