"""The form of one layer of the designer: its name, the settings of its kind, and what it takes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QFormLayout,
    QLabel,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from napari_convnet.errors import UserError
from napari_convnet.networks.graph import Layer
from napari_convnet.networks.layers import Conv2d, LayerKind, MaxUnpool2d
from napari_convnet.settings import field_options
from napari_convnet.widgets.controls import combo_box, text_line
from napari_convnet.widgets.settings_form import SettingsForm

_WIDTH = 235
_PADDINGS = ("valid", "same", "0", "1", "2", "3")
_BEGINNINGS = {word[:n] for word in ("valid", "same") for n in range(len(word))}


class LayerForm(QWidget):
    """Shows a layer and tells of edits; it never edits by itself."""

    renamed = Signal(str)
    settings_changed = Signal(object)  # the layer's settings
    inputs_changed = Signal(tuple)  # names
    refused = Signal(str)  # why what is typed cannot be

    def __init__(self) -> None:
        super().__init__()
        self.setFixedWidth(_WIDTH)
        self._kind: type[LayerKind] | None = None
        self._forms: dict[type[LayerKind], SettingsForm] = {}
        self._padding: dict[type[LayerKind], QComboBox] = {}
        self._is_shown = False
        self.name = QLineEdit()
        self.name.setAccessibleName("Name of the layer")
        self.name.setToolTip("Letters, digits, blanks, _ and -; Enter renames the layer.")
        self.name.setMaxLength(40)
        self.kind = text_line("What the layer does")
        self.settings = QStackedWidget()
        self.inputs = InputsForm()
        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        form.addRow("Layer", self.name)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for part in (form, self.kind, self.settings, self.inputs):
            layout.addLayout(part) if part is form else layout.addWidget(part)
        layout.addStretch()
        self.name.editingFinished.connect(self._rename)
        self.inputs.changed.connect(self.inputs_changed)

    def show_layer(self, layer: Layer | None, before: Sequence[str]) -> None:
        """Show a layer that can take those named in ``before``; None: nothing is chosen."""
        self.setEnabled(layer is not None)
        if layer is None:
            self.name.clear()
            self.kind.setText("Choose a layer to see what it does.")
            return
        kind = type(layer.settings)
        self._kind, self._is_shown = kind, False
        self.name.setText(layer.name)
        self.name.setModified(False)
        self.kind.setText((kind.__doc__ or "").split("\n")[0])
        form = self._form(kind)
        values = dataclasses.asdict(layer.settings)
        if kind in self._padding:
            self._padding[kind].setCurrentText(values.pop("padding"))
        if form.value() != values:
            form.set_value(values)
        self.settings.setCurrentWidget(form)
        self.settings.setFixedHeight(form.sizeHint().height())
        self.inputs.show_inputs(layer, before)
        self._is_shown = True

    @property
    def controls(self) -> dict:
        """Controls of the settings that are shown, by name."""
        return self._forms[self._kind].controls if self._kind else {}

    def _form(self, kind: type[LayerKind]) -> SettingsForm:
        """Return the form of a kind, made when it is first shown."""
        if kind not in self._forms:
            names = [field.name for field in dataclasses.fields(kind)]
            words = [name for name in names if name == "padding" and kind is Conv2d]
            form = SettingsForm(kind, [name for name in names if name not in words])
            if words:  # two words or a number
                tooltip = field_options(kind)["padding"]["tooltip"]
                self._padding[kind] = combo = combo_box("Padding", tooltip)
                combo.setEditable(True)
                combo.addItems(_PADDINGS)
                combo.currentTextChanged.connect(lambda _text: self._set())
                form.add(QLabel("Padding"), combo)
            form.changed.connect(self._set)
            self._forms[kind] = form
            self.settings.addWidget(form)
        return self._forms[kind]

    def _rename(self) -> None:
        if self._is_shown and self.name.isModified():
            self.name.setModified(False)
            self.renamed.emit(self.name.text())

    def _set(self) -> None:
        if self._is_shown and self._kind is not None:
            kind, values = self._kind, self._forms[self._kind].value()
            if kind in self._padding:
                values["padding"] = self._padding[kind].currentText()
                if values["padding"] in _BEGINNINGS:  # a word that is being typed
                    return
            try:
                settings = kind(**values)
            except UserError as error:
                self.refused.emit(error.message)
                return
            self.settings_changed.emit(settings)


class InputsForm(QWidget):
    """What a layer takes: one earlier layer, or several that meet."""

    changed = Signal(tuple)

    def __init__(self) -> None:
        super().__init__()
        self._order: tuple[str, ...] = ()
        self.first = combo_box("Takes", "The earlier layer whose output this one takes.")
        self.pool = combo_box("Places of", "The max pool whose places the values go back to.")
        self.several = QListWidget()
        self.several.setAccessibleName("Takes")
        self.several.setToolTip("Tick the earlier layers that meet here, two or more.")
        self._labels = {name: QLabel(name) for name in ("Takes", "Places of")}
        self._several_label = QLabel("Takes (tick two or more)")
        layout = QFormLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addRow(self._labels["Takes"], self.first)
        layout.addRow(self._labels["Places of"], self.pool)
        layout.addRow(self._several_label)
        layout.addRow(self.several)
        for combo in (self.first, self.pool):
            combo.activated.connect(lambda _index: self._tell())
        self.several.itemChanged.connect(self._tick)

    def show_inputs(self, layer: Layer, before: Sequence[str]) -> None:
        """Offer what a layer can take; what it takes but is not there stands first."""
        self._order = layer.inputs
        lost = [name for name in layer.inputs if name not in before]
        offered = [*lost, *reversed(before)]  # the nearest first
        joins = layer.settings.n_inputs[1] > 2
        unpools = isinstance(layer.settings, MaxUnpool2d)
        for widget in (self.first, self._labels["Takes"]):
            widget.setVisible(not joins)
        for widget in (self.pool, self._labels["Places of"]):
            widget.setVisible(unpools)
        for widget in (self.several, self._several_label):
            widget.setVisible(joins)
        for position, combo in enumerate((self.first, self.pool)):
            with QSignalBlocker(combo):
                combo.clear()
                combo.addItems(offered)
                if position < len(layer.inputs):
                    combo.setCurrentText(layer.inputs[position])
        with QSignalBlocker(self.several):
            self.several.clear()
            for name in offered if joins else ():
                item = QListWidgetItem(name)
                item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsUserCheckable)
                is_taken = name in layer.inputs
                item.setCheckState(Qt.CheckState.Checked if is_taken else Qt.CheckState.Unchecked)
                self.several.addItem(item)

    def _tell(self) -> None:
        second = (self.pool.currentText(),) if self.pool.isVisibleTo(self) else ()
        self.changed.emit((self.first.currentText(), *second))

    def _tick(self, item: QListWidgetItem) -> None:
        """Keep the order of those that were taken; a new one comes last."""
        name = item.text()
        if item.checkState() == Qt.CheckState.Checked:
            self._order = (*self._order, name)
        else:
            self._order = tuple(taken for taken in self._order if taken != name)
        self.changed.emit(self._order)
