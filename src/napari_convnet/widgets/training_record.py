"""What the project keeps of the data of a training."""

from __future__ import annotations

from typing import Any

from napari_convnet.widgets.folder_job import FolderRequest
from napari_convnet.widgets.session import Session
from napari_convnet.widgets.training_job import TrainingRequest


def data_of(request: TrainingRequest | FolderRequest, session: Session) -> dict[str, Any]:
    """Return what the project keeps of the data of a training."""
    if isinstance(request, FolderRequest):
        folder = request.folder
        return {
            "folder": str(folder.root), "images": len(folder.files), "classes": list(folder.class_names),
            "keep together": request.together, "skip broken": request.skips_broken, "name": request.name,
        }  # fmt: skip
    opened = {plane.image_id for plane in request.planes if hasattr(plane.arrays, "channel_names")}
    names = [image.name for image in session.project.images() if image.id in opened]
    ids = sorted({plane.image_id for plane in request.planes})
    return {
        "planes": len(request.planes), "counts": _counts(request, session), "mode": request.mode,
        "opened": names, "name": request.name,
        **({"image_ids": ids} if request.live is None else {}),  # of a live one, its scores tell them in the end
    }  # fmt: skip


def _counts(request: TrainingRequest, session: Session) -> list[int]:
    """Return the annotations of each class that are trained on or held out; those of test images do not count."""
    if request.task == "segment":  # there are too many pixels to count here
        return session.class_counts(with_test=False)
    values = [int(value) for plane in request.planes for value in plane.values]
    return [values.count(k) for k in range(1, len(request.classes) + 1)]
