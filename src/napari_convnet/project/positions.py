"""Annotations that are points, to a fraction of a pixel: the task "locate"."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from napari_convnet.errors import UserError
from napari_convnet.project.annotations import ANNOTATORS
from napari_convnet.project.faults import short_name
from napari_convnet.project.records import (
    MarkedPlane,
    PositionAnnotation,
    centre_floats,
    now,
    plane_text,
    read_tuple,
)
from napari_convnet.project.store import Store, next_id, put
from napari_convnet.project.tasks import check_value

#: One point for `Positions.add_positions`: plane, centre (y, x), class value or 0.
Point = tuple[Sequence[int], Sequence[float], int]


class Positions:
    """The part of `Project` that knows positions."""

    _store: Store

    def add_position(
        self,
        image_id: int,
        plane: Sequence[int],
        centre: Sequence[float],
        value: int = 0,
        annotated_by: str = "person",
        annotated_at: str = "",
    ) -> int:
        """Add a point and return its id; see `add_positions`."""
        return self.add_positions(image_id, [(plane, centre, value)], annotated_by, annotated_at)[0]

    def add_positions(
        self,
        image_id: int,
        points: Iterable[Point],
        annotated_by: str = "person",
        annotated_at: str = "",
    ) -> tuple[int, ...]:
        """Add points (plane, centre, value) in one transaction and return their ids.

        Parameters
        ----------
        points
            ``plane``: indices along the axes before Y and X. ``centre``: (y, x) in pixels, the
            middle of the first pixel being (0, 0). ``value``: class of the task "locate", or 0.
        annotated_at
            ISO 8601 time, UTC; by default now.

        Raises
        ------
        UserError
            CN-331 if there is no such image, CN-332 for a point that is not finite, CN-333 if there
            is no such class.
        """
        added_at, ids = annotated_at or now(), []
        with self._store.transaction() as connection:
            for position_id, (plane, centre, value) in enumerate(
                points, start=next_id(connection, "position")
            ):
                row = (int(image_id), plane_text(plane), *centre_floats(centre), int(value))
                _put(connection, (position_id, *row, annotated_by, added_at))
                ids.append(position_id)
        return tuple(ids)

    def set_position(
        self,
        position_id: int,
        *,
        plane: Sequence[int] | None = None,
        centre: Sequence[float] | None = None,
        value: int | None = None,
    ) -> None:
        """Move a point or give it another class; whoever does so is a person.

        Raises
        ------
        UserError
            CN-331 if there is no such point.
        """
        found = self._store.records("position", _decode, "WHERE id = ?", (position_id,))
        if not found:
            raise UserError(
                "CN-331", f"Position {position_id} is not in '{short_name(self._store.path)}'."
            )
        old = found[0]
        row = (
            plane_text(old.plane if plane is None else plane),
            *centre_floats(old.centre if centre is None else centre),
            old.value if value is None else int(value),
        )
        with self._store.transaction() as connection:
            _put(connection, (position_id, old.image_id, *row, "person", now()))

    def remove_positions(self, position_ids: Iterable[int]) -> None:
        """Remove points in one transaction; one that is not there is no error."""
        with self._store.transaction() as connection:
            connection.executemany(
                "DELETE FROM position WHERE id = ?", [(int(i),) for i in position_ids]
            )

    def restore_positions(self, positions: Iterable[PositionAnnotation]) -> None:
        """Write points back as they were, ids and times included, in one transaction."""
        with self._store.transaction() as connection:
            for point in positions:
                row = (point.image_id, plane_text(point.plane), *centre_floats(point.centre))
                others = (point.value, point.annotated_by, point.annotated_at)
                _put(connection, (point.id, *row, *others))

    def positions(self, image_id: int) -> tuple[PositionAnnotation, ...]:
        """Return the points of an image in the order in which they were added."""
        return self._store.records(
            "position", _decode, "WHERE image_id = ? ORDER BY id", (image_id,)
        )

    def marked_planes(self) -> tuple[MarkedPlane, ...]:
        """Return how many points each plane of each image has; planes without points are left out."""
        with self._store.reading() as connection:
            rows = connection.execute(
                "SELECT image_id, plane, count(*), min(value), max(value) FROM position "
                "GROUP BY image_id, plane"
            ).fetchall()
        return tuple(
            MarkedPlane(image_id, read_tuple(plane), n, (low, high))
            for image_id, plane, n, low, high in rows
        )


def _put(connection: Any, row: tuple[Any, ...]) -> None:
    value, annotated_by = row[5], row[6]
    if annotated_by not in ANNOTATORS:
        raise UserError("CN-332", f"Annotated by '{annotated_by}': say person or model.")
    check_value(connection, "locate", value)
    put(connection, "position", row)


def _decode(
    position_id: int, image_id: int, plane: str, y: float, x: float, *others: Any
) -> PositionAnnotation:
    return PositionAnnotation(position_id, image_id, read_tuple(plane), (y, x), *others)
