"""A table that is sorted by a click on a column; rows are drawn only where they are in view."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, Qt
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableView

from napari_convnet.widgets.controls import show_whole_rows


@dataclass(frozen=True)
class Column:
    """What a column is called and what it means; numbers stand on the right and fall at the first click.

    ``width`` is in pixels.
    """

    name: str
    tip: str
    is_number: bool = False
    width: int = 100
    is_centred: bool = False


@dataclass(frozen=True)
class Cell:
    """A text, what it is sorted by (None comes last) and more about it."""

    text: str
    key: Any = None
    tip: str = ""


class _Model(QAbstractTableModel):
    def __init__(self, columns: Sequence[Column]) -> None:
        super().__init__()
        self.columns = tuple(columns)
        self.rows: tuple[Sequence[Cell], ...] = ()
        self.order: list[int] = []
        self.kept: Callable[[int], bool] = lambda _row: True
        self.sorting: tuple[int, bool] | None = None

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        return len(self.order)

    def columnCount(self, parent: QModelIndex | None = None) -> int:
        return len(self.columns)

    def headerData(self, section: int, orientation: Any, role: int = 0) -> Any:
        if orientation != Qt.Orientation.Horizontal:
            return None
        column = self.columns[section]
        if role == Qt.ItemDataRole.DisplayRole:
            return column.name
        if role == Qt.ItemDataRole.ToolTipRole:
            return f"{column.tip} A click sorts."
        return _side(column) if role == Qt.ItemDataRole.TextAlignmentRole else None

    def data(self, index: QModelIndex, role: int = 0) -> Any:
        column = self.columns[index.column()]
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _side(column)
        if role not in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.ToolTipRole):
            return None
        cell = self.rows[self.order[index.row()]][index.column()]
        return cell.text if role == Qt.ItemDataRole.DisplayRole else cell.tip or cell.text

    def sort(self, column: int, order: Any = Qt.SortOrder.AscendingOrder) -> None:
        """Sort by a column; rows without a value stay at the end."""
        self.sorting = (column, order == Qt.SortOrder.DescendingOrder) if column >= 0 else None
        self.arrange()

    def arrange(self) -> None:
        self.beginResetModel()
        order = [row for row in range(len(self.rows)) if self.kept(row)]
        if self.sorting is not None:
            column, falls = self.sorting
            known = [row for row in order if self.rows[row][column].key is not None]
            known.sort(key=lambda row: self.rows[row][column].key, reverse=falls)
            order = known + [row for row in order if self.rows[row][column].key is None]
        self.order = order
        self.endResetModel()


def _side(column: Column) -> Qt.AlignmentFlag:
    side = Qt.AlignmentFlag.AlignRight if column.is_number else Qt.AlignmentFlag.AlignLeft
    side = Qt.AlignmentFlag.AlignHCenter if column.is_centred else side
    return side | Qt.AlignmentFlag.AlignVCenter


class SortedTable(QTableView):
    """Rows of text, chosen as wholes, sorted by clicks on the header.

    Parameters
    ----------
    name
        For screen readers.
    stretched
        The column that takes what is left, if one does.
    """

    def __init__(self, name: str, columns: Sequence[Column], stretched: int | None = None) -> None:
        super().__init__()
        self._model = _Model(columns)
        self.setModel(self._model)
        show_whole_rows(self, name)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        header = self.horizontalHeader()
        header.setSortIndicator(-1, Qt.SortOrder.AscendingOrder)
        header.setSectionsClickable(True)
        header.setSortIndicatorShown(True)
        header.sectionClicked.connect(self._sort_by)
        for number, column in enumerate(columns):
            self.setColumnWidth(number, column.width)
        if stretched is not None:
            header.setSectionResizeMode(stretched, QHeaderView.ResizeMode.Stretch)

    @property
    def columns(self) -> tuple[Column, ...]:
        """What the columns are."""
        return self._model.columns

    @property
    def shown(self) -> list[int]:
        """Numbers of the rows, as they were given, in the order in which they are shown."""
        return list(self._model.order)

    @property
    def chosen(self) -> int | None:
        """Number of the chosen row, as it was given."""
        row = self.currentIndex().row()
        return self._model.order[row] if 0 <= row < len(self._model.order) else None

    def show_rows(self, rows: Sequence[Sequence[Cell]]) -> None:
        """Show other rows, sorted as the ones before; none of them is chosen."""
        self._model.rows = tuple(rows)
        self._model.arrange()

    def keep(self, kept: Callable[[int], bool] | None) -> None:
        """Show only rows whose number fits; None shows all."""
        chosen = self.chosen
        self._model.kept = kept or (lambda _row: True)
        self._model.arrange()
        self.choose(chosen)

    def choose(self, number: int | None) -> None:
        """Choose a row by its number and bring it into view."""
        if number in self._model.order:
            index = self._model.index(self._model.order.index(number), 0)
            self.setCurrentIndex(index)
            self.scrollTo(index)

    def _sort_by(self, column: int) -> None:
        """Sort; numbers begin with the largest, a second click turns the order around."""
        chosen, before = self.chosen, self._model.sorting
        falls = self._model.columns[column].is_number
        if before is not None and before[0] == column:
            falls = not before[1]
        order = Qt.SortOrder.DescendingOrder if falls else Qt.SortOrder.AscendingOrder
        self.horizontalHeader().setSortIndicator(column, order)
        self._model.sort(column, order)
        self.choose(chosen)
