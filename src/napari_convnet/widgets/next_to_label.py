"""The key that jumps to what is to be annotated next: a cell without a class, a place with nothing."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from napari.layers import Layer, Points
from qtpy.QtCore import QObject
from qtpy.QtWidgets import QWidget

from napari_convnet.errors import UserError
from napari_convnet.next_to_label import choose_next, grid_index, grid_places, next_plane
from napari_convnet.widgets.annotation_tools import AnnotationTool
from napari_convnet.widgets.cell_tool import CellTool
from napari_convnet.widgets.layers import MARK, find_layer, image_data
from napari_convnet.widgets.looking import look_at
from napari_convnet.widgets.messages import guarded
from napari_convnet.widgets.patch_tool import PatchTool
from napari_convnet.widgets.placement import placement_of
from napari_convnet.widgets.position_tool import PositionTool
from napari_convnet.widgets.session import Session
from napari_convnet.widgets.source import current_plane, find_by_id

_KIND = "next-to-label"
#: A cell fills about this share of the view, a square of the grid nearly all of it.
_CELL_SHARE, _SQUARE_SHARE = 0.12, 0.9
_LEAST_SQUARE, _SQUARES_PER_SIDE, _SQUARES_READ_AT_ONCE = 128, 8, 256
_ORDER = "Drawn by chance, far from what is annotated."


@dataclass(eq=False)
class _Places:
    """Where annotations can be made in an image, and what is known of each place.

    Parameters
    ----------
    layer
        Whose data coordinates the centres are in.
    centres
        ``(N, n)``.
    sizes
        ``(N,)`` pixels to show.
    values
        ``(N,)`` class of each place as far as it is known; 0 = not annotated.
    visited
        ``(N,)`` bool, where the view has been.
    is_annotated, read_values
        Look at one place, or at all of them, in the project or the tool's layer.
    """

    layer: Layer
    centres: np.ndarray
    sizes: np.ndarray
    values: np.ndarray
    visited: np.ndarray
    generator: np.random.Generator
    is_annotated: Callable[[int], bool]
    read_values: Callable[[], np.ndarray]
    last: int | None = None

    def next(self) -> int | None:
        """Return the next place; what was annotated since is noticed when it comes up."""
        if self.last is not None and self.is_annotated(self.last):
            self.values[self.last] = 1
        for is_read_again in (False, True):
            if is_read_again:  # an annotation may have been taken back
                self.values = self.read_values()
            while (found := self._choose()) is not None:
                if not self.is_annotated(found):
                    self.last = found
                    self.visited[found] = True
                    return found
                self.values[found] = 1
        return None

    def _choose(self) -> int | None:
        return choose_next(self.centres, self.values, self.generator, visited=self.visited)


class NextToLabel(QObject):
    """Jumps to what is not annotated yet, with the tool that is chosen.

    Parameters
    ----------
    dock
        Whose end is the end of this, too.
    session
        Its tool, project and viewer.
    say
        Takes a line that explains where the view went.
    """

    def __init__(self, dock: QWidget, session: Session, say: Callable[[str], None]) -> None:
        super().__init__(dock)
        self._session = session
        self._say = say
        self._places: dict[tuple, _Places] = {}
        session.annotations_changed.connect(self._hide_mark)
        session.tool_changed.connect(self._hide_mark)
        session.project_changed.connect(self._forget)

    def _forget(self) -> None:
        self._places.clear()

    def release(self) -> None:
        """Take the mark away; for a dock that is closed."""
        self._forget()
        self._remove_mark()

    def _remove_mark(self) -> None:
        for layer in [each for each in self._session.viewer.layers if _is_mark(each)]:
            self._session.viewer.layers.remove(layer)

    def jump(self) -> None:
        """Show the next place to annotate."""
        guarded(self._jump)

    def _jump(self) -> None:
        tool = self._session.active_tool
        if tool is None:
            raise UserError(
                "CN-406",
                "Choose a tool, such as Click cells or Paint strokes, first; N goes on then.",
            )
        tool.save()
        if isinstance(tool, PositionTool) and tool.layer.ndim > 2:
            self._go_to_plane(tool)
            return
        places = self._places_of(tool)
        index = places.next()
        what = "cell" if isinstance(tool, CellTool) else "place"
        if index is None:
            self._hide_mark()
            n = f"{len(places.values):,}"
            self._say(f"All {n} {what}s here are annotated. Go on with the next image or plane.")
            return
        share = _CELL_SHARE if what == "cell" else _SQUARE_SHARE
        viewer = self._session.viewer
        look_at(viewer, places.layer, places.centres[index], places.sizes[index], share)
        self._show_mark(tool, places, index)
        left = int((places.values == 0).sum())
        self._say(f"One of up to {left:,} {what}s without annotation. {_ORDER} N goes on.")

    def _go_to_plane(self, tool: PositionTool) -> None:
        """Show the next plane of a stack or film without a position."""
        viewer, image = self._session.viewer, find_by_id(self._session.viewer, tool.source_id)
        now, n_leading = current_plane(viewer, image), image.ndim - 2
        annotated = {position.plane for position in tool.positions()}
        counts = image_data(image).array.shape[:n_leading]
        found = next_plane(counts, now, annotated)
        if found is None:
            self._say("All planes have positions. Go on with the next image.")
            return
        here = np.array([*now, *np.zeros(2)], float)
        shift = image.data_to_world([*found, 0, 0]) - np.asarray(image.data_to_world(here))
        for axis in range(n_leading):
            shown = viewer.dims.ndim - image.ndim + axis
            viewer.dims.set_point(shown, viewer.dims.point[shown] + shift[axis])
        left = math.prod(counts) - len(annotated)
        self._say(f"One of {left:,} planes without a position, in order. N goes on.")

    # Places -----------------------------------------------------------------------------------

    def _places_of(self, tool: AnnotationTool) -> _Places:
        image = find_by_id(self._session.viewer, tool.image.source.image_ids[0])
        plane = () if isinstance(tool, CellTool) else current_plane(self._session.viewer, image)
        size = tool.size if isinstance(tool, PatchTool) else 0
        key = (type(tool), tool.image, plane, size)
        places = self._places.get(key)
        if places is None or places.layer not in self._session.viewer.layers:
            is_cells = isinstance(tool, CellTool)
            places = _cell_places(tool) if is_cells else _grid_places(tool, image, plane, size)
            self._places[key] = places
        return places

    def _show_mark(self, tool: AnnotationTool, places: _Places, index: int) -> None:
        layers = self._session.viewer.layers
        is_cell = isinstance(tool, CellTool)
        size = places.sizes[index] * (1.4 if is_cell else 1.0)
        mark = find_layer(self._session.viewer, _KIND, tool.source_id)
        if mark is None:
            self._remove_mark()
            selected = set(layers.selection)
            mark = self._session.viewer.add_points(
                places.centres[index : index + 1], name="next to label", size=size,
                symbol="disc" if is_cell else "square", face_color="transparent",
                border_color="yellow", border_width=0.03 if is_cell else 0.005,
                metadata={MARK: {"kind": _KIND, "source": tool.source_id}},
                **placement_of(places.layer).as_arguments(),
            )  # fmt: skip
            layers.selection = selected
        else:
            mark.data = places.centres[index : index + 1]
            mark.size = size
            mark.symbol = "disc" if is_cell else "square"
            mark.face_color = "transparent"
            mark.visible = True
        mark.selected_data = set()

    def _hide_mark(self) -> None:
        for layer in self._session.viewer.layers:
            if _is_mark(layer) and layer.visible:
                layer.visible = False


def _is_mark(layer: Layer) -> bool:
    return isinstance(layer, Points) and layer.metadata.get(MARK, {}).get("kind") == _KIND


def _cell_places(tool: CellTool) -> _Places:
    """Return the cells of a label layer."""
    objects, image, session = tool.image.objects, tool.image, tool.session
    extents = (objects.stops - objects.starts)[:, -2:]

    def read_values() -> np.ndarray:
        values = np.zeros(len(objects), int)
        for cell in session.ensure_project().object_annotations(image.image_id, image.labels_name):
            if image.has_cell(cell):
                values[np.searchsorted(objects.labels, cell.label)] = cell.value
        return values

    def is_annotated(index: int) -> bool:
        array = image_data(tool.labels).array
        pixels = objects.pixels(int(objects.labels[index]), array)
        return bool(tool.layer.data[tuple(axis[:1] for axis in pixels)].any())

    return _Places(
        tool.labels, (objects.starts + objects.stops - 1) / 2, extents.max(axis=1, initial=1),
        read_values(), np.zeros(len(objects), bool), np.random.default_rng(image.image_id),
        is_annotated, read_values,
    )  # fmt: skip


def _grid_places(tool: AnnotationTool, layer: Layer, plane: tuple[int, ...], size: int) -> _Places:
    """Return the squares of a grid over a plane; a patch, a stroke or a position in one annotates it."""
    shape = image_data(layer).array.shape[layer.ndim - 2 : layer.ndim]
    side = 4 * size if size else max(_LEAST_SQUARE, max(shape) // _SQUARES_PER_SIDE)
    side = min(side, 512) if not size else side
    squares = grid_places(shape, side)
    extents = np.array(shape) / [len(np.unique(squares[:, axis])) for axis in (0, 1)]
    centres = np.hstack([np.tile(plane, (len(squares), 1)), squares]) if plane else squares
    session, image_id = tool.session, tool.image.image_id

    def has_stroke(index: int) -> bool:
        origin = np.ceil(squares[index] - extents / 2).astype(int)
        height, width = np.ceil(squares[index] + extents / 2).astype(int) - origin
        origin = (int(origin[0]), int(origin[1]))
        project = session.ensure_project()
        return project.read_painting(image_id, plane, (int(height), int(width)), origin).any()

    def point_values() -> np.ndarray:
        values = np.zeros(len(squares), int)
        project = session.ensure_project()
        read = project.positions if isinstance(tool, PositionTool) else project.patches
        found = [each for each in read(image_id) if each.plane == plane]
        if found:
            inside = grid_index(shape, side, [each.centre for each in found])
            values[inside] = [max(1, each.value) for each in found]
        return values

    def stroke_values() -> np.ndarray:
        values = np.zeros(len(squares), int)
        if plane in session.ensure_project().painted_planes(image_id):
            # Of a large image, squares are looked at when they come up.
            for index in range(len(squares) if len(squares) <= _SQUARES_READ_AT_ONCE else 0):
                values[index] = has_stroke(index)
        return values

    is_point = isinstance(tool, PatchTool | PositionTool)
    read_values = point_values if is_point else stroke_values
    return _Places(
        layer, centres, np.full(len(squares), extents.min()), read_values(),
        np.zeros(len(squares), bool), np.random.default_rng(image_id),
        (lambda index: bool(point_values()[index])) if is_point else has_stroke, read_values,
    )  # fmt: skip
