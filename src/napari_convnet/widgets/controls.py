"""Small controls that all docks use, each with a tooltip and an accessible name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QFrame,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QPushButton,
    QScrollArea,
    QTableView,
    QVBoxLayout,
    QWidget,
)
from superqt import QElidingLabel

_PADDING = 4  # pixels above and below the text of a row


def push_button(
    text: str, tooltip: str, action: Callable[[], object] | None = None, *, checkable: bool = False
) -> QPushButton:
    """Make a button; its text is its accessible name."""
    button = QPushButton(text)
    button.setToolTip(tooltip)
    button.setAccessibleName(text.rstrip("…"))
    button.setAccessibleDescription(tooltip)
    button.setCheckable(checkable)
    if action is not None:
        button.clicked.connect(lambda _checked: action())
    return button


def combo_box(
    name: str, tooltip: str, items: Iterable[str | tuple[str, Any]] = (), *, can_shrink: bool = True
) -> QComboBox:
    """Make a choice of one of several items, each a text, or a text and what it stands for.

    It becomes narrower than its longest text where the dock is, if it ``can_shrink``.
    """
    combo = QComboBox()
    combo.setAccessibleName(name)
    combo.setToolTip(tooltip)
    for item in items:
        combo.addItem(*(item if isinstance(item, tuple) else (item,)))
    if can_shrink:
        policy = QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        combo.setSizeAdjustPolicy(policy)
    return combo


def text_line(accessible_name: str) -> QLabel:
    """Make a line of text that wraps and can be copied."""
    label = QLabel()
    label.setWordWrap(True)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setAccessibleName(accessible_name)
    label.setToolTip(accessible_name)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return label


def row(*widgets: QWidget) -> QHBoxLayout:
    """Lay widgets side by side; a text that may be cut gets what is left."""
    layout = QHBoxLayout()
    layout.setContentsMargins(0, 0, 0, 0)
    for widget in widgets:
        layout.addWidget(widget, stretch=1 if isinstance(widget, QElidingLabel) else 0)
    return layout


def show_whole_rows(table: QTableView, name: str) -> None:
    """Let a table show rows of text, one line each, that are chosen as wholes and not edited."""
    table.setAccessibleName(name)
    table.setToolTip(name)
    table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
    table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
    table.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
    table.setWordWrap(False)
    table.setShowGrid(False)
    table.setTabKeyNavigation(False)
    heights = table.verticalHeader()
    heights.hide()
    heights.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
    heights.setDefaultSectionSize(table.fontMetrics().height() + 2 * _PADDING)
    table.horizontalHeader().setHighlightSections(False)


def scrolling_column(dock: QWidget) -> QVBoxLayout:
    """Give a dock one column that scrolls where the screen is too small, and return the column."""
    content = QWidget()
    column = QVBoxLayout(content)
    column.setContentsMargins(6, 6, 6, 6)
    area = QScrollArea()
    area.setWidgetResizable(True)
    area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setWidget(content)
    outer = QVBoxLayout(dock)
    outer.setContentsMargins(0, 0, 0, 0)
    outer.addWidget(area)
    dock.setMinimumWidth(300)
    return column
