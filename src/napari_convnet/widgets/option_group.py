"""A group of settings that keeps its values without a form; making a form takes long, and most stay folded."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from qtpy.QtCore import QObject, Signal

from napari_convnet.widgets.settings_form import SettingsForm


class OptionGroup(QObject):
    """Values of some fields of a settings class, and the form that shows them once it is asked for.

    Parameters
    ----------
    settings
        A class made of `Annotated` fields, see `napari_convnet.settings`.
    names
        Its fields in this group.
    automatic
        Those that the program can choose: None until it has, and by default.
    columns
        Settings side by side in the form.
    """

    changed = Signal()

    def __init__(
        self, settings: type, names: Sequence[str], automatic: Collection[str], columns: int = 1
    ) -> None:
        super().__init__()
        self._settings, self._names, self._columns = settings, tuple(names), columns
        self._automatic = [name for name in names if name in automatic]
        fields = {field.name: field.default for field in dataclasses.fields(settings)}
        self._defaults = {name: None if name in automatic else fields[name] for name in names}
        self._values = dict(self._defaults)
        self._reasons: dict[str, tuple[Any, str]] = {}
        self._form: SettingsForm | None = None

    @property
    def is_made(self) -> bool:
        """Whether there is a form yet."""
        return self._form is not None

    @property
    def form(self) -> SettingsForm:
        """The form, made when it is first asked for."""
        if self._form is None:
            form = SettingsForm(self._settings, self._names, self._automatic, self._columns)
            form.set_defaults(self._defaults)
            form.set_value(self._values)
            for name, (value, reason) in self._reasons.items():
                form.controls[name].explain(value, reason)
            form.changed.connect(self._read)
            self._form = form
        return self._form

    def value(self) -> dict[str, Any]:
        """Return the values of all fields; None where it is automatic."""
        return dict(self._values)

    def set_value(self, values: Mapping[str, Any]) -> None:
        """Take values; fields that are not named keep theirs."""
        if self._form is not None:
            self._form.set_value(values)
        elif values.items() - self._values.items():
            self._values.update(values)
            self.changed.emit()

    def changed_values(self) -> dict[str, Any]:
        """Return what differs from the defaults."""
        return {name: v for name, v in self._values.items() if v != self._defaults[name]}

    def set_defaults(self, values: Mapping[str, Any]) -> None:
        """Take other defaults for some fields; values that were not changed follow."""
        changed = self.changed_values()
        self._defaults.update(values)
        if self._form is not None:
            self._form.set_defaults(values)
        self.set_value({name: value for name, value in values.items() if name not in changed})

    def reset(self) -> None:
        """Take the defaults."""
        self.set_value(self._defaults)

    def forget(self) -> None:
        """Show the defaults, and no automatic value of another training."""
        self.reset()
        for name in self._names:
            self.explain(name, None, "")

    def explain(self, name: str, value: Any, reason: str) -> None:
        """Show what an automatic setting has become, and why."""
        self._reasons[name] = (value, reason)
        if self._form is not None:
            self._form.controls[name].explain(value, reason)

    def _read(self) -> None:
        self._values = self._form.value()
        self.changed.emit()
