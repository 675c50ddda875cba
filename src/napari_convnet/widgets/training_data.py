"""What a training uses: the annotations of the open images, copied on the GUI thread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from napari_convnet.errors import UserError
from napari_convnet.widgets.open_image import OpenImage
from napari_convnet.widgets.session import Session
from napari_convnet.widgets.source import PlaneArrays, copy_plane, find_by_id

_VERBS = {
    "classify": ("Click cells or pick patches of", "Click cells"),
    "segment": ("Paint strokes of", "Paint strokes"),
}


@dataclass(frozen=True, eq=False)
class AnnotatedPlane:
    """Copies of one annotated plane.

    Parameters
    ----------
    arrays
        Pixels, and labels where cells were clicked.
    labels, centres, values
        To classify: label of each annotated cell (0 for a picked patch), its (row, column) and its class value.
    patch_sizes
        Sides of the picked patches among them.
    painted
        To segment: ``(Y, X)`` uint8 class values.
    """

    arrays: PlaneArrays
    labels: np.ndarray
    centres: np.ndarray
    values: np.ndarray
    patch_sizes: tuple[int, ...] = ()
    painted: np.ndarray | None = None


@dataclass(frozen=True)
class _Annotated:
    """A cell or a patch of one plane; a patch has label 0, a cell size 0."""

    label: int
    centre: tuple[float, float]
    value: int
    size: int


def missing_annotations(session: Session) -> str:
    """Say what training lacks, in the person's words; empty when it can begin."""
    annotated = [
        info.name
        for info, count in zip(session.classes, session.class_counts(), strict=True)
        if count
    ]
    what = _VERBS[session.task][0]
    if not annotated:
        return f"{what} at least 2 classes to train."
    if len(annotated) == 1:
        return f"Only '{annotated[0]}' is annotated. {what} at least one more class to train."
    return ""


def collect_planes(session: Session) -> tuple[AnnotatedPlane, ...]:
    """Copy all annotated planes of the images that are open in the viewer.

    Raises
    ------
    UserError
        CN-621 or CN-622 when too little is annotated, CN-626 when no annotated image is open.
    """
    session.save_tools()
    missing = missing_annotations(session)
    if missing:
        raise UserError("CN-621" if "2 classes" in missing else "CN-622", missing)
    collect = _painted_planes if session.task == "segment" else _clicked_planes
    planes = tuple(collect(session, _open_images(session)))
    if not planes:
        names = ", ".join(f"'{image.name[:40]}'" for image in session.project.images()[:3])
        raise UserError(
            "CN-626",
            f"No annotated image of this project is open. Your annotations are safe. Open it ({names}), choose "
            f"{_VERBS[session.task][1]} there, and train again.",
        )
    return planes


def _open_images(session: Session) -> list[OpenImage]:
    """Return the images whose layers are all there, those with a label layer first."""
    found = []
    for image in session.open_images.values():
        ids = [i for i in (*image.source.image_ids, image.source.labels_id) if i]
        if all(find_by_id(session.viewer, i) is not None for i in ids):
            found.append(image)
    return sorted(found, key=lambda image: not image.source.labels_id)


def _clicked_planes(session: Session, images: Sequence[OpenImage]) -> list[AnnotatedPlane]:
    planes: list[AnnotatedPlane] = []
    seen: set[tuple[int, str]] = set()
    for image in images:
        found: dict[tuple[int, ...], list[_Annotated]] = {}
        # One image may be open with several label layers; its patches count once.
        if image.labels_name and (image.image_id, image.labels_name) not in seen:
            for cell in session.project.object_annotations(image.image_id, image.labels_name):
                if image.has_cell(cell):
                    found.setdefault(cell.plane, []).append(
                        _Annotated(cell.label, cell.centre, cell.value, 0)
                    )
        if (image.image_id, "") not in seen:
            for patch in session.project.patches(image.image_id):
                found.setdefault(patch.plane, []).append(
                    _Annotated(0, patch.centre, patch.value, patch.size)
                )
        seen |= {(image.image_id, image.labels_name), (image.image_id, "")}
        planes += [
            _plane_of(copy_plane(session.viewer, image.source, plane), rows)
            for plane, rows in sorted(found.items())
        ]
    return planes


def _plane_of(arrays: PlaneArrays, rows: Sequence[_Annotated]) -> AnnotatedPlane:
    return AnnotatedPlane(
        arrays,
        np.array([r.label for r in rows]),
        np.array([r.centre for r in rows], float),
        np.array([r.value for r in rows]),
        tuple(r.size for r in rows if r.size),
    )


def _painted_planes(session: Session, images: Sequence[OpenImage]) -> list[AnnotatedPlane]:
    none = np.empty(0)
    planes = []
    for image in {image.image_id: image for image in images}.values():
        source = replace(image.source, labels_id="")
        for plane in session.project.painted_planes(image.image_id):
            arrays = copy_plane(session.viewer, source, plane)
            painted = session.project.read_painting(image.image_id, plane, arrays.shape)
            if painted.any():
                planes.append(
                    AnnotatedPlane(arrays, none, none.reshape(0, 2), none, painted=painted)
                )
    return planes
