"""A form made from a frozen settings dataclass: default, range and tooltip are written there and only there."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, get_type_hints

from magicgui.widgets import create_widget
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QFormLayout, QWidget

from napari_convnet.settings import field_options


class SettingsForm(QWidget):
    """One control for each named field; `value` and `set_value` speak dictionaries."""

    changed = Signal()

    def __init__(self, settings: type, names: Sequence[str]) -> None:
        super().__init__()
        types, options = get_type_hints(settings), field_options(settings)
        defaults = {field.name: field.default for field in dataclasses.fields(settings)}
        layout = QFormLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self.controls = {}
        for name in names:
            choices = dict(options[name])
            choices.pop("group", None)
            label = choices.pop("label", name.replace("_", " "))
            control = create_widget(
                value=defaults[name],
                annotation=types[name],
                name=name,
                label=label,
                options=choices,
            )
            label = label[0].upper() + label[1:]
            control.native.setAccessibleName(label)
            if isinstance(control.native, QCheckBox):
                control.native.setText("")  # the form's label says it
            control.changed.connect(lambda _value: self.changed.emit())
            layout.addRow(label, control.native)
            self.controls[name] = control

    def value(self) -> dict[str, Any]:
        """Return the values of all fields."""
        return {name: control.value for name, control in self.controls.items()}

    def set_value(self, values: dict[str, Any]) -> None:
        """Show values; fields that are not named keep theirs."""
        for name, value in values.items():
            self.controls[name].value = value
