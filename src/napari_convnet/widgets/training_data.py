"""What a training uses: the annotations of all images, those that are open copied on the GUI thread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from napari.utils.notifications import show_warning

from napari_convnet.errors import UserError
from napari_convnet.project import ImageRecord
from napari_convnet.widgets.closed_images import FilePlane, is_there
from napari_convnet.widgets.open_image import OpenImage
from napari_convnet.widgets.session import Session
from napari_convnet.widgets.source import PlaneArrays, copy_plane, find_by_id

_VERBS = {
    "classify": ("Click cells or pick patches of", "Click cells"),
    "segment": ("Paint strokes of", "Paint strokes"),
    "locate": ("Mark positions", "Mark positions"),
}


@dataclass(frozen=True, eq=False)
class AnnotatedPlane:
    """One annotated plane.

    Parameters
    ----------
    arrays
        Pixels (copied, or still in their file), and labels where cells were clicked.
    labels, centres, values
        To classify: label of each annotated cell (0 for a picked patch), its (row, column) and its class value.
    patch_sizes
        Sides of the picked patches among them.
    painted
        To segment: ``(Y, X)`` uint8 class values.
    split
        ``"automatic"``, ``"training"`` or ``"validation"``, as the person chose for the image.
    image_id, image_name
        The project's id of the image, whose planes are frames of one film, and what it is called.
    pixel_size
        Side of a pixel and its unit, where both are known and a pixel is square.
    """

    arrays: PlaneArrays | FilePlane
    labels: np.ndarray
    centres: np.ndarray
    values: np.ndarray
    patch_sizes: tuple[int, ...] = ()
    painted: np.ndarray | None = None
    split: str = "automatic"
    image_id: int = 0
    image_name: str = ""
    pixel_size: tuple[float, str] | None = None


@dataclass(frozen=True)
class _Annotated:
    """A cell or a patch of one plane; a patch has label 0, a cell size 0."""

    label: int
    centre: tuple[float, float]
    value: int
    size: int


def missing_annotations(session: Session, counts: list[int]) -> str:
    """Say what training lacks that would learn from so many annotations of each class; empty when it can begin."""
    if session.task == "locate":
        is_marked = any(counts) or (
            session.project is not None and session.project.marked_planes()  # of no class
        )
        return "" if is_marked else "Mark positions to train."
    annotated = [info.name for info, count in zip(session.classes, counts, strict=True) if count]
    if len(annotated) > 1:  # asked after every click: what is below takes a look at the file
        return ""
    what = _VERBS[session.task][0]
    where = " outside of the test images" if counts != session.class_counts() else ""
    if not annotated:
        return f"{what} at least 2 classes{where} to train."
    return f"Only '{annotated[0]}' is annotated{where}. {what} at least one more class to train."


def collect_planes(session: Session) -> tuple[AnnotatedPlane, ...]:
    """Collect the annotated planes of all images of the project but those of the test set.

    Planes of open images are copied; of the others the worker reads the files.

    Raises
    ------
    UserError
        CN-621 or CN-622 when too little is annotated, CN-626 when no annotated image can be found.
    """
    session.save_tools()
    missing = missing_annotations(session, session.class_counts(with_test=False))
    if missing:
        raise UserError("CN-622" if "at least one more" in missing else "CN-621", missing)
    images = [image for image in session.project.images() if image.split != "test"]
    planes, lost = _planes_of(session, images)
    names = _names(lost)
    if not planes:
        raise UserError(
            "CN-626",
            "No annotated image of this project can be found, or all are in the test set. Your annotations are "
            f"safe. Open the image{f' ({names})' if names else ''}, choose {_VERBS[session.task][1]} there, and "
            "train again.",
        )
    if lost:
        show_warning(
            f"{len(lost)} annotated images are left out, as their files were not found: {names}. Their "
            "annotations are safe. Open them, or find them in the list of images."
        )
    return planes


def collect_test_planes(session: Session) -> tuple[AnnotatedPlane, ...]:
    """Collect the annotated planes of the test images, as `collect_planes` does; there may be none."""
    images = [image for image in session.project.images() if image.split == "test"]
    planes, lost = _planes_of(session, images)
    if lost:
        show_warning(
            f"Left out of the test score, as their files were not found: {_names(lost)} ({len(lost)} in all). "
            "Their annotations are safe. Open them, or find them in the list of images."
        )
    return planes


def _planes_of(
    session: Session, images: Sequence[ImageRecord]
) -> tuple[tuple[AnnotatedPlane, ...], list[ImageRecord]]:
    """Return the annotated planes of some images, and which of these have annotations but no file."""
    records = {image.id: image for image in images}
    opened = [image for image in _open_images(session) if image.image_id in records]
    collect = {"segment": _painted_planes, "locate": _marked_planes}.get(
        session.task, _clicked_planes
    )
    planes = collect(session, opened)
    lost: list[ImageRecord] = []
    for image in images:
        if image.id in {o.image_id for o in opened}:
            continue
        found = _closed_planes(session, image)
        if found and not is_there(image):
            lost.append(image)
        else:
            planes += found
    described = tuple(
        replace(
            plane, split=records[image_id].split, image_id=image_id, image_name=records[image_id].name,
            pixel_size=_pixel_size(records[image_id]),
        )
        for image_id, plane in planes
    )  # fmt: skip
    return described, lost


def _names(images: Sequence[ImageRecord]) -> str:
    return ", ".join(f"'{image.name[:40]}'" for image in images[:3])


def _pixel_size(image: ImageRecord) -> tuple[float, str] | None:
    sizes, units = set(image.pixel_size[-2:]), set(image.units[-2:])
    if len(sizes) != 1 or len(units) != 1 or units == {"pixel"}:
        return None
    size, unit = sizes.pop(), units.pop()
    return (size, unit) if size > 0 and unit else None


def _open_images(session: Session) -> list[OpenImage]:
    """Return the images whose layers are all there, those with a label layer first."""
    found = []
    for image in session.open_images.values():
        ids = [i for i in (*image.source.image_ids, image.source.labels_id) if i]
        if all(find_by_id(session.viewer, i) is not None for i in ids):
            found.append(image)
    return sorted(found, key=lambda image: not image.source.labels_id)


_Planes = list[tuple[int, AnnotatedPlane]]


def _clicked_planes(session: Session, images: Sequence[OpenImage]) -> _Planes:
    planes: _Planes = []
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
            (image.image_id, _plane_of(copy_plane(session.viewer, image.source, plane), rows))
            for plane, rows in sorted(found.items())
        ]
    return planes


def _closed_planes(session: Session, image: ImageRecord) -> _Planes:
    """Return the annotated planes of an image that is not open."""
    project, none = session.project, np.empty(0)
    if session.task == "segment":
        found = [FilePlane(image, plane) for plane in project.painted_planes(image.id)]
        return [
            (image.id, AnnotatedPlane(
                plane, none, none.reshape(0, 2), none,
                painted=project.read_painting(image.id, plane.plane, plane.shape),
            )) for plane in found
        ]  # fmt: skip
    if session.task == "locate":
        return [
            (image.id, _plane_of(FilePlane(image, plane), found))
            for plane, found in _positions_by_plane(session, image.id)
        ]
    rows: dict[tuple[int, ...], list[_Annotated]] = {}
    # Without their label layer, cells are cut out around the centres of their boxes.
    for cell in project.object_annotations(image.id):
        rows.setdefault(cell.plane, []).append(_Annotated(0, cell.centre, cell.value, 0))
    for patch in project.patches(image.id):
        rows.setdefault(patch.plane, []).append(
            _Annotated(0, patch.centre, patch.value, patch.size)
        )
    return [
        (image.id, _plane_of(FilePlane(image, plane), found))
        for plane, found in sorted(rows.items())
    ]


def _plane_of(arrays: PlaneArrays | FilePlane, rows: Sequence[_Annotated]) -> AnnotatedPlane:
    return AnnotatedPlane(
        arrays,
        np.array([r.label for r in rows]),
        np.array([r.centre for r in rows], float),
        np.array([r.value for r in rows]),
        tuple(r.size for r in rows if r.size),
    )


def _positions_by_plane(
    session: Session, image_id: int
) -> list[tuple[tuple[int, ...], list[_Annotated]]]:
    rows: dict[tuple[int, ...], list[_Annotated]] = {}
    for point in session.project.positions(image_id):
        rows.setdefault(point.plane, []).append(_Annotated(0, point.centre, point.value, 0))
    return sorted(rows.items())


def _marked_planes(session: Session, images: Sequence[OpenImage]) -> _Planes:
    return [
        (image_id, _plane_of(copy_plane(session.viewer, replace(image.source, labels_id=""), plane), rows))
        for image_id, image in {image.image_id: image for image in images}.items()
        for plane, rows in _positions_by_plane(session, image_id)
    ]  # fmt: skip


def _painted_planes(session: Session, images: Sequence[OpenImage]) -> _Planes:
    none = np.empty(0)
    planes: _Planes = []
    for image in {image.image_id: image for image in images}.values():
        source = replace(image.source, labels_id="")
        for plane in session.project.painted_planes(image.image_id):
            arrays = copy_plane(session.viewer, source, plane)
            painted = session.project.read_painting(image.image_id, plane, arrays.shape)
            if painted.any():
                found = AnnotatedPlane(arrays, none, none.reshape(0, 2), none, painted=painted)
                planes.append((image.image_id, found))
    return planes
