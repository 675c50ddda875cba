"""The summary of many images as it grows: one row an image; choosing one asks to open it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, Qt, Signal
from qtpy.QtGui import QBrush, QColor
from qtpy.QtWidgets import QTableView

from napari_convnet.widgets.controls import show_whole_rows
from napari_convnet.widgets.row_table import WRONG

if TYPE_CHECKING:
    from napari_convnet.prediction.many_images import AppliedImage

#: Rows that are shown before it scrolls; columns fit what the first rows hold.
_ROWS_SHOWN, _ROWS_MEASURED = 8, 200
_EMPTY = QModelIndex()
_Align = Qt.AlignmentFlag


class _Rows(QAbstractTableModel):
    def __init__(self) -> None:
        super().__init__()
        self.columns: tuple[str, ...] = ()
        self.images: list[AppliedImage] = []
        self.filled: set[str] = set()

    def start(self, columns: Sequence[str]) -> None:
        self.beginResetModel()
        self.columns, self.images, self.filled = tuple(columns), [], set()
        self.endResetModel()

    def add(self, images: Sequence[AppliedImage]) -> None:
        first = len(self.images)
        self.beginInsertRows(_EMPTY, first, first + len(images) - 1)
        self.images += images
        self.endInsertRows()
        for image in images:
            self.filled.update(image.summary)
            if image.problem:
                self.filled.add("problem")

    def rowCount(self, parent: QModelIndex = _EMPTY) -> int:
        return 0 if parent.isValid() else len(self.images)

    def columnCount(self, parent: QModelIndex = _EMPTY) -> int:
        return 0 if parent.isValid() else len(self.columns)

    def headerData(self, section: int, orientation: Any, role: int = 0) -> Any:
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return self.columns[section].replace("_", " ")
        return None

    def data(self, index: QModelIndex, role: int = 0) -> Any:
        image, column = self.images[index.row()], self.columns[index.column()]
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole):
            return _text(image, column)
        if role == Qt.ItemDataRole.ToolTipRole:
            return image.problem or str(image.path)
        if role == Qt.ItemDataRole.TextAlignmentRole:
            is_number = isinstance(image.summary.get(column), int | float)
            return (_Align.AlignRight if is_number else _Align.AlignLeft) | _Align.AlignVCenter
        if image.problem and role == Qt.ItemDataRole.BackgroundRole:
            return QBrush(QColor(WRONG))
        if image.problem and role == Qt.ItemDataRole.ForegroundRole:
            return QBrush(QColor("white"))
        return None


class SummaryTable(QTableView):
    """Shows the rows of a summary; ``opened`` carries the image of the row that the person clicked."""

    opened = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self._rows = _Rows()
        self.setModel(self._rows)
        show_whole_rows(self, "Summary of the images")
        self.setToolTip("One row for each image. A click opens the image and its result.")
        self.horizontalHeader().setResizeContentsPrecision(_ROWS_MEASURED)
        self.clicked.connect(self._open)
        self.activated.connect(self._open)

    @property
    def images(self) -> tuple[AppliedImage, ...]:
        """The images of the rows."""
        return tuple(self._rows.images)

    def start(self, columns: Sequence[str]) -> None:
        """Show no rows, with the columns of a summary between the image and what went wrong."""
        self._rows.start(("image", *columns, "problem"))
        # As high from the first row on: what a person aims at must not move while rows are added.
        rows = _ROWS_SHOWN * self.verticalHeader().defaultSectionSize()
        bars = (self.horizontalHeader(), self.horizontalScrollBar())
        self.setFixedHeight(rows + sum(bar.sizeHint().height() for bar in bars) + 2)

    def add(self, images: Sequence[AppliedImage]) -> None:
        """Add rows at the end."""
        if not images:
            return
        is_first = len(self._rows.images) < _ROWS_MEASURED
        self._rows.add(images)
        for number, column in enumerate(self._rows.columns):
            self.setColumnHidden(number, column != "image" and column not in self._rows.filled)
        if is_first:
            self.resizeColumnsToContents()

    def text(self, row: int, column: str) -> str:
        """Return what a cell shows."""
        return _text(self._rows.images[row], column)

    def _open(self, index: QModelIndex) -> None:
        self.opened.emit(self._rows.images[index.row()])


def _text(image: AppliedImage, column: str) -> str:
    if column == "image":
        return image.path.name
    if column == "problem":
        return image.problem
    value = image.summary.get(column, "")
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
