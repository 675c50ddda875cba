"""Paint strokes of classes on the pixels of an image with napari's own brushes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from napari.layers import Image, Labels
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QApplication

from napari_convnet.widgets.annotation_tools import AnnotationTool
from napari_convnet.widgets.canvas_frame import LayerFrame
from napari_convnet.widgets.history import Change
from napari_convnet.widgets.layers import class_layer_data, image_data, show_class_colours
from napari_convnet.widgets.messages import guarded
from napari_convnet.widgets.open_image import OpenImage
from napari_convnet.widgets.painted_region import Region, Stroke, find_stroke, region_around
from napari_convnet.widgets.placement import placement_of
from napari_convnet.widgets.session import Session
from napari_convnet.widgets.source import current_plane, find_by_id, looked_at

#: A stroke is in the project file this long after it ended.
_SAVE_MILLISECONDS = 300
#: A stroke that goes on is written this often as far as it has got.
_UNFINISHED_MILLISECONDS = 1000
#: The painted region of a large image follows the view once the view has rested this long.
_FOLLOW_MILLISECONDS = 150

#: Painted class values by plane.
_Planes = dict[tuple[int, ...], np.ndarray]


class PaintTool(AnnotationTool):
    """Painted classes in a layer of our own, saved to the project after every stroke.

    Of an image larger than `painted_region.LARGEST_SIDE` the layer shows the part around the
    middle of the view, in a frame; the project holds all of it.
    """

    kind = "painting"
    title = "Paint strokes"

    def __init__(self, session: Session, image: OpenImage) -> None:
        super().__init__(session, image)
        self.region = Region((0, 0), (0, 0))
        self._seen = np.zeros(0, np.uint8)  # the layer's values as of the last recorded stroke
        self._frame: LayerFrame | None = None
        self._to_save: list[Stroke] = []
        self._is_save_due = False
        self._mode_before = "paint"
        self._follow_timer = QTimer(self.session)
        self._follow_timer.setSingleShot(True)
        self._follow_timer.setInterval(_FOLLOW_MILLISECONDS)
        self._follow_timer.timeout.connect(self._follow_view)
        session.viewer.scene.camera.events.connect(self._camera_moved)

    @property
    def source_id(self) -> str:
        """A painting belongs to the image, not to a label layer."""
        return self.image.source.image_ids[0]

    @property
    def _image_layer(self) -> Image | None:
        return find_by_id(self.session.viewer, self.source_id)

    @property
    def _image_shape(self) -> tuple[int, ...]:
        layer = self._image_layer
        return tuple(image_data(layer).array.shape[: layer.ndim])

    @property
    def is_partial(self) -> bool:
        """Whether the image is larger than what is painted on at once."""
        return self.region.shape != self._image_shape[-2:]

    def make_layer(self) -> Labels:
        """Add the layer with what the project holds of this image."""
        image = self._image_layer
        self.region = region_around(self._view_centre(), self._image_shape[-2:])
        shape = (*self._image_shape[:-2], *self.region.shape)
        array, self._seen = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
        self._take(array, self.reading()())
        placement = placement_of(image).moved((0,) * (image.ndim - 2) + self.region.origin)
        data = class_layer_data(
            array, self.session.classes, placement, name=f"{image.name} painted", kind=self.kind,
            source=self.source_id,
        )  # fmt: skip
        layer = self.add_layer(data)
        layer.brush_size = 5
        layer.events.paint.connect(self._stroke_ended)
        layer.events.labels_update.connect(self._save_soon)
        if self.is_partial:
            self._frame = LayerFrame(self.session, layer)  # goes with its layer
        return layer

    def reading(self) -> Callable[[], _Planes]:
        """Return a function that reads what the project holds of the region."""
        project, image_id, region = self.session.ensure_project(), self.image.image_id, self.region
        return lambda: {
            plane: project.read_painting(image_id, plane, region.shape, region.origin)
            for plane in project.painted_planes(image_id)
        }

    def show_found(self, found: _Planes) -> bool:
        """Show other strokes in the layer."""
        self._take(self._layer.data, found)
        self._layer.refresh()
        return True

    def _take(self, array: np.ndarray, planes: _Planes) -> None:
        """Put what was read into the layer's array, and remember it as seen."""
        array.fill(0)
        self._seen.fill(0)
        for plane, values in planes.items():
            array[plane] = self._seen[plane] = values

    def pause(self, is_paused: bool) -> None:
        """Take the brush away for a while."""
        if self.is_shown:
            self._mode_before, mode = self._layer.mode, self._mode_before
            self._layer.editable = not is_paused and not self.session.ensure_project().read_only
            if not is_paused and self._layer.editable:
                self._layer.mode = mode

    def activate(self) -> None:
        """Take the brush, unless nothing could be saved."""
        self.layer.editable = not self.session.ensure_project().read_only
        self.layer.mode = "paint" if self.layer.editable else "pan_zoom"

    def show_classes(self) -> None:
        """Colour by the classes of now, and paint with the current one."""
        show_class_colours(self.layer, self.session.classes)
        self.layer.selected_label = self.session.current_class

    def discard_layer(self) -> None:
        """Remove the layer; the project keeps the strokes, and they can still be undone."""
        super().discard_layer()
        self._to_save.clear()

    # Strokes ----------------------------------------------------------------------------------

    def _stroke_ended(self, _event: object = None) -> None:
        if self._layer is not None:
            guarded(self._record_stroke)

    def _record_stroke(self) -> None:
        """Find what has changed since the last stroke, and remember it for undo and for saving."""
        stroke = self._find_stroke()
        if stroke is None:
            return
        self._paste(self._seen, stroke, is_after=True)
        self._to_save.append(stroke)
        self.session.history.note(
            Change(lambda: self._show(stroke, True), lambda: self._show(stroke, False), "a stroke")
        )
        self._save_soon()

    def _find_stroke(self) -> Stroke | None:
        """Return what has changed in the plane in view since the last recorded stroke."""
        plane = current_plane(self.session.viewer, self._layer)
        now = np.asarray(self._layer.data)[plane]
        return find_stroke(self._seen[plane], now, plane, self.region.origin)

    def _show(self, stroke: Stroke, is_after: bool) -> None:
        """Bring the pixels of a stroke to how they were after or before it, here and in the project."""
        self.save()
        self._write(stroke, is_after)
        if self._layer is not None:
            self._paste(self._seen, stroke, is_after)
            self._paste(self._layer.data, stroke, is_after)
            self._layer.refresh()
        self.session.annotations_changed.emit()

    def _paste(self, array: np.ndarray, stroke: Stroke, is_after: bool) -> None:
        here, there = self.region.window(stroke.origin, stroke.shape)
        array[(*stroke.plane, *here)] = stroke.block(is_after)[there]

    def _save_soon(self, _event: object = None, milliseconds: int = _SAVE_MILLISECONDS) -> None:
        # Not put off by further strokes, so that nothing waits longer than this.
        if not self._is_save_due:
            self._is_save_due = True
            QTimer.singleShot(milliseconds, self._save_when_due)

    def _save_when_due(self) -> None:
        self._is_save_due = False
        if QApplication.mouseButtons() == Qt.MouseButton.NoButton:
            guarded(self.save)
        else:
            guarded(self._save_while_painting)
            self._save_soon(milliseconds=_UNFINISHED_MILLISECONDS)

    def save(self) -> None:
        """Write what changed to the project.

        Raises
        ------
        UserError
            CN-301 and others; the strokes stay in the layer.
        """
        if self._can_write:
            self._record_stroke()
            # Also when a person has just deleted the layer: what was painted counts.
            self._write_strokes()

    def _save_while_painting(self) -> None:
        """Write the strokes that have ended, and the one that goes on, which undo will still take back as one."""
        if self._can_write:
            self._write_strokes()
            unfinished = self._find_stroke()
            if unfinished is not None:
                self._write(unfinished)

    @property
    def _can_write(self) -> bool:
        return self.session.project is not None and self._layer is not None

    def _write_strokes(self) -> None:
        is_changed = bool(self._to_save)
        while self._to_save:
            self._write(self._to_save[0])
            self._to_save.pop(0)
        if is_changed:
            self.session.annotations_changed.emit()

    def _write(self, stroke: Stroke, is_after: bool = True) -> None:
        self.session.ensure_project().write_painting(
            self.image.image_id, stroke.plane, stroke.block(is_after), origin=stroke.origin
        )

    # The region of a large image -----------------------------------------------------------------

    def _view_centre(self) -> tuple[float, float]:
        return looked_at(self.session.viewer, self._image_layer)

    def _camera_moved(self, _event: object = None) -> None:
        if self._layer is not None and self._image_layer is not None and self.is_partial:
            self._follow_timer.start()

    def _follow_view(self) -> None:
        if self._layer is None or self._image_layer is None or not self.is_partial:
            return
        is_busy = bool(self.session.history.busy_with)
        if is_busy or QApplication.mouseButtons() != Qt.MouseButton.NoButton:
            self._follow_timer.start()
            return
        if self.region.is_left_by(self._view_centre(), self._image_shape[-2:]):
            guarded(self._move_region)

    def _move_region(self) -> None:
        self.save()
        self.region = region_around(self._view_centre(), self._image_shape[-2:])
        layer, image = self._layer, self._image_layer
        self._take(layer.data, self.reading()())
        origin = (0,) * (image.ndim - 2) + self.region.origin
        layer.translate = placement_of(image).moved(origin).translate
        layer.refresh()
