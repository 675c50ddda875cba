"""A form made from a frozen settings dataclass: default, range and tooltip are written there and only there."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any, get_type_hints

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QGridLayout, QLabel, QWidget

from napari_convnet.settings import field_options
from napari_convnet.widgets.controls import row
from napari_convnet.widgets.settings_control import SettingControl

#: Longer labels wrap.
_LABEL_WIDTH = 120


class SettingsForm(QWidget):
    """One control for each named field; `value` and `set_value` speak dictionaries.

    The label of a value that is not the default is bold. A smallest and a largest value share a row.

    Parameters
    ----------
    settings
        A class made of `Annotated` fields, see `napari_convnet.settings`.
    names
        Its fields to show.
    automatic
        Those that the program can choose: None until it has, and by default.
    columns
        Settings side by side.
    """

    changed = Signal()

    def __init__(
        self,
        settings: type,
        names: Sequence[str],
        automatic: Sequence[str] = (),
        columns: int = 1,
    ) -> None:
        super().__init__()
        types, options = _types_and_options(settings)
        defaults = {field.name: field.default for field in dataclasses.fields(settings)}
        self.controls: dict[str, SettingControl] = {}
        for name in names:
            text = name_of(name, options[name])
            control = SettingControl(
                types[name], defaults[name], options[name], text, name in automatic
            )
            control.changed.connect(self._on_changed)
            self.controls[name] = control
        self._labels: list[tuple[QLabel, tuple[str, ...]]] = []
        self._columns, self._n_added = columns, 0
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setVerticalSpacing(4)
        if columns == 1:
            self._grid.setColumnMinimumWidth(0, _LABEL_WIDTH)
        for column in range(columns):
            self._grid.setColumnStretch(2 * column + 1, 1)
        self._lay_out(options)

    def value(self) -> dict[str, Any]:
        """Return the values of all fields."""
        return {name: control.value for name, control in self.controls.items()}

    def set_value(self, values: Mapping[str, Any]) -> None:
        """Show values; fields that are not named keep theirs."""
        for name, value in values.items():
            self.controls[name].value = value

    def changed_values(self) -> dict[str, Any]:
        """Return what differs from the defaults."""
        return {
            name: control.value for name, control in self.controls.items() if control.is_changed
        }

    def set_defaults(self, values: Mapping[str, Any]) -> None:
        """Take other defaults for some fields; values that were not changed follow."""
        for name, value in values.items():
            self.controls[name].set_default(value)
        self._show_changes()

    def reset(self) -> None:
        """Show the defaults."""
        self.set_value({name: control.default for name, control in self.controls.items()})

    def add(self, label: QLabel, widget: QWidget) -> None:
        """Add a labelled control that is no setting."""
        place = self._n_added
        line, column = divmod(place, self._columns)
        self._grid.addWidget(label, line, 2 * column)
        self._grid.addWidget(widget, line, 2 * column + 1)
        self._n_added += 1
        label.setBuddy(widget)
        label.setToolTip(widget.toolTip())

    def _lay_out(self, options: Mapping[str, Mapping[str, Any]]) -> None:
        for name, control in self.controls.items():
            stem, _, end = name.rpartition("_")
            if end == "max" and f"{stem}_min" in self.controls:
                continue
            if end == "min" and f"{stem}_max" in self.controls:
                names, text = (name, f"{stem}_max"), stem.replace("_", " ").capitalize()
                widget = _pair(control.native, self.controls[names[1]].native)
                widget.setToolTip(control.native.toolTip())
            else:
                names, text, widget = (name,), name_of(name, options[name]), control.native
            label = QLabel(text)
            label.setWordWrap(self._columns == 1)
            self._labels.append((label, names))
            self.add(label, widget)

    def _on_changed(self, _value: object) -> None:
        self._show_changes()
        self.changed.emit()

    def _show_changes(self) -> None:
        for label, names in self._labels:
            font = label.font()
            font.setBold(any(self.controls[name].is_changed for name in names))
            label.setFont(font)


@functools.cache  # reading the hints of all settings of training takes several milliseconds
def _types_and_options(settings: type) -> tuple[dict[str, type], dict[str, dict[str, Any]]]:
    return get_type_hints(settings), field_options(settings)


def name_of(name: str, options: Mapping[str, Any]) -> str:
    """Return what a field is called."""
    label = options.get("label", name.replace("_", " "))
    return label[0].upper() + label[1:]


def _pair(low: QWidget, high: QWidget) -> QWidget:
    pair = QWidget()
    layout = row(low, QLabel("to"), high)
    layout.setStretch(0, 1)
    layout.setStretch(2, 1)
    layout.setAlignment(Qt.AlignmentFlag.AlignVCenter)
    pair.setLayout(layout)
    return pair
