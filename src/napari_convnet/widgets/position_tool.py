"""Mark positions with clicks, to a fraction of a pixel: what the task "locate" learns from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from napari.layers import Points
from napari.utils.colormaps.standardize_color import transform_color
from qtpy.QtCore import QTimer

from napari_convnet.errors import UserError
from napari_convnet.project import PositionAnnotation
from napari_convnet.project.records import now
from napari_convnet.snapping import snap_to_spot
from napari_convnet.widgets.annotation_tools import AnnotationTool
from napari_convnet.widgets.history import Change
from napari_convnet.widgets.layers import MARK, image_data
from napari_convnet.widgets.open_image import OpenImage
from napari_convnet.widgets.placement import data_position, placement_of
from napari_convnet.widgets.pointer import Drag, Modifiers, MoveDrag, Position, on_pointer
from napari_convnet.widgets.position_symbols import SIZE, limit_sizes, row_under
from napari_convnet.widgets.session import Session
from napari_convnet.widgets.source import current_plane, find_by_id

_TASK = "locate"
_NO_CLASS = "#a0a0a0"
_TELL_MILLISECONDS = 300  # after a change, the rest of napari hears of it
_Maybe = PositionAnnotation | None
#: Modes of napari in which a click is ours.
_MODES = ("pan_zoom", "transform")


class PositionTool(AnnotationTool):
    """Positions as rings; the project is the record, the layer its picture, row by row."""

    kind = "annotation-positions"
    title = "Mark positions"

    def __init__(self, session: Session, image: OpenImage) -> None:
        super().__init__(session, image)
        self.snap_radius = 0
        self._positions: list[PositionAnnotation] = []
        self._shown_classes: tuple = ()
        self._is_untold = False

    @property
    def source_id(self) -> str:
        """Positions belong to the image, not to a label layer."""
        return self.image.source.image_ids[0]

    def make_layer(self) -> Points:
        """Add the layer with the project's positions of this image."""
        image = find_by_id(self.session.viewer, self.source_id)
        self._positions = list(self.session.ensure_project().positions(self.image.image_id))
        layer = self.add_layer((np.empty((0, image.ndim)), {
            "name": f"{image.name} positions", "symbol": "disc", "size": SIZE, "face_color": "transparent",
            "border_width": 0.2, "metadata": {MARK: {"kind": self.kind, "source": self.source_id}},
            **placement_of(image).as_arguments(),
        }, "points"))  # fmt: skip
        layer.mouse_drag_callbacks.append(on_pointer(self.session, self._clicked, self._begin_drag))
        layer.events.set_data.connect(lambda _event: limit_sizes(layer, self.session.viewer))
        layer.events.mode.connect(lambda _event: QTimer.singleShot(0, self._keep_mode))
        self._show(layer)
        return layer

    def reading(self) -> Callable[[], tuple[PositionAnnotation, ...]]:
        """Return a function that reads the positions."""
        project, image_id = self.session.ensure_project(), self.image.image_id
        return lambda: project.positions(image_id)

    def show_found(self, found: tuple[PositionAnnotation, ...]) -> bool:
        """Show other positions in the layer."""
        self._positions = list(found)
        self._show(self._layer)
        return True

    def activate(self) -> None:
        """Left-drag pans, left-click marks; a project of before this task gets its first class."""
        project = self.session.ensure_project()
        if not project.read_only and not project.classes(_TASK):
            project.set_classes(_TASK, self.session.classes_of(_TASK))
        self.layer.mode = "pan_zoom"

    def show_classes(self) -> None:
        """Colour the positions by the classes of now."""
        if self._shown_classes != self.session.classes_of(_TASK):
            self._show(self.layer)

    def positions(self) -> tuple[PositionAnnotation, ...]:
        """Return the positions of this image, in the order of the layer's rows."""
        return tuple(self._positions)

    def _keep_mode(self) -> None:
        """Leave napari's own adding and selecting, of which the project would not hear."""
        if self._layer is not None and self._layer.mode not in _MODES:
            self._layer.mode = "pan_zoom"
            self.session.viewer.status = "Click to mark, drag to move, Alt+click to remove."

    # The mouse --------------------------------------------------------------------------------

    def _place(self, position: Position) -> tuple[float, float]:
        return data_position(self.layer, position)

    @property
    def _is_plane_shown(self) -> bool:
        dims = self.session.viewer.dims
        return sorted(dims.displayed) == [dims.ndim - 2, dims.ndim - 1]

    def _plane(self) -> tuple[int, ...]:
        if not self._is_plane_shown:
            raise UserError(
                "CN-407",
                "Positions are marked in a plane of rows and columns, which the viewer does not show now. Nothing "
                "was changed. Leave the 3-D view (Ctrl+Y) or roll the axes back (Ctrl+E), and try again.",
            )
        viewer = self.session.viewer
        return current_plane(viewer, find_by_id(viewer, self.source_id))

    def _clicked(self, position: Position, modifiers: Modifiers) -> None:
        place, plane = self._place(position), self._plane()
        row = self._row_at(place, plane)
        if "Alt" in modifiers:
            self.remove_at(place, plane)
        elif row is None:
            self.mark_at(place, plane)
        elif self._positions[row].value == self.session.current_class:
            self.session.viewer.status = "Marked already. Zoom in to mark another one beside it."
        elif self.may_annotate():
            old = self._positions[row]
            self._do(old, replace(old, value=self.session.current_class), "class of a position")

    def _begin_drag(self, position: Position, modifiers: Modifiers) -> Drag | None:
        if modifiers or not self._is_plane_shown:
            return None
        row = self._row_at(self._place(position), self._plane())
        if row is None or not self.may_annotate():
            return None
        marked = self._positions[row]
        return MoveDrag(
            lambda where: self.preview(marked, self._place(where)),
            lambda where: self.move_to(marked, self._place(where)),
        )

    def clear_under_mouse(self) -> None:
        """Remove the position under the mouse."""
        self.remove_at(self._place(self.session.viewer.cursor.position), self._plane())

    def _row_at(self, place: tuple[float, float], plane: tuple[int, ...]) -> int | None:
        """Return the row of the nearest position whose symbol holds a place on the screen."""
        return row_under(self.layer, plane, place, self.session.viewer.scene.camera.zoom)

    # What is marked ---------------------------------------------------------------------------

    def mark_at(self, place: tuple[float, float], plane: tuple[int, ...] = ()) -> None:
        """Mark (row, column), or the spot near it; outside the image nothing happens."""
        if self.may_annotate() and self._is_inside(place, plane):
            if self.snap_radius:
                pixels = self._array[plane] if plane else self._array
                place = snap_to_spot(pixels, place, self.snap_radius)
            value, image_id = self.session.current_class, self.image.image_id
            new = PositionAnnotation(0, image_id, plane, place, value, "person", "")
            self._do(None, new, "a position")

    def remove_at(self, place: tuple[float, float], plane: tuple[int, ...] = ()) -> None:
        """Remove the position whose symbol holds (row, column)."""
        row = self._row_at(place, plane)
        if row is not None and self.may_annotate():
            self._do(self._positions[row], None, "removal of a position")

    def move_to(self, old: PositionAnnotation, place: tuple[float, float]) -> None:
        """Put a position elsewhere; outside the image it goes back to where it was."""
        self.preview(old, old.centre)
        if self._is_inside(place, old.plane):
            self._do(old, replace(old, centre=place), "move of a position")

    def preview(self, position: PositionAnnotation, place: tuple[float, float]) -> None:
        """Show a position elsewhere while it is dragged; nothing is saved."""
        self.layer.data[self._positions.index(position), -2:] = place
        self.layer.events.set_data()

    @property
    def _array(self) -> Any:
        return image_data(find_by_id(self.session.viewer, self.source_id)).array

    def _is_inside(self, place: tuple[float, float], plane: tuple[int, ...]) -> bool:
        sizes = self._array.shape[len(plane) : len(plane) + 2]
        return all(-0.5 <= c < n - 0.5 for c, n in zip(place, sizes, strict=True))

    def _do(self, old: _Maybe, new: _Maybe, text: str) -> None:
        """Put one position in place of another; None is no position. Both keep the row that they get."""
        if new is not None:
            new = replace(new, annotated_by="person", annotated_at=now())
        both = [old, new]

        def exchange(gone: int, come: int) -> None:
            both[come] = self._exchange(both[gone], both[come])

        self.session.history.do(Change(lambda: exchange(0, 1), lambda: exchange(1, 0), text))

    def _exchange(self, old: _Maybe, new: _Maybe) -> _Maybe:
        """Change the project, then the picture; returns the new position with its number in the project."""
        project = self.session.project
        if new is None:
            project.remove_positions([old.id])
        elif new.id:
            project.restore_positions([new])
        else:
            point = (new.plane, new.centre, new.value, "person", new.annotated_at)
            new = replace(new, id=project.add_position(self.image.image_id, *point))
        # Without its layer, the positions are read anew from the project when it comes again.
        if self._layer is not None and self._layer in self.session.viewer.layers:
            self._show_exchanged(old, new)
        self.session.annotations_changed.emit()
        return new

    # The picture ------------------------------------------------------------------------------

    def _show_exchanged(self, old: _Maybe, new: _Maybe) -> None:
        layer, number = self._layer, (old or new).id
        row = next((k for k, each in enumerate(self._positions) if each.id == number), None)
        if row is not None and new is not None:  # only this row differs
            self._positions[row] = new
            layer.data[row, -2:] = new.centre
            layer.border_color[row] = self._colours()[new.value]
            layer.features.loc[row, "class"] = self._class_names()[new.value]
            layer.events.set_data()
            self._tell_soon()
            return
        if new is None:
            self._remove(layer, row)
            return
        self._positions.append(new)
        if not self._append(layer, new):
            self._show(layer)

    def _remove(self, layer: Points, row: int) -> None:
        """Show one row less."""
        del self._positions[row]
        with layer.events.blocker_all(), layer.block_update_properties():
            layer.selected_data = set()
            layer.remove([row])
        layer.events.set_data()
        self._tell_soon()

    def _append(self, layer: Points, new: PositionAnnotation) -> bool:
        """Show one more row, unless the table is empty and so has no types yet."""
        if len(layer.data) == 0 or len(layer.data) != len(self._positions) - 1:
            return False
        with layer.events.blocker_all(), layer.block_update_properties():
            layer.feature_defaults = {"position": new.id, "class": self._class_names()[new.value]}
            layer.data = np.append(layer.data, [(*new.plane, *new.centre)], axis=0)
            layer.border_color[-1] = self._colours()[new.value]
        layer.events.set_data()
        self._tell_soon()
        return True

    def _class_names(self) -> list[str]:
        return ["", *(info.name for info in self.session.classes_of(_TASK))]

    def _colours(self) -> np.ndarray:
        """Return one colour (red, green, blue, alpha) by class value."""
        colours = [info.colour for info in self.session.classes_of(_TASK)]
        return transform_color([_NO_CLASS, *colours])

    def _show(self, layer: Points) -> None:
        """Show all positions, drawn once; setting what napari offers for it would draw five times."""
        positions, names = self._positions, self._class_names()
        self._shown_classes = self.session.classes_of(_TASK)
        places = np.array([(*each.plane, *each.centre) for each in positions], float)
        values = np.array([each.value for each in positions], int)
        columns = {"position": [each.id for each in positions], "class": [names[v] for v in values]}
        with layer.events.blocker_all():
            layer.data = places.reshape(-1, layer.ndim)
            layer.features = pd.DataFrame(columns)
            layer.border_color[:] = self._colours()[values]
            if layer.selected_data:
                layer.selected_data = set()
        layer.events.set_data()
        self._tell_soon()

    def _tell_soon(self) -> None:
        if not self._is_untold:
            self._is_untold = True
            QTimer.singleShot(_TELL_MILLISECONDS, self._tell)

    def _tell(self) -> None:
        """Tell napari and other plugins of what has changed."""
        layer, self._is_untold = self._layer, False
        if layer is not None and layer in self.session.viewer.layers:
            rows = {"data_indices": tuple(range(len(layer.data))), "vertex_indices": ((),)}
            layer.events.data(value=layer.data, action="changed", **rows)
            layer.events.features()
            layer.events.thumbnail()
