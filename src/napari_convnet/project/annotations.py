"""Annotations that are places: classes of clicked objects, and picked patches."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

from napari_convnet.errors import UserError
from napari_convnet.project.counts import Counts, state_of
from napari_convnet.project.faults import short_name
from napari_convnet.project.records import (
    ObjectAnnotation,
    PatchAnnotation,
    centre_floats,
    now,
    plain_text,
    plane_text,
    read_tuple,
)
from napari_convnet.project.schema import TABLES
from napari_convnet.project.store import Store, next_id, put
from napari_convnet.project.tasks import check_value

#: One object for `Annotations.set_object_classes`: label, plane, centre (y, x), class value.
ObjectClass = tuple[int, Sequence[int], Sequence[float], int]

#: One patch for `Annotations.add_patches`: plane, centre (y, x), size in pixels, class value.
Patch = tuple[Sequence[int], Sequence[float], int, int]

#: Who may have annotated.
ANNOTATORS = ("person", "model")


class Annotations:
    """The part of `Project` that knows clicked objects and picked patches (task "classify")."""

    _store: Store
    _counts: Counts

    def set_object_class(
        self,
        image_id: int,
        labels_name: str,
        label: int,
        plane: Sequence[int],
        centre: Sequence[float],
        value: int,
        annotated_by: str = "person",
    ) -> None:
        """Give one object of a label image a class; ``value`` 0 takes it away.

        Parameters
        ----------
        labels_name
            Which label image of the image the object is in.
        label
            The object's value in the label image.
        plane
            Indices along the axes before Y and X; empty for a plain 2-D image.
        centre
            (y, x) in pixels.
        value
            Class, 1-based.
        annotated_by
            ``"person"`` or ``"model"``.

        Raises
        ------
        UserError
            CN-331 if there is no such image, CN-333 if there is no such class, CN-301 if the disk
            is full; what was stored before is then unchanged.
        """
        one = [(label, plane, centre, value)]
        self.set_object_classes(image_id, labels_name, one, annotated_by)

    def set_object_classes(
        self,
        image_id: int,
        labels_name: str,
        objects: Iterable[ObjectClass],
        annotated_by: str = "person",
    ) -> None:
        """Give many objects (label, plane, centre, value) a class in one transaction."""
        if annotated_by not in ANNOTATORS:
            raise UserError("CN-332", f"Annotated by '{annotated_by}': say person or model.")
        name, annotated_at = plain_text(labels_name), now()
        rows = [
            (
                (int(image_id), name, plane_text(plane), _label(label)),
                (*centre_floats(centre), int(value), annotated_by, annotated_at),
            )
            for label, plane, centre, value in objects
        ]
        come = [others[2] for _, others in rows]
        with self._store.transaction() as connection:
            for value in set(come):
                check_value(connection, "classify", value)
            counts = self._counts.known(connection, "classify") if len(rows) == 1 else None
            gone = [] if counts is None else _value_of(connection, rows[0][0])
            for key, others in rows:
                if others[2]:
                    put(connection, "object_class", (*key, *others))
                else:
                    _forget_object(connection, key)
            state = state_of(connection)
        if counts is not None:
            self._counts.moved("classify", counts, state, gone, come)

    def object_annotations(
        self, image_id: int, labels_name: str | None = None
    ) -> tuple[ObjectAnnotation, ...]:
        """Return the classes of an image's objects, of one label image or of all."""
        condition = "WHERE image_id = ?"
        parameters: tuple[int | str, ...] = (image_id,)
        if labels_name is not None:
            condition += " AND labels_name = ?"
            parameters = (image_id, plain_text(labels_name))
        return self._store.records("object_class", _decode_object, condition, parameters)

    def add_patch(
        self,
        image_id: int,
        plane: Sequence[int],
        centre: Sequence[float],
        size: int,
        value: int,
    ) -> int:
        """Add a square of ``size`` pixels around ``centre`` (y, x) and return its id."""
        return self.add_patches(image_id, [(plane, centre, size, value)])[0]

    def add_patches(self, image_id: int, patches: Iterable[Patch]) -> tuple[int, ...]:
        """Add patches (plane, centre, size, value) in one transaction and return their ids.

        Raises
        ------
        UserError
            CN-331 if there is no such image, CN-332 for a size or class below 1, CN-333 if there is
            no such class.
        """
        ids, patches = [], list(patches)
        with self._store.transaction() as connection:
            counts = self._counts.known(connection, "classify")
            for patch_id, patch in enumerate(patches, start=next_id(connection, "patch")):
                _put_patch(connection, (patch_id, image_id, *patch))
                ids.append(patch_id)
            state = state_of(connection)
        if counts is not None:
            self._counts.moved("classify", counts, state, (), [patch[3] for patch in patches])
        return tuple(ids)

    def set_patch(
        self,
        patch_id: int,
        *,
        plane: Sequence[int] | None = None,
        centre: Sequence[float] | None = None,
        size: int | None = None,
        value: int | None = None,
    ) -> None:
        """Change what is given of a patch.

        Raises
        ------
        UserError
            CN-331 if there is no such patch.
        """
        found = self._store.records("patch", _decode_patch, "WHERE id = ?", (patch_id,))
        if not found:
            raise UserError(
                "CN-331", f"Patch {patch_id} is not in '{short_name(self._store.path)}'."
            )
        old = found[0]
        new = (
            old.plane if plane is None else plane,
            old.centre if centre is None else centre,
            old.size if size is None else size,
            old.value if value is None else value,
        )
        with self._store.transaction() as connection:
            _put_patch(connection, (patch_id, old.image_id, *new))

    def remove_patch(self, patch_id: int) -> None:
        """Remove a patch; one that is not there is no error."""
        self.remove_patches([patch_id])

    def remove_patches(self, patch_ids: Iterable[int]) -> None:
        """Remove patches in one transaction; one that is not there is no error."""
        with self._store.transaction() as connection:
            connection.executemany("DELETE FROM patch WHERE id = ?", [(int(i),) for i in patch_ids])

    def patches(self, image_id: int) -> tuple[PatchAnnotation, ...]:
        """Return the patches of an image in the order in which they were added."""
        return self._store.records(
            "patch", _decode_patch, "WHERE image_id = ? ORDER BY id", (image_id,)
        )


def _label(label: int) -> int:
    if not 0 < int(label) < 2**63:
        raise UserError(
            "CN-332", f"Not saved: {label} is not an object of a label image (1 to 2^63 - 1)."
        )
    return int(label)


def _value_of(connection: sqlite3.Connection, key: tuple[Any, ...]) -> list[int]:
    """Return the class value of an object, if it has one."""
    query = f"SELECT value FROM object_class WHERE {TABLES['object_class'].same_key}"
    return [value for (value,) in connection.execute(query, key)]


def _forget_object(connection: sqlite3.Connection, key: tuple[Any, ...]) -> None:
    connection.execute(
        "DELETE FROM object_class "
        "WHERE image_id = ? AND labels_name = ? AND plane = ? AND label = ?",
        key,
    )


def _put_patch(connection: sqlite3.Connection, patch: tuple[Any, ...]) -> None:
    patch_id, image_id, plane, centre, size, value = patch
    if not (1 <= int(size) < 2**31 and int(value) >= 1):
        raise UserError(
            "CN-332", f"Not saved: a patch has size {size} and class {value}; both start at 1."
        )
    check_value(connection, "classify", int(value))
    place = (plane_text(plane), *centre_floats(centre))
    put(connection, "patch", (patch_id, int(image_id), *place, int(size), int(value), now()))


def _decode_object(
    image_id: int, labels_name: str, plane: str, label: int, y: float, x: float, *others: Any
) -> ObjectAnnotation:
    value, annotated_by, annotated_at = others
    return ObjectAnnotation(
        image_id, labels_name, label, read_tuple(plane), (y, x), value, annotated_by, annotated_at
    )


def _decode_patch(
    patch_id: int, image_id: int, plane: str, y: float, x: float, *others: Any
) -> PatchAnnotation:
    return PatchAnnotation(patch_id, image_id, read_tuple(plane), (y, x), *others)
