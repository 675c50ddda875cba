"""The controls of first labels: which image, how sensitive, how large a cell."""

from __future__ import annotations

from napari.layers import Image
from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QDoubleSpinBox,
    QFormLayout,
    QLabel,
    QSizePolicy,
    QSlider,
    QVBoxLayout,
    QWidget,
)

from napari_convnet.first_labels import CellSettings
from napari_convnet.widgets.controls import combo_box, push_button, row, text_line
from napari_convnet.widgets.first_labels_job import Choices

_PLANES = {
    "plane": "This plane only",
    "all": "Every plane by itself",
    "volume": "Planes together, as a volume",
}


class FirstLabelsForm(QWidget):
    """Controls that fold away; `changed` tells of another choice, `image_changed` of another image."""

    changed = Signal()
    image_changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._is_diameter_chosen = False
        self._pixel_size: tuple[float, str] = (1.0, "pixel")
        self._build_controls()
        self._lay_out()
        self.images.currentIndexChanged.connect(lambda _index: self.image_changed.emit())
        self.diameter.valueChanged.connect(self._diameter_chosen)
        self.sensitivity.valueChanged.connect(lambda _value: self.changed.emit())
        self.preview_box.toggled.connect(lambda _is_on: self.changed.emit())
        for combo in (self.channel, self.brightness, self.planes):
            combo.currentIndexChanged.connect(lambda _index: self._forget_diameter())

    def _build_controls(self) -> None:
        self.toggle = push_button(
            "Find cells…",
            "Make a label layer of the cells in a raw image, with a threshold and a watershed.",
            checkable=True,
        )
        self.images = combo_box(
            "Image to find cells in", "The image layer that cells are found in."
        )
        self.channel = combo_box(
            "Colour channel",
            "Automatic mixes red, green and blue for contrast.",
            [(name.capitalize(), name) for name in ("automatic", "red", "green", "blue")],
        )
        self.planes = combo_box(
            "Planes", "What of a stack is labelled. All planes use the threshold of the one shown."
        )
        self.sensitivity = QSlider(Qt.Orientation.Horizontal)
        self.sensitivity.setRange(0, 100)
        self.sensitivity.setValue(50)
        _name(
            self.sensitivity,
            "Sensitivity",
            "More to the right finds fainter cells and draws wider outlines.",
        )
        self.diameter = QDoubleSpinBox()
        self.diameter.setRange(2, 1000)
        self.diameter.setDecimals(0)
        self.diameter.setSuffix(" px")
        self.diameter.setKeyboardTracking(False)
        self.diameter.setMinimumWidth(96)
        _name(
            self.diameter,
            "Cell diameter in pixels",
            "Of a typical cell; the width of a long one. Larger values smooth more and cut less.",
        )
        self.physical = QLabel()
        self.physical.setAccessibleName("Cell diameter in physical units")
        self.estimate_button = push_button(
            "Estimate", "Measure the cell diameter in the image again.", self._forget_diameter
        )
        self.brightness = combo_box(
            "Cells are bright or dark",
            "Automatic tells them from what lies between.",
            [("Automatic", None), ("Bright", True), ("Dark", False)],
        )
        for combo in (self.images, self.channel, self.planes, self.brightness):
            combo.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.preview_box = QCheckBox("Live preview")
        self.preview_box.setChecked(True)
        _name(
            self.preview_box, "Live preview", "Outline the cells of the part of the image in view."
        )
        self.make_button = push_button(
            "Make labels", "Find the cells of the whole image and add them as a label layer."
        )
        self.status = text_line("What the preview found")
        self.done_text = text_line("What was made")

    def _lay_out(self) -> None:
        self.form = QWidget()
        form = QFormLayout(self.form)
        form.setContentsMargins(0, 0, 0, 0)
        form.addRow("Image", self.images)
        form.addRow("Channel", self.channel)
        form.addRow("Planes", self.planes)
        form.addRow("Sensitivity", self.sensitivity)
        form.addRow("Cell diameter", row(self.diameter, self.physical, self.estimate_button))
        form.addRow("Cells are", self.brightness)
        form.addRow(row(self.preview_box, self.make_button))
        form.addRow(self.status)
        self._form_layout = form
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.toggle)
        column.addWidget(self.form)
        column.addWidget(self.done_text)
        self.form.setVisible(False)
        self.done_text.setVisible(False)
        self.toggle.toggled.connect(lambda is_open: self.done_text.setVisible(not is_open))

    def choices(self) -> Choices:
        """Return what is chosen."""
        return Choices(
            float(self.sensitivity.value()),
            self.diameter.value() if self._is_diameter_chosen else None,
            self.brightness.currentData(),
            self.channel.currentData(),
        )

    def show_image(self, layer: Image | None) -> None:
        """Offer what fits another image; the diameter is measured again."""
        self._is_diameter_chosen = False
        ndim = layer.ndim if layer is not None else 2
        self._form_layout.setRowVisible(self.channel, bool(layer is not None and layer.rgb))
        self._form_layout.setRowVisible(self.planes, ndim > 2)
        with QSignalBlocker(self.planes):
            self.planes.clear()
            for value, text in _PLANES.items():
                self.planes.addItem(text, value)
            label = str(layer.axis_labels[-3]).lower() if ndim > 2 else ""
            wanted = {"z": "volume", "t": "all"}.get(label, "plane")
            self.planes.setCurrentIndex(self.planes.findData(wanted))
        if layer is not None:
            self._pixel_size = (float(abs(layer.scale[-1])), str(layer.units[-1]))
        self._show_physical()

    def show_settings(self, settings: CellSettings, suggested: CellSettings) -> None:
        """Show what was used, and what the image suggested."""
        with QSignalBlocker(self.diameter):
            self.diameter.setValue(settings.diameter)
        found = "bright" if suggested.are_bright else "dark"
        is_automatic = self.brightness.currentData() is None
        self.brightness.setItemText(0, f"Automatic: {found}" if is_automatic else "Automatic")
        self._show_physical()

    def _diameter_chosen(self, _value: float) -> None:
        self._is_diameter_chosen = True
        self._show_physical()
        self.changed.emit()

    def _forget_diameter(self) -> None:
        self._is_diameter_chosen = False
        self.changed.emit()

    def _show_physical(self) -> None:
        size, unit = self._pixel_size
        has_unit = unit not in ("pixel", "")
        short = {"micrometer": "µm", "nanometer": "nm", "millimeter": "mm"}.get(unit, unit)
        self.physical.setText(f"= {self.diameter.value() * size:.3g} {short}" if has_unit else "")


def _name(widget: QWidget, name: str, tip: str) -> None:
    widget.setAccessibleName(name)
    widget.setToolTip(tip)
