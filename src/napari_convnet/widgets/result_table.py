"""The table of what a prediction found; a click on a row goes there in the viewer."""

from __future__ import annotations

from typing import Any

import pandas as pd
from qtpy.QtCore import QAbstractTableModel, QModelIndex, Qt, Signal
from qtpy.QtWidgets import QAbstractItemView, QTableView

#: Rows that are shown before it scrolls, and room around a row's text in pixels.
_ROWS_SHOWN, _PADDING = 8, 4
_EMPTY = QModelIndex()


class _Rows(QAbstractTableModel):
    """Rows of a data frame, made into text when they are looked at."""

    def __init__(self, table: pd.DataFrame) -> None:
        super().__init__()
        self.table = table

    def rowCount(self, parent: QModelIndex = _EMPTY) -> int:
        return 0 if parent.isValid() else len(self.table)

    def columnCount(self, parent: QModelIndex = _EMPTY) -> int:
        return 0 if parent.isValid() else len(self.table.columns)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        value = self.table.iat[index.row(), index.column()]
        is_number = not isinstance(value, str)
        if role == Qt.ItemDataRole.DisplayRole:
            return (
                f"{value:.5g}"
                if isinstance(value, float) or hasattr(value, "is_integer")
                else str(value)
            )
        if role == Qt.ItemDataRole.TextAlignmentRole and is_number:
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        return None

    def headerData(self, section: int, orientation: Any, role: int = 0) -> Any:
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return str(self.table.columns[section])
        return None


class ResultTable(QTableView):
    """Shows a data frame; `chosen` carries the number of the row that the person clicked."""

    chosen = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.setAccessibleName("Table of the result")
        self.setToolTip("One row for each thing found. A click goes there.")
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setTabKeyNavigation(False)
        self.setWordWrap(False)
        self.verticalHeader().hide()
        self.horizontalHeader().setResizeContentsPrecision(0)  # the rows in sight, not a thousand
        self._row_height = self.fontMetrics().height() + 2 * _PADDING
        self.verticalHeader().setDefaultSectionSize(self._row_height)
        self.clicked.connect(lambda index: self.chosen.emit(index.row()))
        self.activated.connect(lambda index: self.chosen.emit(index.row()))

    def show_table(self, table: pd.DataFrame) -> None:
        """Show another table."""
        self.setModel(_Rows(table))
        self.resizeColumnsToContents()
        rows = min(max(1, len(table)), _ROWS_SHOWN)
        bars = (
            self.horizontalHeader().sizeHint().height()
            + self.horizontalScrollBar().sizeHint().height()
        )
        self.setFixedHeight(rows * self._row_height + bars + 2)
