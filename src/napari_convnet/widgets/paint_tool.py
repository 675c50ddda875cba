"""Paint strokes of classes on the pixels of an image with napari's own brushes."""

from __future__ import annotations

import numpy as np
from napari.layers import Labels
from qtpy.QtCore import QTimer

from napari_convnet.widgets.annotation_tools import AnnotationTool
from napari_convnet.widgets.layers import (
    class_layer_data,
    image_data,
    show_class_colours,
)
from napari_convnet.widgets.messages import guarded
from napari_convnet.widgets.open_image import OpenImage
from napari_convnet.widgets.placement import placement_of
from napari_convnet.widgets.session import Session
from napari_convnet.widgets.source import current_plane, find_by_id

#: A stroke is in the project file this long after it ended.
_SAVE_MILLISECONDS = 300


class PaintTool(AnnotationTool):
    """Painted classes in a layer of our own, saved to the project after every stroke."""

    kind = "painting"
    title = "Paint strokes"

    def __init__(self, session: Session, image: OpenImage) -> None:
        super().__init__(session, image)
        self._planes_to_save: set[tuple[int, ...]] = set()
        self._is_save_due = False

    @property
    def source_id(self) -> str:
        """A painting belongs to the image, not to a label layer."""
        return self.image.source.image_ids[0]

    def make_layer(self) -> Labels:
        """Add the layer with what the project holds of this image."""
        image = find_by_id(self.session.viewer, self.image.source.image_ids[0])
        array = np.zeros(image_data(image).array.shape[: image.ndim], np.uint8)
        project = self.session.ensure_project()
        for plane in project.painted_planes(self.image.image_id):
            array[plane] = project.read_painting(self.image.image_id, plane, array.shape[-2:])
        data = class_layer_data(
            array, self.session.classes, placement_of(image), name=f"{image.name} painted", kind=self.kind,
            source=self.source_id,
        )  # fmt: skip
        layer = self.add_layer(data)
        layer.brush_size = 5
        layer.events.paint.connect(self._painted)
        layer.events.labels_update.connect(self._painted)
        return layer

    def activate(self) -> None:
        """Take the brush, unless nothing could be saved."""
        self.layer.editable = not self.session.ensure_project().read_only
        self.layer.mode = "paint" if self.layer.editable else "pan_zoom"

    def show_classes(self) -> None:
        """Colour by the classes of now, and paint with the current one."""
        show_class_colours(self.layer, self.session.classes)
        self.layer.selected_label = self.session.current_class

    def undo(self) -> None:
        """Take back the last stroke."""
        self.layer.undo()
        self._painted()

    def redo(self) -> None:
        """Paint the last undone stroke again."""
        self.layer.redo()
        self._painted()

    def _painted(self, _event: object = None) -> None:
        if self._layer is None:
            return
        self._planes_to_save.add(current_plane(self.session.viewer, self._layer))
        # Not put off by further strokes, so that nothing waits longer than this.
        if not self._is_save_due:
            self._is_save_due = True
            QTimer.singleShot(_SAVE_MILLISECONDS, self._save_when_due)

    def _save_when_due(self) -> None:
        self._is_save_due = False
        guarded(self.save)

    def save(self) -> None:
        """Write what changed to the project.

        Raises
        ------
        UserError
            CN-301 and others; the strokes stay in the layer.
        """
        if self.session.project is None or self._layer is None or not self._planes_to_save:
            return
        # Also when a person has just deleted the layer: what was painted counts.
        array = np.asarray(self._layer.data)
        for plane in tuple(self._planes_to_save):
            self.session.project.write_painting(self.image.image_id, plane, array[plane])
            self._planes_to_save.discard(plane)
        self.session.annotations_changed.emit()
