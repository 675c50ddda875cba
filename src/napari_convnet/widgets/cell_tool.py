"""Click cells of a label layer to give them classes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from napari.layers import Labels
from napari.utils.notifications import show_warning

from napari_convnet.widgets.annotation_tools import AnnotationTool
from napari_convnet.widgets.history import Change
from napari_convnet.widgets.layers import (
    class_layer_data,
    image_data,
    paint_label_voxels,
    show_class_colours,
)
from napari_convnet.widgets.placement import placement_of, voxel_at
from napari_convnet.widgets.pointer import Drag, Modifiers, Position, RectangleDrag, on_pointer
from napari_convnet.widgets.source import current_plane, find_by_id


class CellTool(AnnotationTool):
    """Classes of clicked cells, shown as a class map over the label layer."""

    kind = "annotation-objects"
    title = "Click cells"

    @property
    def labels(self) -> Labels:
        """The label layer whose cells are clicked."""
        return find_by_id(self.session.viewer, self.image.source.labels_id)

    def make_layer(self) -> Labels:
        """Add a class map with the project's annotations of this label layer."""
        class_map, n_missing = self.reading()()
        if n_missing:
            show_warning(
                f"{n_missing:,} annotated cells are not in layer '{self.labels.name}' as it is now. "
                "They stay in the project, but are neither shown nor learned."
            )
        data = class_layer_data(
            class_map, self.session.classes, placement_of(self.labels), name=f"{self.labels.name} annotated",
            kind=self.kind, source=self.source_id,
        )  # fmt: skip
        layer = self.add_layer(data)
        layer.mouse_drag_callbacks.append(on_pointer(self.session, self._clicked, self._begin_drag))
        return layer

    def reading(self) -> Callable[[], tuple[np.ndarray, int]] | None:
        """Return a function that makes the class map and counts annotated cells that are not there."""
        if self.labels is None:
            return None
        image, project = self.image, self.session.ensure_project()
        array = np.asarray(image_data(self.labels).array)

        def read() -> tuple[np.ndarray, int]:
            annotations = project.object_annotations(image.image_id, image.labels_name)
            known = {each.label: each.value for each in annotations if image.has_cell(each)}
            return image.objects.class_map(known, array), len(annotations) - len(known)

        return read

    def show_found(self, found: tuple[np.ndarray, int]) -> bool:
        """Show another class map in the layer."""
        class_map, _ = found
        if class_map.shape != self._layer.data.shape:
            return False
        self._layer.data = class_map
        return True

    def activate(self) -> None:
        """Left-drag pans, left-click annotates; cells become outlines, so that class colours can be seen."""
        self.layer.mode = "pan_zoom"
        if self.labels.contour == 0 and not self.labels.locked:
            self.labels.contour = 1

    def show_classes(self) -> None:
        """Colour the class map by the classes of now."""
        show_class_colours(self.layer, self.session.classes)

    def _clicked(self, position: Position, modifiers: Modifiers) -> None:
        self.annotate_at(position, 0 if "Alt" in modifiers else self.session.current_class)

    def _begin_drag(self, position: Position, modifiers: Modifiers) -> Drag | None:
        if "Shift" in modifiers and self.may_annotate():
            return _Sweep(self, position)
        if "Control" in modifiers and self.may_annotate():
            return RectangleDrag(position, self.annotate_rectangle)
        return None

    def clear_under_mouse(self) -> None:
        """Take the class of the cell under the mouse away."""
        self.annotate_at(self.session.viewer.cursor.position, 0)

    def annotate_at(self, position: Position, value: int) -> None:
        """Give the cell at a position of the world a class; 0 takes its class away.

        Raises
        ------
        UserError
            CN-403 when the layer is locked, CN-3xx when it could not be saved; nothing is changed then.
        """
        if not self.may_annotate():
            return
        label, before = self.cell_at(position)
        if label and before != value:
            self.session.history.do(self.change({label: before}, value, "class of a cell"))

    def annotate_rectangle(self, corner: Position, other: Position) -> None:
        """Give all unannotated cells whose centres lie between two world positions the current class."""
        cells = self.image.objects
        centres = (cells.starts + cells.stops - 1) / 2
        corners = [self.labels.world_to_data(p)[-self.labels.ndim :] for p in (corner, other)]
        low, high = np.min(corners, axis=0)[-2:], np.max(corners, axis=0)[-2:]
        inside = ((centres[:, -2:] >= low) & (centres[:, -2:] <= high)).all(axis=1)
        plane = current_plane(self.session.viewer, self.labels)
        shown = (cells.starts[:, :-2] <= plane) & (cells.stops[:, :-2] > plane)
        chosen = cells.labels[inside & shown.all(axis=1)]
        done = self.annotated_labels()
        new = {int(label): 0 for label in chosen if int(label) not in done}
        if new:
            value = self.session.current_class
            self.session.history.do(self.change(new, value, f"class of {len(new):,} cells"))

    def annotated_labels(self) -> set[int]:
        """Return the labels that have a class."""
        project = self.session.ensure_project()
        found = project.object_annotations(self.image.image_id, self.image.labels_name)
        return {annotation.label for annotation in found}

    def cell_at(self, position: Position) -> tuple[int, int]:
        """Return the label at a position of the world, 0 for none, and its class value, 0 for none."""
        voxel = voxel_at(self.labels, position)
        label = 0 if voxel is None else int(image_data(self.labels).array[voxel])
        if label == 0 or label not in self.image.objects:
            return 0, 0
        return label, int(self.layer.data[voxel])

    def change(self, before: dict[int, int], value: int, text: str) -> Change:
        """Return the step that gives cells (label: class value now) one class."""
        labels = list(before)
        return Change(
            lambda: self.set_classes(dict.fromkeys(labels, value)),
            lambda: self.set_classes(before),
            text,
        )

    def set_classes(self, values: dict[int, int]) -> None:
        """Write class values by label, 0 for none, and show them."""
        cells, objects = image_data(self.labels).array, self.image.objects
        # First the file, then the picture: what is shown is saved.
        self.session.project.set_object_classes(
            self.image.image_id, self.image.labels_name,
            [
                (label, self._plane_of(label, cells), objects.centre(label)[-2:], value)
                for label, value in values.items()
            ],
        )  # fmt: skip
        for value in set(values.values()):
            chosen = [label for label in values if values[label] == value]
            paint_label_voxels(self.layer, objects, chosen, cells, value)
        self.session.annotations_changed.emit()

    def _plane_of(self, label: int, cells: np.ndarray) -> tuple[int, ...]:
        """Return the plane that shows most of a cell."""
        if cells.ndim == 2:
            return ()
        leading = np.stack(self.image.objects.pixels(label, cells)[:-2])
        planes, counts = np.unique(leading, axis=1, return_counts=True)
        return tuple(int(i) for i in planes[:, counts.argmax()])


class _Sweep:
    """A drag that gives every cell it passes the current class; one step of the history."""

    def __init__(self, tool: CellTool, position: Position) -> None:
        self._tool = tool
        self._value = tool.session.current_class
        self._before: dict[int, int] = {}
        self._start: Position | None = position

    def move(self, position: Position) -> None:
        """Annotate the cell under the mouse, and first the one where the drag began."""
        if self._start is not None:
            start, self._start = self._start, None
            self.move(start)
        label, before = self._tool.cell_at(position)
        if label and before != self._value and label not in self._before:
            self._tool.set_classes({label: self._value})
            self._before[label] = before

    def end(self, position: Position) -> None:
        """Make what was passed one step."""
        self.move(position)
        if self._before:
            text = f"class of {len(self._before):,} cells"
            self._tool.session.history.note(self._tool.change(self._before, self._value, text))
