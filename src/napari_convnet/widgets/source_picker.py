"""Two controls that follow the viewer's layers: a list of images to tick and a choice of cells."""

from __future__ import annotations

from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer
from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import (
    QFormLayout,
    QListWidget,
    QListWidgetItem,
    QSizePolicy,
    QWidget,
)

from napari_convnet.widgets.controls import combo_box
from napari_convnet.widgets.layers import image_data, layer_id, mark_of
from napari_convnet.widgets.level_choice import LevelChoice
from napari_convnet.widgets.source import Source, find_by_id

_LIST_ROWS_SHOWN = 3
_LAYER = Qt.ItemDataRole.UserRole


class SourcePicker(QWidget):
    """Which image (its channels) and which cells are worked on; `changed` tells of another choice."""

    changed = Signal()

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__()
        self._viewer = viewer
        self._is_ticking = False
        self._build()
        self._refresh()
        self.images.itemChanged.connect(self._tick)
        self.images.itemClicked.connect(self._work_on)
        self.cells.currentIndexChanged.connect(self._choose_cells)
        self.level.chosen.connect(self._choose_level)
        self.changed.connect(self._show_level)
        events = viewer.layers.events
        self._events = (events.inserted, events.removed, events.renamed)
        for event in self._events:
            event.connect(self._on_layers)

    def _build(self) -> None:
        self.images = QListWidget()
        self.images.setAccessibleName("Images used as channels")
        self.images.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.images.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.images.setToolTip(
            "Click a name to work on that image. Tick several images of one shape to use them as "
            "its channels."
        )
        self.cells = combo_box(
            "Label layer of the cells",
            "Label layer with one value for each cell. Without one, pick patches with clicks.",
        )
        self._form = QFormLayout(self)
        self._form.setContentsMargins(0, 0, 0, 0)
        self.level = LevelChoice(self._viewer)
        self._form.addRow("Image", self.images)
        self._form.addRow("Level", self.level)
        self._form.addRow("Cells", self.cells)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)

    def show_cells(self, is_needed: bool) -> None:
        """Show the choice of cells only where it matters."""
        self._form.setRowVisible(self.cells, is_needed)

    def release(self) -> None:
        """Let go of the viewer, which outlives this widget."""
        for event in self._events:
            event.disconnect(self._on_layers)

    def value(self) -> Source:
        """Return what is chosen."""
        ticked = [i.data(_LAYER) for i in self._items() if i.checkState() == Qt.CheckState.Checked]
        return Source(tuple(ticked), self.cells.currentData() or "")

    def _show_level(self) -> None:
        """Show which resolution is worked on, where an image has several."""
        self._form.setRowVisible(self.level, self.level.show_levels(self._chosen_images()))

    def set_value(self, source: Source) -> None:
        """Choose layers; those that are gone are left out."""
        if source == self.value():
            return
        self._show_ticks(set(source.image_ids))
        with QSignalBlocker(self.cells):
            self.cells.setCurrentIndex(max(0, self.cells.findData(source.labels_id)))
        self.changed.emit()

    def _items(self) -> list[QListWidgetItem]:
        return [self.images.item(row) for row in range(self.images.count())]

    def _show_ticks(self, ids: set[str]) -> None:
        with QSignalBlocker(self.images):
            for item in self._items():
                is_ticked = item.data(_LAYER) in ids
                item.setCheckState(Qt.CheckState.Checked if is_ticked else Qt.CheckState.Unchecked)

    def _chosen_images(self) -> list[Image]:
        found = (find_by_id(self._viewer, identifier) for identifier in self.value().image_ids)
        return [layer for layer in found if layer is not None]

    # The person chooses -----------------------------------------------------------------------

    def _choose_cells(self, _index: int) -> None:
        self.changed.emit()

    def _choose_level(self, layers: list[Image]) -> None:
        """Work on another resolution of the same image."""
        self._work_with({layer_id(layer) for layer in layers}, layers[0])

    def _tick(self, item: QListWidgetItem) -> None:
        """Channels of one image have one shape: ticking another image lets go of the rest."""
        self._is_ticking = True
        ticked = find_by_id(self._viewer, item.data(_LAYER))
        if item.checkState() == Qt.CheckState.Checked and ticked is not None:
            layers = self._chosen_images()
            alike = {layer_id(layer) for layer in layers if _same_shape(layer, ticked)}
            if len(alike) < len(layers):
                self._work_with(alike, ticked)
                return
        self.changed.emit()

    def _work_on(self, item: QListWidgetItem) -> None:
        """Work on the image whose name was clicked, with the channels that came with it."""
        was_tick, self._is_ticking = self._is_ticking, False
        image = find_by_id(self._viewer, item.data(_LAYER))
        if not was_tick and image is not None and item.checkState() == Qt.CheckState.Unchecked:
            self._work_with(_channels_with(self._viewer, image), image)

    def _work_with(self, ids: set[str], image: Image) -> None:
        self._show_ticks(ids)
        found = self.cells.findData(_cells_of(self._viewer, image))
        if found >= 0:
            with QSignalBlocker(self.cells):
                self.cells.setCurrentIndex(found)
        self.changed.emit()

    # The layers change ------------------------------------------------------------------------

    def _on_layers(self, _event: object = None) -> None:
        before = self.value()
        self._refresh()
        if self.value() != before:
            self.changed.emit()

    def _refresh(self) -> None:
        """Rebuild both lists from the viewer's layers and keep what was chosen."""
        before, known = self.value(), {item.data(_LAYER) for item in self._items()}
        images = [layer for layer in self._viewer.layers if isinstance(layer, Image)]
        with QSignalBlocker(self.images):
            self.images.clear()
            for layer in images:
                item = QListWidgetItem(layer.name)
                item.setData(_LAYER, layer_id(layer))
                item.setFlags(item.flags() | Qt.ItemFlag.ItemIsUserCheckable)
                self.images.addItem(item)
        self._show_ticks(self._ticks_after(before, known, images))
        self._refresh_cells(before)
        self._show_level()
        rows = min(max(1, len(images)), _LIST_ROWS_SHOWN)
        height = rows * max(18, self.images.sizeHintForRow(0)) + 2 * self.images.frameWidth()
        self.images.setFixedHeight(height)

    def _ticks_after(self, before: Source, known: set[str], images: list[Image]) -> set[str]:
        """Return what is ticked now: what was, and channels that came together with it."""
        ids = {layer_id(layer) for layer in images}
        ticked = set(before.image_ids) & ids
        first = next((layer for layer in images if not ticked or layer_id(layer) in ticked), None)
        if first is None:
            return ticked
        channels = _channels_with(self._viewer, first)
        if not ticked:
            return channels
        return ticked | (channels - known if ticked == channels & known else set())

    def _refresh_cells(self, before: Source) -> None:
        with QSignalBlocker(self.cells):
            self.cells.clear()
            self.cells.addItem("none: pick patches with clicks", "")
            for layer in self._viewer.layers:
                if _may_hold_cells(layer):
                    self.cells.addItem(layer.name, layer_id(layer))
            wanted = before.labels_id
            if not wanted and (ids := self.value().image_ids):
                wanted = _cells_of(self._viewer, find_by_id(self._viewer, ids[0]))
            self.cells.setCurrentIndex(max(0, self.cells.findData(wanted)))


def _channels_with(viewer: ViewerModel, image: Image) -> set[str]:
    """Return the image and the layers that napari split off with it: beside it, alike, added up."""
    layers, found = list(viewer.layers), {layer_id(image)}
    if image.blending != "additive":
        return found
    index = layers.index(image)
    for run in (layers[index + 1 :], layers[:index][::-1]):
        for layer in run:
            is_image = isinstance(layer, Image) and layer.blending == "additive"
            if not is_image or not _same_shape(layer, image):
                break
            found.add(layer_id(layer))
    return found


def _cells_of(viewer: ViewerModel, image: Image) -> str:
    """Return the id of the label layer that came with an image: above it and of its shape; or ""."""
    shape = image_data(image).array.shape[: image.ndim]
    for layer in list(viewer.layers)[viewer.layers.index(image) + 1 :]:
        kind = mark_of(layer).get("kind", "first-labels")
        is_cells = isinstance(layer, Labels) and kind == "first-labels"
        if is_cells and image_data(layer).array.shape == shape:
            return layer_id(layer)
    return ""


def _may_hold_cells(layer: Layer) -> bool:
    return isinstance(layer, Labels) and mark_of(layer).get("kind") in (
        None,
        "predicted-objects",
        "first-labels",
    )


def _same_shape(layer: Image, other: Image) -> bool:
    shapes = [image_data(each).array.shape[: each.ndim] for each in (layer, other)]
    return shapes[0] == shapes[1]
