"""The key card: every mouse gesture and key, in one window beside the work."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QDialog,
    QDialogButtonBox,
    QHeaderView,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_convnet.widgets.preferences import read_preferences
from napari_convnet.widgets.tools import KEYS, gesture_table

_WIDTH = 860


class KeyCard(QDialog):
    """Lists gestures by tool and the keys that all tools share; work goes on while it is open.

    Parameters
    ----------
    parent
        The dock that it belongs to.
    """

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("ConvNet: keys and mouse")
        self.gestures = _table("Mouse gestures by tool", gesture_table())
        self.keys = _table("Keys of all tools", [["key", "what it does"], *_keys()])
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        close = buttons.button(QDialogButtonBox.StandardButton.Close)
        close.setToolTip("Close this window (Esc).")
        close.setAccessibleName("Close")
        buttons.rejected.connect(self.close)
        layout = QVBoxLayout(self)
        layout.addWidget(self.gestures)
        layout.addWidget(self.keys)
        layout.addWidget(buttons)
        self.resize(_WIDTH, self.sizeHint().height())

    def show_again(self) -> None:
        """Show the card, or bring it to the front."""
        self.show()
        self.raise_()
        self.activateWindow()
        for table in (self.gestures, self.keys):
            _fit_height(table)
        self.adjustSize()
        self.resize(_WIDTH, self.sizeHint().height())


def _keys() -> list[tuple[str, str]]:
    """Return the keys with the modifier that the person prefers."""
    (classes, what), *others = KEYS
    if read_preferences().class_modifier != "Control":
        classes = classes.replace("Ctrl", "Alt")
    return [(classes, what), *others]


def _table(name: str, rows: list[list[str]]) -> QTableWidget:
    """Make a table that is only read; the first row is its header."""
    header, *body = rows
    table = QTableWidget(len(body), len(header))
    table.setHorizontalHeaderLabels(header)
    table.verticalHeader().hide()
    table.setAccessibleName(name)
    table.setToolTip(name)
    table.setWordWrap(True)
    table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
    table.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
    table.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    sections = table.horizontalHeader()
    sections.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
    sections.setSectionResizeMode(0, QHeaderView.ResizeMode.ResizeToContents)
    for y, texts in enumerate(body):
        for x, text in enumerate(texts):
            item = QTableWidgetItem(text)
            item.setTextAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
            table.setItem(y, x, item)
    return table


def _fit_height(table: QTableWidget) -> None:
    """Show all rows, each as high as its text."""
    table.resizeRowsToContents()
    rows = sum(table.rowHeight(row) for row in range(table.rowCount()))
    table.setFixedHeight(rows + table.horizontalHeader().height() + 2 * table.frameWidth() + 2)
