"""One control for one setting, made from the setting's own line: type, default, range, tooltip."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QObject, Qt, Signal
from qtpy.QtWidgets import QAbstractSpinBox, QCheckBox, QComboBox, QDoubleSpinBox, QSpinBox, QWidget

#: A number with steps as small as this is shown as 1e-05 and goes up and down by a tenth of itself.
_TINY_STEP = 1e-5
#: A range that begins here means with it: as suits the task.
_AS_SUITS = -1.0


class SettingControl(QObject):
    """A widget for a setting's value.

    Parameters
    ----------
    kind
        bool, int, float or str.
    default
        What it shows first.
    options
        ``min``, ``max``, ``step``, ``choices``, ``tooltip`` of the setting.
    name
        Its accessible name.
    automatic
        Whether it can be left to the program; then its default and its ``value`` are None.
    """

    changed = Signal(object)

    def __init__(
        self, kind: type, default: Any, options: dict[str, Any], name: str, automatic: bool = False
    ) -> None:
        super().__init__()
        self.default = None if automatic else default
        self._is_automatic = automatic
        self.native = _make(kind, options, automatic)
        self.native.setAccessibleName(name)
        self.native.setToolTip(options.get("tooltip", ""))
        self.value = self.default
        self._signal().connect(lambda *_: self.changed.emit(self.value))

    @property
    def value(self) -> Any:
        """What is set; None for automatic."""
        widget = self.native
        if isinstance(widget, QCheckBox):
            return widget.isChecked()
        if isinstance(widget, QComboBox):
            return widget.currentText()
        if self._is_automatic and widget.value() == widget.minimum():
            return None
        return widget.value()

    @value.setter
    def value(self, value: Any) -> None:
        widget = self.native
        if isinstance(widget, QCheckBox):
            widget.setChecked(value)
        elif isinstance(widget, QComboBox):
            widget.setCurrentText(value)
        else:
            widget.setValue(widget.minimum() if value is None else value)

    @property
    def is_changed(self) -> bool:
        """Whether it shows something else than its default."""
        return self.value != self.default

    def set_default(self, value: Any) -> None:
        """Take another default; a value that was not changed follows it."""
        follows = not self.is_changed
        self.default = value
        if follows:
            self.value = value

    def explain(self, value: Any, reason: str) -> None:
        """Show what an automatic setting has become, and why."""
        if self._is_automatic:
            self.native.setSpecialValueText("auto" if value is None else f"auto: {value}")
        tooltip = self.native.toolTip().split("\n")[0]
        self.native.setToolTip(f"{tooltip}\n{reason}".strip())

    def _signal(self) -> Any:
        widget = self.native
        if isinstance(widget, QCheckBox):
            return widget.toggled
        return widget.currentTextChanged if isinstance(widget, QComboBox) else widget.valueChanged


def _make(kind: type, options: dict[str, Any], automatic: bool) -> QWidget:
    if kind is bool:
        return QCheckBox()
    if "choices" in options:
        combo = _CalmComboBox()
        combo.addItems(options["choices"])
        combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        combo.setMinimumContentsLength(6)
    else:
        combo = _CalmSpinBox() if kind is int else _number_box(options)
        combo.setRange(options["min"] - automatic, options["max"])
        combo.setSpecialValueText("auto" if automatic or options["min"] == _AS_SUITS else "")
        make_narrow(combo)
    combo.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    return combo


def make_narrow(box: QAbstractSpinBox) -> None:
    """Let two number boxes with their labels stand side by side in a dock: arrow keys and wheel do the steps."""
    box.setButtonSymbols(QAbstractSpinBox.ButtonSymbols.NoButtons)
    box.setStyleSheet("QAbstractSpinBox { min-width: 44px; padding: 3px 2px; }")


def _number_box(options: dict[str, Any]) -> QDoubleSpinBox:
    box = _CalmNumberBox()
    box.setDecimals(7)
    box.setSingleStep(options["step"])
    if options["step"] <= _TINY_STEP:
        box.setStepType(QAbstractSpinBox.StepType.AdaptiveDecimalStepType)
    return box


class _Calm:
    """Turns the wheel over to the dock, which scrolls, unless the control was clicked."""

    def wheelEvent(self, event: Any) -> None:
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()


class _CalmComboBox(_Calm, QComboBox):
    pass


class _CalmSpinBox(_Calm, QSpinBox):
    pass


class _CalmNumberBox(_Calm, QDoubleSpinBox):
    def textFromValue(self, value: float) -> str:
        """Write 0.002 and 1e-05, not 0.0020000."""
        return f"{value:.6g}"

    def valueFromText(self, text: str) -> float:
        """Read what people and `textFromValue` write."""
        try:
            return float(text.replace(",", "."))
        except ValueError:
            return self.value()

    def validate(self, text: str, position: int) -> Any:
        """Let 1e-05 be typed; what is no number is not taken."""
        from qtpy.QtGui import QValidator

        try:
            fits = self.minimum() <= float(text.replace(",", ".")) <= self.maximum()
        except ValueError:
            fits = False
        state = QValidator.State.Acceptable if fits else QValidator.State.Intermediate
        return state, text, position
