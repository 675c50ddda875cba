"""The list of classes: colour, name, number of annotations and key; the chosen row is the class that is painted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from qtpy.QtCore import QModelIndex, QSignalBlocker, Qt
from qtpy.QtGui import QColor, QIcon, QPainter, QPixmap
from qtpy.QtWidgets import (
    QAbstractItemView,
    QColorDialog,
    QHeaderView,
    QInputDialog,
    QLineEdit,
    QMenu,
    QSizePolicy,
    QStyledItemDelegate,
    QStyleOptionViewItem,
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
_N_KEYS = 9
#: Share of the largest class, and colour, for the bar under a count.
_BAR = Qt.ItemDataRole.UserRole
_BAR_HEIGHT = 3


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
        self.table.setItemDelegateForColumn(_COUNT, _CountBar(self.table))
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(_NAME, QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(_COUNT, QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(_KEY, QHeaderView.ResizeMode.ResizeToContents)
        self.add_button = push_button("Add", "Add a class.", self.add)
        self.delete_button = push_button(
            "Delete…",
            "Delete the chosen class; you choose what becomes of its annotations.",
            self._delete,
        )
        self.more_button = push_button("More", "Recolour, move and merge classes.")
        self.more_button.setMenu(self._more_menu())
        self.search = QLineEdit()
        self.search.setPlaceholderText("Find a class (Enter chooses it)")
        self.search.setAccessibleName("Find a class")
        self.search.setToolTip("Type a part of a class's name; Enter chooses the first that fits.")
        self.search.textChanged.connect(self._filter)
        self.search.returnPressed.connect(self._choose_found)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.search)
        layout.addWidget(self.table)
        layout.addLayout(row(self.add_button, self.delete_button, self.more_button))
        session.classes_changed.connect(self.refresh)
        session.annotations_settled.connect(self._show_counts)
        session.busy_changed.connect(self._show_busy)
        self.table.itemSelectionChanged.connect(self._choose)
        self.table.itemChanged.connect(self._rename)
        self.refresh()

    def _show_busy(self) -> None:
        """Offer no edits while one is carried out."""
        for part in (self.table, self.add_button, self.delete_button, self.more_button):
            part.setEnabled(not self._session.history.busy_with)

    def _more_menu(self) -> QMenu:
        menu = QMenu(self)
        menu.setToolTipsVisible(True)
        for text, tip, action in (
            ("Colour…", "Choose the colour of the chosen class.", self._choose_colour),
            ("Move up", "Give the chosen class the key of the one above.", lambda: self._move(-1)),
            ("Move down", "Give the chosen class the key of the one below.", lambda: self._move(1)),
            (
                "Merge into…",
                "Give the annotations of the chosen class to another one.",
                self._merge,
            ),
        ):
            menu.addAction(text, action).setToolTip(tip)
        return menu

    def refresh(self) -> None:
        """Show the classes of now."""
        self.search.setVisible(len(self._session.classes) > _N_KEYS)
        modifier = {"Control": "Ctrl"}.get(read_preferences().class_modifier, "Alt")
        with QSignalBlocker(self.table):
            self.table.setRowCount(len(self._session.classes))
            for index, info in enumerate(self._session.classes):
                name = QTableWidgetItem(_swatch(info.colour), info.name)
                key = QTableWidgetItem(f"{modifier}+{index + 1}" if index < _N_KEYS else "")
                count = QTableWidgetItem()
                count.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                for column, item in ((_NAME, name), (_COUNT, count), (_KEY, key)):
                    if column != _NAME:
                        item.setFlags(item.flags() & ~Qt.ItemFlag.ItemIsEditable)
                    self.table.setItem(index, column, item)
            self.table.selectRow(self._session.current_class - 1)
        self._filter(self.search.text())
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
            counts = self._session.class_counts()
            most = max(1, *counts)
            for index, count in enumerate(counts):
                item = self.table.item(index, _COUNT)
                bar = (count / most, self._session.classes[index].colour)
                # Each of these draws the row anew, so only what differs is set.
                if item.text() != f"{count:,}":
                    item.setText(f"{count:,}")
                if item.data(_BAR) != bar:
                    item.setData(_BAR, bar)
                item.setToolTip(f"{count:,} annotated, {count / max(1, sum(counts)):.0%} of all")

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
        count = self._session.class_counts()[value - 1]
        gone = "delete them too"
        given_to = 0
        if count:
            name = self._session.classes[value - 1].name
            question = f"Delete class '{name}'. Its {count:,} annotations (Ctrl+Z brings all back):"
            others = self._others(value, "give them to '{}'")
            answer, is_sure = QInputDialog.getItem(
                self, "Delete class", question, [gone, *others], 0, False
            )
            if not is_sure:
                return
            given_to = others.get(answer, 0)
        guarded(lambda: self._session.delete_class(value, given_to))

    def _merge(self) -> None:
        value = self._session.current_class
        name, others = self._session.classes[value - 1].name, self._others(value, "{}")
        question = f"Merge class '{name}' into"
        answer, is_sure = QInputDialog.getItem(
            self, "Merge classes", question, list(others), 0, False
        )
        if is_sure:
            guarded(lambda: self._session.delete_class(value, others[answer]))

    def _others(self, value: int, text: str) -> dict[str, int]:
        """Return the values of the other classes by a text about each."""
        infos = enumerate(self._session.classes, start=1)
        return {text.format(info.name): other for other, info in infos if other != value}

    def _move(self, by: int) -> None:
        value = self._session.current_class
        guarded(lambda: self._session.move_class(value, value + by))

    def _filter(self, text: str) -> None:
        """Show the classes whose names hold a text."""
        for index, info in enumerate(self._session.classes):
            self.table.setRowHidden(index, text.casefold() not in info.name.casefold())

    def _choose_found(self) -> None:
        wanted = self.search.text().casefold()
        names = [info.name.casefold() for info in self._session.classes]
        found = sorted(
            (not name.startswith(wanted), value)
            for value, name in enumerate(names, start=1) if wanted in name
        )  # fmt: skip
        if wanted and found:
            self._session.set_current_class(found[0][1])
            self.search.clear()


class _CountBar(QStyledItemDelegate):
    """A count with a thin bar under it, as long as the class's share of the largest one."""

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex) -> None:
        """Draw the number, then the bar."""
        super().paint(painter, option, index)
        share, colour = index.data(_BAR) or (0.0, "")
        if share > 0:
            box = option.rect.adjusted(2, 0, -2, 0)
            width, top = max(2, round(box.width() * share)), box.bottom() - _BAR_HEIGHT
            painter.fillRect(box.left(), top, width, _BAR_HEIGHT, QColor(colour))


def _swatch(colour: str) -> QIcon:
    pixmap = QPixmap(14, 14)
    pixmap.fill(QColor(colour))
    icon = QIcon(pixmap)
    icon.addPixmap(pixmap, QIcon.Mode.Selected)  # which Qt would tint
    return icon
