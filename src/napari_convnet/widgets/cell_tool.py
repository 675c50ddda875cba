"""Click cells of a label layer to give them classes."""

from __future__ import annotations

import numpy as np
from napari.layers import Labels
from napari.utils.notifications import show_warning

from napari_convnet.widgets.annotation_tools import AnnotationTool, on_click
from napari_convnet.widgets.history import Change
from napari_convnet.widgets.layers import (
    class_layer_data,
    image_data,
    paint_label_voxels,
    show_class_colours,
)
from napari_convnet.widgets.placement import placement_of, voxel_at
from napari_convnet.widgets.source import find_by_id


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
        array = np.asarray(image_data(self.labels).array)
        class_map = np.zeros(array.shape, np.uint8)
        project = self.session.ensure_project()
        annotations = project.object_annotations(self.image.image_id, self.image.labels_name)
        known = [annotation for annotation in annotations if self.image.has_cell(annotation)]
        for annotation in known:
            class_map[self.image.objects.pixels(annotation.label, array)] = annotation.value
        if len(known) < len(annotations):
            show_warning(
                f"{len(annotations) - len(known):,} annotated cells are not in layer "
                f"'{self.labels.name}' as it is now. "
                "They stay in the project, but are neither shown nor learned."
            )
        data = class_layer_data(
            class_map, self.session.classes, placement_of(self.labels), name=f"{self.labels.name} annotated",
            kind=self.kind, source=self.source_id,
        )  # fmt: skip
        layer = self.add_layer(data)
        layer.mouse_drag_callbacks.append(on_click(self._clicked))
        return layer

    def activate(self) -> None:
        """Left-drag pans, left-click annotates; cells become outlines, so that class colours can be seen."""
        self.layer.mode = "pan_zoom"
        if self.labels.contour == 0 and not self.labels.locked:
            self.labels.contour = 1

    def show_classes(self) -> None:
        """Colour the class map by the classes of now."""
        show_class_colours(self.layer, self.session.classes)

    def _clicked(self, position: tuple[float, ...], modifiers: frozenset[str]) -> None:
        self.annotate_at(position, 0 if "Alt" in modifiers else self.session.current_class)

    def annotate_at(self, position: tuple[float, ...], value: int) -> None:
        """Give the cell at a position of the world a class; 0 takes its class away.

        Raises
        ------
        UserError
            CN-403 when the layer is locked, CN-3xx when it could not be saved; nothing is changed then.
        """
        if not self.may_annotate():
            return
        voxel = voxel_at(self.labels, position)
        label = 0 if voxel is None else int(image_data(self.labels).array[voxel])
        if label == 0 or label not in self.image.objects:
            return
        before = int(self.layer.data[voxel])
        if before != value:
            self.session.history.do(
                Change(
                    lambda: self._set(label, value), lambda: self._set(label, before), "class of a cell"
                )
            )

    def _set(self, label: int, value: int) -> None:
        cells = image_data(self.labels).array
        # First the file, then the picture: what is shown is saved.
        self.session.project.set_object_class(
            self.image.image_id, self.image.labels_name, label, self._plane_of(label, cells),
            self.image.objects.centre(label)[-2:], value,
        )  # fmt: skip
        paint_label_voxels(self.layer, self.image.objects, label, cells, value)
        self.session.annotations_changed.emit()

    def _plane_of(self, label: int, cells: np.ndarray) -> tuple[int, ...]:
        """Return the plane that shows most of a cell."""
        if cells.ndim == 2:
            return ()
        leading = np.stack(self.image.objects.pixels(label, cells)[:-2])
        planes, counts = np.unique(leading, axis=1, return_counts=True)
        return tuple(int(i) for i in planes[:, counts.argmax()])
