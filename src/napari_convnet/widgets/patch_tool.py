"""Pick square patches with clicks, where there is no label layer of cells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
from napari.layers import Points
from napari.utils.colormaps.standardize_color import transform_color
from qtpy.QtCore import QTimer

from napari_convnet.classes import ClassInfo
from napari_convnet.project import PatchAnnotation
from napari_convnet.snapping import SnapRule, snap
from napari_convnet.widgets.annotation_tools import AnnotationTool
from napari_convnet.widgets.history import Change
from napari_convnet.widgets.layers import MARK, image_data
from napari_convnet.widgets.open_image import OpenImage
from napari_convnet.widgets.placement import placement_of
from napari_convnet.widgets.pointer import (
    Drag,
    Modifiers,
    MoveDrag,
    Position,
    RectangleDrag,
    on_pointer,
)
from napari_convnet.widgets.session import Session
from napari_convnet.widgets.source import current_plane, find_by_id

_SMALLEST_BOX = 8
#: A patch is dragged by its middle; elsewhere a drag moves the view.
_HANDLE_SHARE = 0.25
#: The rest of napari hears of picked patches this long after the first of them.
_TELL_MILLISECONDS = 300


class PatchTool(AnnotationTool):
    """Patches as square points; the project is the record, the layer its picture."""

    kind = "annotation-patches"
    title = "Pick patches"

    def __init__(self, session: Session, image: OpenImage, size: int = 48) -> None:
        super().__init__(session, image)
        self.size = size
        self.snap_rule: SnapRule = "off"
        self._patches: list[PatchAnnotation] = []
        self._shown_classes: tuple[ClassInfo, ...] = ()
        #: The last ones of ``_patches`` that the layer does not show yet.
        self._pending: list[PatchAnnotation] = []
        self._append_timer = QTimer(self.session)
        self._append_timer.setSingleShot(True)
        self._append_timer.setInterval(0)
        self._append_timer.timeout.connect(self._append_pending)
        self._n_untold = 0
        self._tell_timer = QTimer(self.session)
        self._tell_timer.setSingleShot(True)
        self._tell_timer.setInterval(_TELL_MILLISECONDS)
        self._tell_timer.timeout.connect(self._tell_appended)

    @property
    def source_id(self) -> str:
        """Patches belong to the image, not to a label layer."""
        return self.image.source.image_ids[0]

    def make_layer(self) -> Points:
        """Add the layer with the project's patches of this image."""
        image = find_by_id(self.session.viewer, self.source_id)
        self._patches = list(self.session.ensure_project().patches(self.image.image_id))
        layer = self.add_layer((np.empty((0, image.ndim)), {
            "name": f"{image.name} patches", "symbol": "square", "size": self.size, "face_color": "transparent",
            "border_width": 0.06, "metadata": {MARK: {"kind": self.kind, "source": self.source_id}},
            **placement_of(image).as_arguments(),
        }, "points"))  # fmt: skip
        layer.mouse_drag_callbacks.append(on_pointer(self.session, self._clicked, self._begin_drag))
        self._show(layer)
        return layer

    def reading(self) -> Callable[[], tuple[PatchAnnotation, ...]]:
        """Return a function that reads the patches."""
        project, image_id = self.session.ensure_project(), self.image.image_id
        return lambda: project.patches(image_id)

    def show_found(self, found: tuple[PatchAnnotation, ...]) -> bool:
        """Show other patches in the layer."""
        self._patches = list(found)
        self._show(self._layer)
        return True

    def activate(self) -> None:
        """Left-drag pans, left-click picks."""
        self.layer.mode = "pan_zoom"

    def show_classes(self) -> None:
        """Colour the patches by the classes of now."""
        layer = self.layer
        if self._shown_classes != self.session.classes:  # else only another one was chosen
            self._show(layer)

    def patches(self) -> tuple[PatchAnnotation, ...]:
        """Return the patches of this image."""
        return tuple(self._patches)

    def _show(self, layer: Points) -> None:
        patches, classes = self._patches, self.session.classes
        self._shown_classes = classes
        self._pending.clear()
        layer.data = np.array([(*patch.plane, *patch.centre) for patch in patches]).reshape(
            -1, layer.ndim
        )
        layer.features = pd.DataFrame(
            {
                "patch": [patch.id for patch in patches],
                "class": [classes[patch.value - 1].name for patch in patches],
            }
        )
        if patches:
            layer.size = np.array([patch.size for patch in patches], float)
            colours = transform_color([info.colour for info in classes])
            layer.border_color = colours[[patch.value - 1 for patch in patches]]
            layer.face_color = "transparent"
        layer.current_face_color = "transparent"
        layer.selected_data = set()

    # The mouse --------------------------------------------------------------------------------

    def _place(self, position: Position) -> tuple[float, float]:
        row, column = self.layer.world_to_data(position)[-2:]
        return float(row), float(column)

    def _plane(self) -> tuple[int, ...]:
        viewer = self.session.viewer
        return current_plane(viewer, find_by_id(viewer, self.source_id))

    def _clicked(self, position: Position, modifiers: Modifiers) -> None:
        place, plane = self._place(position), self._plane()
        patch = self._patch_at(place, plane, _HANDLE_SHARE)
        if "Alt" in modifiers:
            self.remove_at(place, plane)
        elif patch is None:
            self.pick_at(place, plane)
        elif patch.value != self.session.current_class and self.may_annotate():
            changed = replace(patch, value=self.session.current_class)
            self._do(patch, changed, "class of a patch")

    def _begin_drag(self, position: Position, modifiers: Modifiers) -> Drag | None:
        if modifiers == {"Control"} and self.may_annotate():
            return RectangleDrag(position, self._draw_box)
        patch = self._patch_at(self._place(position), self._plane(), _HANDLE_SHARE)
        if modifiers or patch is None or not self.may_annotate():
            return None
        return MoveDrag(
            lambda where: self.preview(patch, self._place(where)),
            lambda where: self.move_to(patch, self._place(where)),
        )

    def clear_under_mouse(self) -> None:
        """Remove the patch under the mouse."""
        self.remove_at(self._place(self.session.viewer.cursor.position), self._plane())

    def _draw_box(self, corner: Position, other: Position) -> None:
        """Place a patch as large as the longer side of a box."""
        (top, left), (bottom, right) = self._place(corner), self._place(other)
        size = max(abs(bottom - top), abs(right - left))
        centre = ((top + bottom) / 2, (left + right) / 2)
        self.pick_at(centre, self._plane(), max(_SMALLEST_BOX, round(size)))

    # What is picked ---------------------------------------------------------------------------

    def pick_at(
        self, place: tuple[float, float], plane: tuple[int, ...] = (), size: int = 0
    ) -> None:
        """Place a patch of the current class around (row, column); ``size`` 0 is that of the dock."""
        if not self.may_annotate():
            return
        pixels = image_data(find_by_id(self.session.viewer, self.source_id)).array
        shape = pixels.shape[len(plane) : len(plane) + 2]
        if not all(-0.5 <= c < n - 0.5 for c, n in zip(place, shape, strict=True)):
            return
        size = size or self.size
        place = snap(pixels[plane] if plane else pixels, place, size, self.snap_rule)
        patch = PatchAnnotation(
            0, self.image.image_id, plane, place, size, self.session.current_class, ""
        )
        self._do(None, patch, "a patch")

    def remove_at(self, place: tuple[float, float], plane: tuple[int, ...] = ()) -> None:
        """Remove the patch whose centre is nearest to (row, column), if the place lies in it."""
        patch = self._patch_at(place, plane)
        if patch is not None and self.may_annotate():
            self._do(patch, None, "removal of a patch")

    def move_to(self, patch: PatchAnnotation, place: tuple[float, float]) -> None:
        """Put a patch around another (row, column)."""
        self._do(patch, replace(patch, centre=place), "move of a patch")

    def preview(self, patch: PatchAnnotation, place: tuple[float, float]) -> None:
        """Show a patch elsewhere while it is dragged; nothing is saved."""
        self._append_pending()
        index = self._patches.index(patch)
        data = self.layer.data.copy()
        data[index, -2:] = place
        self.layer.data = data

    def _patch_at(
        self, place: tuple[float, float], plane: tuple[int, ...], share: float = 1.0
    ) -> PatchAnnotation | None:
        """Return the nearest patch of which the inner ``share`` holds a place."""
        near = [
            (max(abs(a - b) for a, b in zip(patch.centre, place, strict=True)), patch)
            for patch in self._patches if patch.plane == plane
        ]  # fmt: skip
        distance, patch = min(near, key=lambda pair: pair[0], default=(np.inf, None))
        return patch if patch is not None and distance <= share * patch.size / 2 else None

    def _do(self, old: PatchAnnotation | None, new: PatchAnnotation | None, text: str) -> None:
        """Put one patch in place of another; None is no patch. Both keep the row that they get."""
        now = [old, new]

        def exchange(gone: int, come: int) -> None:
            now[come] = self._exchange(now[gone], now[come])

        self.session.history.do(Change(lambda: exchange(0, 1), lambda: exchange(1, 0), text))

    def _exchange(
        self, old: PatchAnnotation | None, new: PatchAnnotation | None
    ) -> PatchAnnotation | None:
        """Change the project, then the picture; returns the new patch with its number in the project."""
        project = self.session.project
        if old is not None and new is not None:
            project.set_patch(old.id, centre=new.centre, value=new.value)
            new = replace(new, id=old.id)
            self._patches = [new if p.id == old.id else p for p in self._patches]
        elif new is not None:
            number = project.add_patch(
                self.image.image_id, new.plane, new.centre, new.size, new.value
            )
            new = replace(new, id=number)
            is_shown = self._layer is self.layer  # else it has just been made, with this patch
            self._patches = [*(p for p in self._patches if p.id != number), new]
            if is_shown and self._append_soon(new):
                self.session.annotations_changed.emit()
                return new
        else:
            project.remove_patch(old.id)
            self._patches = [p for p in self._patches if p.id != old.id]
        self._show(self.layer)
        self.session.annotations_changed.emit()
        return new

    def _append_soon(self, patch: PatchAnnotation) -> bool:
        """Show one more patch as soon as Qt has the click back; False where the layer has to be made anew."""
        n_shown = len(self._layer.data) + len(self._pending)
        if n_shown == 0 or n_shown != len(self._patches) - 1:
            return False  # an empty table of features has no types yet
        self._pending.append(patch)
        self._append_timer.start()
        return True

    def _append_pending(self) -> None:
        pending, self._pending = self._pending, []
        if self._layer is not None and self._layer in self.session.viewer.layers:
            for patch in pending:
                self._append(patch)

    def _append(self, patch: PatchAnnotation) -> None:
        """Show one more patch, several times faster than napari's own `Points.add`.

        That draws the layer, its thumbnail and its selection several times over, and has the viewer
        measure all layers twice; here the layer is drawn, and the rest told once picking rests.
        """
        layer, info = self._layer, self.session.classes[patch.value - 1]
        if len(layer.selected_data):
            layer.selected_data = set()
        with layer.events.blocker_all(), layer.block_update_properties():
            layer.current_size, layer.current_border_color = patch.size, info.colour
            layer.feature_defaults = {"patch": patch.id, "class": info.name}
            layer.data = np.append(layer.data, [(*patch.plane, *patch.centre)], axis=0)
        layer.events.set_data()
        self._n_untold += 1
        if self._n_untold == 1:
            self._tell_timer.start()

    def _tell_appended(self) -> None:
        """Tell napari and other plugins of the patches that were appended."""
        layer, n_new, self._n_untold = self._layer, self._n_untold, 0
        if layer is not None and layer in self.session.viewer.layers:
            new = tuple(range(-min(n_new, len(layer.data)), 0))
            layer.events.data(
                value=layer.data, action="added", data_indices=new, vertex_indices=((),)
            )
            layer.events.features()
            layer.events.thumbnail()
