"""How patches are picked: their size, in pixels and in the image's unit, and whether they snap."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFormLayout, QLabel, QSpinBox, QWidget

from napari_convnet.snapping import SNAP_RULES
from napari_convnet.widgets.controls import combo_box, row
from napari_convnet.widgets.patch_tool import PatchTool
from napari_convnet.widgets.session import Session
from napari_convnet.widgets.source import find_by_id

_RULE_NAMES = {
    "off": "where I click",
    "object": "on the nearest object",
    "brightest": "on the brightest spot",
}


class PatchForm(QWidget):
    """The options of the patch tool; `changed` tells of a new value."""

    changed = Signal()

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self.size = QSpinBox()
        self.size.setRange(8, 1024)
        self.size.setValue(48)
        self.size.setSuffix(" px")
        self.size.setAccessibleName("Patch size in pixels")
        self.size.setToolTip("Side of the square that is cut around a click.")
        self.extent = QLabel()
        self.extent.setAccessibleName("Patch size in the image's unit")
        self.snap = combo_box(
            "Where a patch is centred",
            "A patch can be centred on the object that is nearest to the click, or on its brightest spot.",
            [(_RULE_NAMES[rule], rule) for rule in SNAP_RULES],
            can_shrink=False,
        )
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.addRow("Patch size", row(self.size, self.extent))
        form.addRow("Centred", self.snap)
        self.size.valueChanged.connect(self._show_extent)
        self.size.valueChanged.connect(self.changed)
        self.snap.currentIndexChanged.connect(self.changed)
        session.source_changed.connect(self._show_extent)
        self._show_extent()

    def apply(self, tool: PatchTool) -> None:
        """Give the options to a tool."""
        tool.size, tool.snap_rule = self.size.value(), self.snap.currentData()

    def _show_extent(self) -> None:
        ids = self._session.source.image_ids
        layer = find_by_id(self._session.viewer, ids[0]) if ids else None
        self.extent.clear()
        if layer is not None and str(layer.units[-1]) not in ("pixel", "dimensionless", ""):
            sides = (self.size.value() * abs(float(s)) for s in layer.scale[-2:])
            self.extent.setText(
                " x ".join(f"{side:.4g}" for side in sides) + f" {layer.units[-1]:~}"
            )
