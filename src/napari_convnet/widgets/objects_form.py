"""The controls of objects, folded under a title: what is cut apart, filled and left out."""

from __future__ import annotations

import dataclasses
from typing import get_type_hints

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import QFormLayout, QSlider, QWidget

from napari_convnet.settings import ObjectSettings, field_options
from napari_convnet.widgets.controls import row, text_line
from napari_convnet.widgets.settings_control import SettingControl
from napari_convnet.widgets.settings_form import name_of
from napari_convnet.widgets.training_options import Fold


class ObjectsForm(Fold):
    """One control for each field of `ObjectSettings`; ``changed`` tells of every change by the person."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__("Objects")
        self.controls: dict[str, SettingControl] = {}
        self.status = text_line("What became of the objects")
        self.strength = QSlider(Qt.Orientation.Horizontal)
        self.add(self._make_form())
        self.add(self.status)
        self.status.hide()
        self._show_state()

    def value(self) -> ObjectSettings:
        """Return what is set."""
        return ObjectSettings(**{name: control.value for name, control in self.controls.items()})

    def set_value(self, settings: ObjectSettings) -> None:
        """Show settings without telling of a change."""
        for name, value in dataclasses.asdict(settings).items():
            with QSignalBlocker(self.controls[name]):
                self.controls[name].value = value
        self._show_state()

    def say(self, text: str) -> None:
        """Show one line below the controls, or none."""
        self.status.setText(text)
        self.status.setVisible(bool(text))

    def _make_form(self) -> QWidget:
        content = QWidget()
        form = QFormLayout(content)
        form.setContentsMargins(0, 0, 0, 0)
        hints, options = get_type_hints(ObjectSettings), field_options(ObjectSettings)
        for field in dataclasses.fields(ObjectSettings):
            name = name_of(field.name, options[field.name])
            control = SettingControl(hints[field.name], field.default, options[field.name], name)
            control.changed.connect(self._on_changed)
            self.controls[field.name] = control
            if hints[field.name] is bool:
                control.native.setText(name)
                form.addRow(control.native)
            elif field.name == "strength":
                form.addRow(name, row(self._make_slider(control), control.native))
            else:
                form.addRow(name, control.native)
                if hints[field.name] is int:
                    control.native.setSuffix(" px")
        return content

    def _make_slider(self, control: SettingControl) -> QSlider:
        box, slider = control.native, self.strength
        slider.setRange(box.minimum(), box.maximum())
        slider.setValue(box.value())
        slider.setAccessibleName("Strength of the separation")
        slider.setToolTip(box.toolTip())
        slider.valueChanged.connect(box.setValue)
        box.valueChanged.connect(slider.setValue)
        box.setFixedWidth(52)
        return slider

    def _on_changed(self, _value: object) -> None:
        self._show_state()
        self.changed.emit()

    def _show_state(self) -> None:
        is_cut = self.controls["touching"].value != "off"
        self.strength.setEnabled(is_cut)
        self.controls["strength"].native.setEnabled(is_cut)
        number = sum(control.is_changed for control in self.controls.values())
        self.set_note(f"{number} changed" if number else "")
