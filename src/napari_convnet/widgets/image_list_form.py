"""The controls of the list of images."""

from __future__ import annotations

from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QKeyEvent
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QLabel,
    QTreeWidget,
    QVBoxLayout,
    QWidget,
)

from napari_convnet.widgets.controls import combo_box, push_button, row, text_line

NAME, ANNOTATED, SPLIT = range(3)
SPLITS = ("automatic", "training", "validation", "test")
_STEPS = {Qt.Key.Key_PageDown: 1, Qt.Key.Key_PageUp: -1}


class _Tree(QTreeWidget):
    """Page Down and Page Up ask for the next and the previous image."""

    stepped = Signal(int)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Take the two keys."""
        step = _STEPS.get(event.key())
        if step:
            self.stepped.emit(step)
        else:
            super().keyPressEvent(event)


class ImageListForm(QWidget):
    """A button that folds away a list, a choice for the selected images, and a way to find lost ones."""

    def __init__(self) -> None:
        super().__init__()
        self.toggle = push_button(
            "Images", "The images of this project; click to show or hide them.", checkable=True
        )
        self.tree = _Tree()
        self.tree.setHeaderLabels(["Image", "Annotated", "Used for"])
        self.tree.setRootIsDecorated(False)
        self.tree.setUniformRowHeights(True)
        self.tree.setIconSize(QSize(32, 32))
        self.tree.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.tree.setAccessibleName("Images of the project")
        self.tree.setToolTip("Click an image to open it; Page Down and Page Up go on and back.")
        header = self.tree.header()
        header.setStretchLastSection(False)
        header.setSectionResizeMode(NAME, QHeaderView.ResizeMode.Stretch)
        for column in (ANNOTATED, SPLIT):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.ResizeToContents)
        self.split = combo_box(
            "What the selected images are used for",
            "Training: learned from. Validation: measures each epoch. Test: neither. Automatic: "
            "decided when training starts. Select several images with Shift or Ctrl.",
            [name.capitalize() for name in SPLITS],
            can_shrink=False,
        )
        self.find_button = push_button(
            "Find missing…",
            "Choose a folder; all missing files are looked for in it and below, by their pixels.",
        )
        self.status = text_line("Missing images")
        self.body = QWidget()
        body = QVBoxLayout(self.body)
        body.setContentsMargins(0, 0, 0, 0)
        body.addWidget(self.tree)
        body.addLayout(row(QLabel("Use for"), self.split, self.find_button))
        body.addWidget(self.status)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.toggle)
        column.addWidget(self.body)
        self.body.setVisible(False)
