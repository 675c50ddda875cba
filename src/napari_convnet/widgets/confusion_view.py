"""The confusion matrix: numbers on colours, by row or by column, the most confused classes first if wanted."""

from __future__ import annotations

from typing import Any

import numpy as np
from qtpy.QtCore import QAbstractTableModel, QModelIndex, Qt
from qtpy.QtGui import QBrush, QColor
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from napari_convnet.scores import Scores
from napari_convnet.widgets.controls import combo_box, row, text_line

_RIGHT, _WRONG = QColor("#1f78b4"), QColor("#d9601a")
_NAME_WIDTHS = (64, 130)
_ROW_NAMES_WIDTH = 190
_SHOWN = {
    "counts": "Numbers; coloured by their share of the row.",
    "% of row": "Of what is so, the share that was called so: the diagonal is the recall.",
    "% of column": "Of what was called so, the share that is so: the diagonal is the precision.",
}
_ORDERS = ("as listed", "most confused first")


class _Matrix(QAbstractTableModel):
    """Cells are made when they are drawn, so a thousand classes are no matter."""

    def __init__(self, unit: str) -> None:
        super().__init__()
        self.unit = unit
        self.names: tuple[str, ...] = ()
        self.counts = np.zeros((0, 0), np.int64)
        self.shares: dict[str, np.ndarray] = {}
        self.order = np.arange(0)
        self.shown = "counts"
        self.background = QColor("black")

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        return len(self.order)

    def columnCount(self, parent: QModelIndex | None = None) -> int:
        return len(self.order)

    def headerData(self, section: int, orientation: Any, role: int = 0) -> Any:
        k = int(self.order[section])
        if role == Qt.ItemDataRole.DisplayRole:
            return self.names[k]
        if role != Qt.ItemDataRole.ToolTipRole:
            return None
        is_truth = orientation == Qt.Orientation.Vertical
        total = int(self.counts.sum(1 if is_truth else 0)[k])
        return f"{total:,} {self.unit} {'are' if is_truth else 'were called'} '{self.names[k]}'"

    def data(self, index: QModelIndex, role: int = 0) -> Any:
        t, p = int(self.order[index.row()]), int(self.order[index.column()])
        if role == Qt.ItemDataRole.DisplayRole:
            return self._text(t, p)
        if role in (Qt.ItemDataRole.ToolTipRole, Qt.ItemDataRole.AccessibleTextRole):
            return self._words(t, p)
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return Qt.AlignmentFlag.AlignCenter
        if role == Qt.ItemDataRole.BackgroundRole:
            return QBrush(self._colour(t, p))
        if role == Qt.ItemDataRole.ForegroundRole:
            return QBrush(readable_on(self._colour(t, p)))
        return None

    def _text(self, t: int, p: int) -> str:
        if self.shown == "counts":
            return f"{self.counts[t, p]:,}"
        share = self.shares[self.shown][t, p]
        return "-" if np.isnan(share) else f"{100 * share:.1f}"

    def _words(self, t: int, p: int) -> str:
        by = [self.shares[name][t, p] for name in ("% of row", "% of column")]
        shares = ["-" if np.isnan(share) else f"{share:.1%}" for share in by]
        return (
            f"{self.counts[t, p]:,} {self.unit} of '{self.names[t]}' were called '{self.names[p]}': {shares[0]} "
            f"of the row, {shares[1]} of the column"
        )

    def _colour(self, t: int, p: int) -> QColor:
        share = self.shares["% of column" if self.shown == "% of column" else "% of row"][t, p]
        share = 0.0 if np.isnan(share) else float(share)
        # Rare mistakes must be seen, too: the root makes 1 % a tenth of the way.
        return mixed(self.background, _RIGHT if t == p else _WRONG, 0.9 * share**0.5)


def mixed(first: QColor, second: QColor, share: float) -> QColor:
    """Return a colour between two; ``share`` is that of the second one."""
    pairs = zip(first.getRgb()[:3], second.getRgb()[:3], strict=True)
    return QColor(*(round(a + (b - a) * share) for a, b in pairs))


def readable_on(colour: QColor) -> QColor:
    """Return black or white, whichever has more contrast (WCAG 2) on a colour."""
    parts = np.array(colour.getRgbF()[:3])
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    luminance = float(linear @ (0.2126, 0.7152, 0.0722))
    return QColor("black" if (luminance + 0.05) ** 2 > 1.05 * 0.05 else "white")


class ConfusionView(QWidget):
    """The matrix, and how it is shown.

    Parameters
    ----------
    unit
        What is counted, such as ``"samples"``.
    background
        Colour of a cell without anything.
    """

    def __init__(
        self, confusion: np.ndarray, names: tuple[str, ...], unit: str, background: QColor
    ) -> None:
        super().__init__()
        self._scores = Scores(confusion)
        self._matrix = matrix = _Matrix(unit)
        matrix.names, matrix.counts, matrix.background = names, confusion, background
        matrix.shares = {
            "% of row": self._scores.normalised("truth"),
            "% of column": self._scores.normalised("prediction"),
        }
        self.show_choice = combo_box("Show", "Counts or shares.", _SHOWN, can_shrink=False)
        for number, tip in enumerate(_SHOWN.values()):
            self.show_choice.setItemData(number, tip, Qt.ItemDataRole.ToolTipRole)
        self.order_choice = combo_box("Order", "Order of the classes.", _ORDERS, can_shrink=False)
        self.meaning = text_line("What the rows and columns are")
        self.table = self._make_table()
        layout = QVBoxLayout(self)
        controls = row(self.show_choice, self.order_choice)
        controls.addWidget(self.meaning, stretch=1)
        layout.addLayout(controls)
        layout.addWidget(self.table, stretch=1)
        self.show_choice.currentTextChanged.connect(self._show)
        self.order_choice.currentTextChanged.connect(self._show)
        self._show()

    def _make_table(self) -> QTableView:
        table = QTableView()
        table.setModel(self._matrix)
        table.setAccessibleName("Confusion matrix")
        table.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        table.setTabKeyNavigation(False)
        table.setAlternatingRowColors(False)
        metrics = table.fontMetrics()
        longest = max(metrics.horizontalAdvance(name) for name in self._matrix.names) + 16
        top, left = table.horizontalHeader(), table.verticalHeader()
        top.setDefaultSectionSize(min(max(longest, _NAME_WIDTHS[0]), _NAME_WIDTHS[1]))
        left.setFixedWidth(min(longest + 8, _ROW_NAMES_WIDTH))
        left.setDefaultSectionSize(metrics.height() + 12)
        for header in (top, left):
            header.setTextElideMode(Qt.TextElideMode.ElideMiddle)
            header.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
            header.setHighlightSections(False)
        left.setDefaultAlignment(Qt.AlignmentFlag.AlignCenter)
        return table

    @property
    def texts(self) -> list[list[str]]:
        """What the cells say, row by row."""
        order = [int(k) for k in self._matrix.order]
        return [[self._matrix._text(t, p) for p in order] for t in order]

    @property
    def order(self) -> list[str]:
        """Names of the classes in the order in which they are shown."""
        return [self._matrix.names[k] for k in self._matrix.order]

    def _show(self) -> None:
        self._matrix.beginResetModel()
        self._matrix.shown = self.show_choice.currentText()
        n = len(self._matrix.names)
        is_sorted = self.order_choice.currentText() == _ORDERS[1]
        self._matrix.order = self._scores.most_confused() if is_sorted else np.arange(n)
        self._matrix.endResetModel()
        self.meaning.setText(
            f"Rows: what it is. Columns: what it was called. {_SHOWN[self._matrix.shown]}"
        )
