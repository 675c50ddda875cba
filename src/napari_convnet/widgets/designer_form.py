"""The controls of the designer and where they are."""

from __future__ import annotations

from napari.components import ViewerModel
from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence, QShortcut
from qtpy.QtWidgets import (
    QDialog,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_convnet.networks.layers import LAYER_KINDS
from napari_convnet.widgets.controls import combo_box, push_button, row, text_line
from napari_convnet.widgets.layer_form import LayerForm
from napari_convnet.widgets.layer_list import HEADER, RIGHT, TIPS
from napari_convnet.widgets.network_diagram import NetworkDiagram
from napari_convnet.widgets.network_input import InputBar
from napari_convnet.widgets.row_table import WRONG, RowTable

_SIZE = (1260, 720)


class DesignerForm(QDialog):
    """Widgets only; `Designer` gives them their meaning."""

    def __init__(self, dock: QWidget, viewer: ViewerModel) -> None:
        super().__init__(dock)
        self.setWindowTitle("ConvNet: design a network")
        self.setWindowFlag(Qt.WindowType.WindowMaximizeButtonHint)
        self._make_top()
        self._make_middle(viewer)
        self._make_bottom()
        layout = QVBoxLayout(self)
        layout.addLayout(self._top())
        layout.addLayout(self._middle(), stretch=1)
        layout.addWidget(self.status)
        layout.addLayout(self._bottom())
        for button in self.findChildren(QPushButton):
            button.setAutoDefault(False)  # Enter in a field must not press one
        self._add_keys()
        self.resize(*_SIZE)

    def _make_top(self) -> None:
        self.begin_with = combo_box(
            "Begin with", "Replace the layers by those of another network; Undo brings them back."
        )
        self.begin_with.setPlaceholderText("another network…")
        self.name = QLineEdit("my network")
        self.name.setMaxLength(40)
        self.name.setAccessibleName("Name of the network")
        self.name.setToolTip("Under this name the project keeps it and the Train dock offers it.")
        self.input = InputBar()

    def _top(self) -> QHBoxLayout:
        top = QHBoxLayout()
        for label, widget in (("Name", self.name), ("Begin with", self.begin_with)):
            top.addWidget(QLabel(label))
            top.addWidget(widget, stretch=1)
        top.addSpacing(12)
        top.addWidget(self.input)
        return top

    def _make_middle(self, viewer: ViewerModel) -> None:
        self.table = RowTable("Layers", HEADER, TIPS, RIGHT, stretched=2)
        self.kind = combo_box("Kind of layer", "Which kind of layer Add inserts.")
        for kind in LAYER_KINDS:
            self.kind.addItem(kind.word, kind.kind)
            about = (kind.__doc__ or "").split("\n")[0]
            self.kind.setItemData(self.kind.count() - 1, about, Qt.ItemDataRole.ToolTipRole)
        self.add_button = push_button("Add", "Insert a layer of this kind behind the chosen one.")
        self.remove_button = push_button("Remove", "Take the chosen layer out (Delete).")
        self.up_button = push_button("Up", "Move the chosen layer up (Ctrl+Up).")
        self.down_button = push_button("Down", "Move the chosen layer down (Ctrl+Down).")
        self.undo_button = push_button("Undo", "Take back the last edit (Ctrl+Z).")
        self.redo_button = push_button("Redo", "Do it again (Ctrl+Shift+Z).")
        self.layer_form = LayerForm()
        self.diagram = NetworkDiagram(viewer)

    def _middle(self) -> QHBoxLayout:
        edits = row(
            self.kind, self.add_button, self.remove_button, self.up_button, self.down_button,
            self.undo_button, self.redo_button,
        )  # fmt: skip
        edits.setStretch(0, 1)
        left = QVBoxLayout()
        left.addWidget(self.table, stretch=1)
        left.addLayout(edits)
        middle = QHBoxLayout()
        middle.addLayout(left, stretch=1)
        middle.addWidget(self.layer_form)
        middle.addWidget(self.diagram)
        return middle

    def _make_bottom(self) -> None:
        self.status = text_line("Whether the layers make a network")
        self.save_button = push_button("Save", "Keep the network in the project under its name.")
        self.forget_button = push_button(
            "Forget", "Remove the network of this name from the project; the layers stay here."
        )
        self.import_button = push_button("Import…", "Read layers from a JSON file.")
        self.export_button = push_button("Export…", "Write the layers to a JSON file.")
        self.table_button = push_button(
            "Table…", "Show multiply-adds, memory and time of an epoch of these layers."
        )
        self.close_button = push_button(
            "Close", "Close this window (Esc); the layers stay until napari ends.", self.close
        )

    def _bottom(self) -> QHBoxLayout:
        buttons = row(
            self.save_button, self.forget_button, self.import_button, self.export_button, self.table_button,
        )  # fmt: skip
        buttons.addStretch()
        buttons.addWidget(self.close_button)
        return buttons

    def _add_keys(self) -> None:
        for keys, button, owner in (
            ("Ctrl+Z", self.undo_button, self), ("Ctrl+Shift+Z", self.redo_button, self),
            ("Ctrl+Up", self.up_button, self), ("Ctrl+Down", self.down_button, self),
            ("Delete", self.remove_button, self.table),
        ):  # fmt: skip
            shortcut = QShortcut(QKeySequence(keys), owner)
            if owner is self.table:
                shortcut.setContext(Qt.ShortcutContext.WidgetShortcut)
            shortcut.activated.connect(button.click)

    def say(self, text: str, is_problem: bool) -> None:
        """Write what is to know; what is wrong stands out."""
        self.status.setText(text)
        look = f"background: {WRONG}; color: white; padding: 3px; border-radius: 3px"
        self.status.setStyleSheet(look if is_problem else "padding: 3px")
