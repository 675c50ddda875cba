"""The list of classes: colour, name, number of annotations and key; the chosen row is the class that is painted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import (
    QAbstractItemView,
    QColorDialog,
    QHeaderView,
    QMessageBox,
    QSizePolicy,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_convnet.widgets.controls import push_button, row
from napari_convnet.widgets.messages import guarded
from napari_convnet.widgets.preferences import read_preferences
from napari_convnet.widgets.session import Session

_NAME, _COUNT, _KEY = 0, 1, 2
_ROWS_SHOWN = 5


class ClassTable(QWidget):
    """Shows the session's classes and edits them."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self.table = QTableWidget(0, 3)
        self.table.setAccessibleName("Classes")
        self.table.setHorizontalHeaderLabels(["class", "annotated", "key"])
        self.table.setToolTip(
            "The chosen row is the class you annotate. Double-click a name to change it."
        )
        self.table.verticalHeader().hide()
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(_NAME, QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(_COUNT, QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(_KEY, QHeaderView.ResizeMode.ResizeToContents)
        self.add_button = push_button("Add", "Add a class.", self.add)
        self.colour_button = push_button(
            "Colour…", "Choose the colour of the chosen class.", self._choose_colour
        )
        self.delete_button = push_button(
            "Delete…", "Delete the chosen class and its annotations.", self._delete
        )
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.table)
        layout.addLayout(row(self.add_button, self.colour_button, self.delete_button))
        session.classes_changed.connect(self.refresh)
        session.annotations_changed.connect(self._show_counts)
        self.table.itemSelectionChanged.connect(self._choose)
        self.table.itemChanged.connect(self._rename)
        self.refresh()

    def refresh(self) -> None:
        """Show the classes of now."""
        modifier = {"Control": "Ctrl"}.get(read_preferences().class_modifier, "Alt")
        with QSignalBlocker(self.table):
            self.table.setRowCount(len(self._session.classes))
            for index, info in enumerate(self._session.classes):
                name = QTableWidgetItem(_swatch(info.colour), info.name)
                key = QTableWidgetItem(f"{modifier}+{index + 1}" if index < 9 else "")
                for column, item in ((_NAME, name), (_COUNT, QTableWidgetItem()), (_KEY, key)):
                    if column != _NAME:
                        item.setFlags(item.flags() & ~Qt.ItemFlag.ItemIsEditable)
                    self.table.setItem(index, column, item)
            self.table.selectRow(self._session.current_class - 1)
        self._show_counts()
        self._fit_height()

    def showEvent(self, event: Any) -> None:
        """Fit the height once napari's style sheet has set that of the rows."""
        super().showEvent(event)
        self._fit_height()

    def _fit_height(self) -> None:
        rows = min(_ROWS_SHOWN, max(2, len(self._session.classes)))
        header, frame = self.table.horizontalHeader(), 2 * self.table.frameWidth()
        row_height = self.table.rowHeight(0) or self.table.verticalHeader().defaultSectionSize()
        self.table.setFixedHeight(rows * row_height + header.sizeHint().height() + frame + 4)

    def _show_counts(self) -> None:
        with QSignalBlocker(self.table):
            for index, count in enumerate(self._session.class_counts()):
                item = self.table.item(index, _COUNT)
                item.setText(f"{count:,}")
                item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)

    def _choose(self) -> None:
        rows = self.table.selectionModel().selectedRows()
        if rows:
            self._session.set_current_class(rows[0].row() + 1)

    def _rename(self, item: QTableWidgetItem) -> None:
        if item.column() == _NAME:
            self._replace(item.row(), name=item.text().strip())

    def _replace(self, row: int, **fields: str) -> None:
        classes = list(self._session.classes)

        def change() -> None:
            classes[row] = replace(classes[row], **fields)
            self._session.set_classes(tuple(classes))

        guarded(change)
        self.refresh()

    def add(self) -> None:
        """Add a class and choose it."""
        guarded(self._session.add_class)

    def _choose_colour(self) -> None:
        row = self._session.current_class - 1
        colour = QColorDialog.getColor(
            QColor(self._session.classes[row].colour), self, "Colour of the class"
        )
        if colour.isValid():
            self._replace(row, colour=colour.name())

    def _delete(self) -> None:
        value = self._session.current_class
        info, count = self._session.classes[value - 1], self._session.class_counts()[value - 1]
        if count:
            question = (
                f"Delete class '{info.name}' and its {count:,} annotations? This cannot be undone."
            )
            answer = QMessageBox.question(self, "Delete class", question)
            if answer != QMessageBox.StandardButton.Yes:
                return
        guarded(lambda: self._session.delete_class(value))


def _swatch(colour: str) -> QIcon:
    pixmap = QPixmap(14, 14)
    pixmap.fill(QColor(colour))
    icon = QIcon(pixmap)
    icon.addPixmap(pixmap, QIcon.Mode.Selected)  # which Qt would tint
    return icon
