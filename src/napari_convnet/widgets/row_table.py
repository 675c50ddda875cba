"""A table of text that stays quick with hundreds of rows, one of which may be marked as wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, Qt
from qtpy.QtGui import QBrush, QColor
from qtpy.QtWidgets import QHeaderView, QTableView

from napari_convnet.widgets.controls import show_whole_rows

_SIDE = 9  # pixels beside the text of a cell
_PADDED = "QTableView::item { padding: 0px 5px; } QHeaderView::section { padding: 2px 5px; }"
#: Behind a row that is wrong; white is read on it in both themes.
WRONG = "#b3261e"


class _Rows(QAbstractTableModel):
    def __init__(self, header: Sequence[str], tips: Sequence[str], right: Sequence[int]) -> None:
        super().__init__()
        self._header, self._tips, self._right = tuple(header), tuple(tips), frozenset(right)
        self.rows: tuple[Sequence[str], ...] = ()
        self.wrong: int | None = None
        self.problem = ""

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        return len(self.rows)

    def columnCount(self, parent: QModelIndex | None = None) -> int:
        return len(self._header)

    def headerData(self, section: int, orientation: Any, role: int = 0) -> Any:
        if orientation != Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return self._header[section]
        if role == Qt.ItemDataRole.ToolTipRole:
            return self._tips[section]
        return self._alignment(section) if role == Qt.ItemDataRole.TextAlignmentRole else None

    def data(self, index: QModelIndex, role: int = 0) -> Any:
        text, is_wrong = self.rows[index.row()][index.column()], index.row() == self.wrong
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole):
            is_told = is_wrong and role == Qt.ItemDataRole.AccessibleTextRole
            return f"{text}, wrong: {self.problem}" if is_told else text
        if role == Qt.ItemDataRole.ToolTipRole:
            return self.problem if is_wrong else text or self._tips[index.column()]
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return self._alignment(index.column())
        if is_wrong and role == Qt.ItemDataRole.BackgroundRole:
            return QBrush(QColor(WRONG))
        if is_wrong and role == Qt.ItemDataRole.ForegroundRole:
            return QBrush(QColor("white"))
        return None

    def _alignment(self, column: int) -> Qt.AlignmentFlag:
        side = Qt.AlignmentFlag.AlignRight if column in self._right else Qt.AlignmentFlag.AlignLeft
        return side | Qt.AlignmentFlag.AlignVCenter


class RowTable(QTableView):
    """Rows in the order that they have, chosen as wholes.

    Parameters
    ----------
    name
        For screen readers.
    header, tips
        Texts of the columns, and what they mean.
    right
        Columns of numbers.
    stretched
        The column that takes what is left.
    """

    def __init__(
        self,
        name: str,
        header: Sequence[str],
        tips: Sequence[str],
        right: Sequence[int] = (),
        stretched: int = 0,
    ) -> None:
        super().__init__()
        self._rows = _Rows(header, tips, right)
        self.setModel(self._rows)
        self.setStyleSheet(_PADDED)
        show_whole_rows(self, name)
        sections = self.horizontalHeader()
        sections.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        sections.setSectionResizeMode(stretched, QHeaderView.ResizeMode.Stretch)

    @property
    def header(self) -> tuple[str, ...]:
        """Texts of the columns."""
        return self._rows._header

    @property
    def rows(self) -> tuple[Sequence[str], ...]:
        """Texts of the rows."""
        return self._rows.rows

    @property
    def wrong(self) -> int | None:
        """The row that is marked as wrong."""
        return self._rows.wrong

    @property
    def problem(self) -> str:
        """What is wrong with it."""
        return self._rows.problem

    @property
    def chosen(self) -> int:
        """The chosen row; -1 if there is none."""
        return self.currentIndex().row()

    def show_rows(
        self, rows: Sequence[Sequence[str]], wrong: int | None = None, problem: str = ""
    ) -> None:
        """Show other rows, none of them chosen."""
        self._rows.beginResetModel()
        self._rows.rows, self._rows.wrong, self._rows.problem = tuple(rows), wrong, problem
        self._rows.endResetModel()
        self._fit_columns()

    def showEvent(self, event: Any) -> None:
        """Fit the columns once napari's style sheet has set the font."""
        super().showEvent(event)
        self._fit_columns()

    def _fit_columns(self) -> None:
        """Fit each column to its longest text; Qt's own way asks the style sheet for every cell."""
        metrics = self.fontMetrics()
        for column, title in enumerate(self.header):
            longest = max((row[column] for row in self.rows), key=len, default="")
            width = max(metrics.horizontalAdvance(text) for text in (longest, title))
            self.setColumnWidth(column, width + 2 * _SIDE)

    def choose(self, row: int) -> None:
        """Choose a row and bring it into view."""
        index = self._rows.index(row, 0)
        self.setCurrentIndex(index)
        self.scrollTo(index)
