"""The panel that makes a first label layer of a raw image, with a live preview of what is in view."""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import partial

import numpy as np
from napari.layers import Image
from napari.utils.notifications import show_warning
from qtpy.QtCore import QSignalBlocker, QTimer
from qtpy.QtWidgets import QWidget

from napari_convnet.errors import UserError
from napari_convnet.first_labels import Region
from napari_convnet.widgets.background import JobResult
from napari_convnet.widgets.first_labels_form import FirstLabelsForm
from napari_convnet.widgets.first_labels_job import (
    CellImage,
    Memory,
    Window,
    make_labels,
    preview_cells,
)
from napari_convnet.widgets.job_slot import JobSlot
from napari_convnet.widgets.layers import (
    find_layer,
    image_data,
    layer_id,
    mark_of,
    objects_layer_data,
)
from napari_convnet.widgets.messages import guarded
from napari_convnet.widgets.placement import placement_of
from napari_convnet.widgets.session import Session
from napari_convnet.widgets.source import current_plane, find_by_id

_PREVIEW_KIND, _KIND = "first-labels-preview", "first-labels"
_DELAY_MILLISECONDS = 120
_PREVIEW_VOXELS = 1_200_000


class FirstLabelsPanel(FirstLabelsForm):
    """Finds cells by threshold and watershed; what is made is a label layer like any other.

    Parameters
    ----------
    dock
        Whose jobs these are: they stop when it is closed.
    session
        Its chosen image is the one that cells are found in.
    """

    def __init__(self, dock: QWidget, session: Session) -> None:
        super().__init__()
        self._session = session
        self.previewing, self.making = JobSlot(dock), JobSlot(dock)
        self._memory = Memory()
        self._window: tuple[Region, Window] | None = None
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_DELAY_MILLISECONDS)
        self._timer.timeout.connect(self._start_preview)
        self.toggle.toggled.connect(self._show_form)
        self.changed.connect(self._timer.start)
        self.image_changed.connect(self._choose_image)
        self.make_button.clicked.connect(self._make_or_stop)
        self.making.changed.connect(self._show_state)
        session.source_changed.connect(self._follow_source)
        viewer = session.viewer
        self._events = (
            (viewer.layers.events.inserted, self._list_images),
            (viewer.layers.events.removed, self._list_images),
            (viewer.layers.events.renamed, self._list_images),
            (viewer.scene.camera.events, self._view_moved),
            (viewer.dims.events.current_step, self._view_moved),
        )
        for event, slot in self._events:
            event.connect(slot)
        self._list_images()
        self._show_state()

    def unfold(self) -> None:
        """Show the controls and the preview."""
        self.toggle.setChecked(True)

    def release(self) -> None:
        """Let go of the viewer, which outlives this panel, and take the preview away."""
        for event, slot in self._events:
            event.disconnect(slot)
        self._timer.stop()
        self._remove_preview()

    # Which image ------------------------------------------------------------------------------

    @property
    def image_layer(self) -> Image | None:
        """The image that cells are found in."""
        return find_by_id(self._session.viewer, self.images.currentData() or "")

    def _list_images(self, _event: object = None) -> None:
        layers = [layer for layer in self._session.viewer.layers if isinstance(layer, Image)]
        before = self.images.currentData()
        with QSignalBlocker(self.images):
            self.images.clear()
            for layer in layers:
                self.images.addItem(layer.name, layer_id(layer))
            self.images.setCurrentIndex(max(0, self.images.findData(before)))
        if self.images.currentData() != before:
            self._choose_image()

    def _follow_source(self) -> None:
        """Take the image that is worked on, unless one of its channels is chosen already."""
        ids = self._session.source.image_ids
        if ids and self.images.currentData() not in ids:
            self.images.setCurrentIndex(max(0, self.images.findData(ids[0])))

    def _choose_image(self) -> None:
        layer = self.image_layer
        self.show_image(layer)
        self._remove_preview()
        self._show_state()
        self._timer.start()

    def _cell_image(self) -> CellImage:
        layer = self.image_layer
        if layer is None:
            raise UserError("CN-404", "There is no image yet. Open one (File > Open).")
        found = image_data(layer)
        region: Region = current_plane(self._session.viewer, layer)
        z_step = 1.0
        if self.planes.currentData() == "volume":
            region = (*region[:-1], slice(None))
            z_step = float(abs(layer.scale[-3] / layer.scale[-1]))
        return CellImage(found.array, found.is_rgb, region, layer.name, z_step)

    def _regions(self, image: CellImage) -> list[Region]:
        """Return the planes or volumes that labels are made of."""
        choice = self.planes.currentData()
        leading = image.array.shape[: len(image.region)]
        if choice == "all":
            return list(np.ndindex(*leading))
        if choice == "volume":
            return [(*index, slice(None)) for index in np.ndindex(*leading[:-1])]
        return [image.region]

    # Preview ----------------------------------------------------------------------------------

    def _show_form(self, is_open: bool) -> None:
        self.form.setVisible(is_open)
        if is_open:
            self._follow_source()
            self._timer.start()
        else:
            self._remove_preview()

    def _view_moved(self, _event: object = None) -> None:
        if self.toggle.isChecked() and self.preview_box.isChecked():
            self._timer.start()

    def _start_preview(self) -> None:
        layer = self.image_layer
        if not self.toggle.isChecked() or layer is None or self.making.state != "idle":
            return
        if not self.preview_box.isChecked():
            self._remove_preview()
            self.status.setText("")
            return
        if not self.previewing.make_way():
            return
        image = self._cell_image()
        window = _visible_window(layer, image.n_planes)
        arguments = (image, window, self.choices(), self._memory)
        key = layer_id(layer)
        self.previewing.start(
            lambda stop: preview_cells(*arguments, stop), description="Preview of the cells",
            on_progress=lambda _events: None, on_done=partial(self._previewed, key), give_way=False,
        )  # fmt: skip

    def _previewed(self, key: str, result: JobResult) -> None:
        layer = self.image_layer
        is_wanted = self.toggle.isChecked() and self.preview_box.isChecked()
        if self.previewing.is_outdated:
            self._timer.start()
        if result.outcome == "failed":
            self._remove_preview()
            self.status.setText(result.error_text)
        elif result.value is not None and is_wanted and layer and layer_id(layer) == key:
            preview = result.value
            self.show_settings(preview.settings, self._memory.suggested)
            n_cells = preview.n_cells
            self.status.setText(
                f"{n_cells:,} cells in the outlined part."
                if n_cells
                else "No cells here: raise the sensitivity, or choose bright or dark."
            )
            self._show_preview(layer, preview)

    def _show_preview(self, image: Image, preview) -> None:
        viewer, source = self._session.viewer, layer_id(image)
        placement = placement_of(image).moved(preview.origin)
        shown = find_layer(viewer, _PREVIEW_KIND, source)
        if shown is not None:
            shown.data = preview.outlines
            if not np.array_equal(shown.translate, placement.translate):  # each draws it again
                shown.translate = placement.translate
            return
        data, arguments, _ = objects_layer_data(
            preview.outlines, placement, name="preview of cells", kind=_PREVIEW_KIND, source=source
        )
        selected = set(viewer.layers.selection)
        layer = viewer.add_labels(data, **arguments)
        layer.editable = False
        viewer.layers.selection = selected

    def _remove_preview(self) -> None:
        layers = self._session.viewer.layers
        for layer in [each for each in layers if mark_of(each).get("kind") == _PREVIEW_KIND]:
            layer.locked = False
            layers.remove(layer)

    # Making -----------------------------------------------------------------------------------

    def _show_state(self) -> None:
        state = self.making.state
        self.make_button.setText("Make labels" if state == "idle" else "Stop")
        self.make_button.setEnabled(state != "stopping" and self.image_layer is not None)

    def _make_or_stop(self) -> None:
        if self.making.state == "running":
            self.making.request_stop()
        elif self.making.state == "idle":
            guarded(self.make)

    def make(self) -> None:
        """Find the cells of the whole image in the background and add them as a label layer.

        Raises
        ------
        UserError
            CN-404 without an image.
        """
        image = self._cell_image()
        arguments = (image, self._regions(image), self.choices(), replace(self._memory))
        self.making.start(
            lambda stop: make_labels(*arguments, stop), description="Finding cells",
            on_progress=lambda events: self.status.setText(events[-1].text.capitalize() + "…"),
            on_done=partial(self._made, layer_id(self.image_layer)),
        )  # fmt: skip

    def _made(self, key: str, result: JobResult) -> None:
        image = find_by_id(self._session.viewer, key)
        self.status.setText("Stopped: no layer was made." if result.outcome == "stopped" else "")
        if result.error_text:
            self.status.setText(result.error_text)
            show_warning(result.error_text)
        elif result.value is not None and image is not None:
            labels, settings = result.value
            self._add_labels(image, labels, asdict(settings))
            self.toggle.setChecked(False)
            self.done_text.setText(
                f"{labels.max():,} cells. Draw, erase or delete them with napari's label tools."
            )

    def _add_labels(self, image: Image, labels: np.ndarray, settings: dict) -> None:
        self._remove_preview()
        data, arguments, _ = objects_layer_data(
            labels, placement_of(image), name=f"{image.name} cells", kind=_KIND,
            source=layer_id(image), provenance={"settings": settings},
        )  # fmt: skip
        layer = self._session.viewer.add_labels(data, **arguments, opacity=0.4)
        source = self._session.source
        if layer_id(image) in source.image_ids:
            self._session.set_source(replace(source, labels_id=layer_id(layer)))


def _visible_window(layer: Image, n_planes: int) -> Window:
    """Return the part of a plane that is in view, in pixels of level 0; the middle of a large one."""
    shape = image_data(layer).array.shape[layer.ndim - 2 : layer.ndim]
    corners = np.asarray(layer.corner_pixels, float)[:, -2:]
    if layer.multiscale:
        corners = corners * np.asarray(layer.downsample_factors[layer.data_level])[-2:]
    low, high = np.clip(corners.min(0), 0, shape), np.clip(corners.max(0) + 1, 0, shape)
    if (high - low < 2).any():  # out of view
        low, high = np.zeros(2), np.array(shape, float)
    share = min(1.0, np.sqrt(_PREVIEW_VOXELS / n_planes / np.prod(high - low)))
    middle, half = (low + high) / 2, share * (high - low) / 2
    rows, columns = (
        slice(int(max(0, m - h)), int(min(n, np.ceil(m + h))))
        for m, h, n in zip(middle, half, shape, strict=True)
    )
    return rows, columns
