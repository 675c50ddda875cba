"""How positions are marked: where the click was, or on the bright spot near it."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFormLayout, QSpinBox, QWidget

from napari_convnet.widgets.controls import combo_box, row
from napari_convnet.widgets.position_tool import PositionTool


class PositionForm(QWidget):
    """The options of the position tool; `changed` tells of a new value."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.snap = combo_box(
            "Where a position is put",
            "A position can be put on the middle of the brightest spot near the click, to a fraction of a pixel.",
            ["where I click", "on the bright spot within"],
            can_shrink=False,
        )
        self.radius = QSpinBox()
        self.radius.setRange(2, 64)
        self.radius.setValue(5)
        self.radius.setSuffix(" px")
        self.radius.setAccessibleName("Radius of a spot in pixels")
        self.radius.setToolTip("How far from the click a spot is looked for, and its radius.")
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.addRow("Put", row(self.snap, self.radius))
        self.snap.currentIndexChanged.connect(self._changed)
        self.radius.valueChanged.connect(self.changed)
        self._changed()

    def _changed(self, _index: int = 0) -> None:
        self.radius.setVisible(self.snap.currentIndex() > 0)
        self.changed.emit()

    def apply(self, tool: PositionTool) -> None:
        """Give the options to a tool."""
        tool.snap_radius = self.radius.value() if self.snap.currentIndex() > 0 else 0
