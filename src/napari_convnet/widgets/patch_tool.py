"""Pick square patches with clicks, where there is no label layer of cells."""

from __future__ import annotations

import numpy as np
import pandas as pd
from napari.layers import Points

from napari_convnet.project import PatchAnnotation
from napari_convnet.widgets.annotation_tools import AnnotationTool
from napari_convnet.widgets.history import Change
from napari_convnet.widgets.layers import MARK
from napari_convnet.widgets.open_image import OpenImage
from napari_convnet.widgets.placement import placement_of
from napari_convnet.widgets.session import Session
from napari_convnet.widgets.pointer import on_pointer
from napari_convnet.widgets.source import current_plane, find_by_id


class PatchTool(AnnotationTool):
    """Patches as square points; the project is the record, the layer its picture."""

    kind = "annotation-patches"
    title = "Pick patches"

    def __init__(self, session: Session, image: OpenImage, size: int = 48) -> None:
        super().__init__(session, image)
        self.size = size

    @property
    def source_id(self) -> str:
        """Patches belong to the image, not to a label layer."""
        return self.image.source.image_ids[0]

    def make_layer(self) -> Points:
        """Add the layer with the project's patches of this image."""
        image = find_by_id(self.session.viewer, self.image.source.image_ids[0])
        self.session.ensure_project()
        layer = self.add_layer((np.empty((0, image.ndim)), {
            "name": f"{image.name} patches", "symbol": "square", "size": self.size, "face_color": "transparent",
            "border_width": 0.06, "metadata": {MARK: {"kind": self.kind, "source": self.source_id}},
            **placement_of(image).as_arguments(),
        }, "points"))  # fmt: skip
        layer.mouse_drag_callbacks.append(on_pointer(self._clicked))
        self._show(layer)
        return layer

    def activate(self) -> None:
        """Left-drag pans, left-click picks."""
        self.layer.mode = "pan_zoom"

    def show_classes(self) -> None:
        """Colour the patches by the classes of now."""
        self._show(self.layer)

    def patches(self) -> tuple[PatchAnnotation, ...]:
        """Return the patches of this image."""
        return self.session.ensure_project().patches(self.image.image_id)

    def _show(self, layer: Points) -> None:
        patches, classes = self.patches(), self.session.classes
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
            layer.border_color = [classes[patch.value - 1].colour for patch in patches]
            layer.face_color = "transparent"
        layer.selected_data = set()

    def _clicked(self, position: tuple[float, ...], modifiers: frozenset[str]) -> None:
        place = tuple(float(c) for c in self.layer.world_to_data(position)[-2:])
        image = find_by_id(self.session.viewer, self.image.source.image_ids[0])
        plane = current_plane(self.session.viewer, image)
        if "Alt" in modifiers:
            self.remove_at(place, plane)
        else:
            self.pick_at(place, plane)

    def pick_at(self, place: tuple[float, float], plane: tuple[int, ...] = ()) -> None:
        """Place a patch of the current class around (row, column)."""
        if not self.may_annotate():
            return
        image = find_by_id(self.session.viewer, self.image.source.image_ids[0])
        shape = (
            image.data.shape[len(plane) : len(plane) + 2]
            if not image.multiscale
            else image.data[0].shape[-2:]
        )
        if not all(-0.5 <= c < n - 0.5 for c, n in zip(place, shape, strict=False)):
            return
        value = self.session.current_class
        made: list[int] = []

        def pick() -> None:
            made.append(
                self.session.project.add_patch(self.image.image_id, plane, place, self.size, value)
            )
            self._changed()

        def take_back() -> None:
            self.session.project.remove_patch(made.pop())
            self._changed()

        self.session.history.do(Change(pick, take_back, "a patch"))

    def remove_at(self, place: tuple[float, float], plane: tuple[int, ...] = ()) -> None:
        """Remove the patch whose centre is nearest to (row, column), if the place lies in it."""
        if not self.may_annotate():
            return
        near = [
            (max(abs(a - b) for a, b in zip(patch.centre, place, strict=True)), patch)
            for patch in self.patches() if patch.plane == plane
        ]  # fmt: skip
        distance, patch = min(near, key=lambda pair: pair[0], default=(np.inf, None))
        if patch is None or distance > patch.size / 2:
            return
        ids = [patch.id]

        def remove() -> None:
            self.session.project.remove_patch(ids.pop())
            self._changed()

        def put_back() -> None:
            ids.append(
                self.session.project.add_patch(
                    self.image.image_id, patch.plane, patch.centre, patch.size, patch.value
                )
            )
            self._changed()

        self.session.history.do(Change(remove, put_back, "removal of a patch"))

    def _changed(self) -> None:
        self._show(self.layer)
        self.session.annotations_changed.emit()
