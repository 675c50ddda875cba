"""All options of training: the basic ones in sight, the others folded in the groups that the settings name."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_convnet.settings import TrainingSettings, field_options
from napari_convnet.widgets.controls import push_button
from napari_convnet.widgets.option_group import OptionGroup

_AUTOMATIC = ("epochs", "batch_size")
_BASIC = "basic"


class TrainingOptions(QWidget):
    """One form for each group of `TrainingSettings`; `value` and `set_value` speak dictionaries of all fields.

    The form of a folded group is made when it is first unfolded.
    """

    changed = Signal()
    preview_asked = Signal()

    def __init__(self) -> None:
        super().__init__()
        groups: dict[str, list[str]] = {}
        for name, options in field_options(TrainingSettings).items():
            groups.setdefault(options["group"], []).append(name)
        self.groups = {
            group: OptionGroup(TrainingSettings, names, _AUTOMATIC, columns=1 + (group == _BASIC))
            for group, names in groups.items()
        }
        self.basic = self.groups[_BASIC].form
        self._group_of = {name: group for group, names in groups.items() for name in names}
        self.preview_button = push_button(
            "Preview…",
            "Look at your own samples, as they are and augmented.",
            self.preview_asked.emit,
        )
        self.defaults_button = push_button(
            "Defaults", "Set all options of this form back to their defaults.", self.reset
        )
        self.folds = {
            name: Fold(name.capitalize(), lambda group=group: group.form)
            for name, group in self.groups.items()
            if name != _BASIC
        }
        self._build()
        for group in self.groups.values():
            group.changed.connect(self._on_changed)
        self._on_changed()

    def _build(self) -> None:
        inner = QWidget()
        column = QVBoxLayout(inner)
        column.setContentsMargins(8, 0, 0, 0)
        column.setSpacing(2)
        for group, fold in self.folds.items():
            column.addWidget(fold)
            if group == "augmentation":
                fold.add(self.preview_button)
        self.more = Fold("More options", beside=self.defaults_button)
        self.more.add(inner)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.basic)
        layout.addWidget(self.more)

    @property
    def automatic(self) -> frozenset[str]:
        """Names of the settings that the data choose."""
        return frozenset(name for name in _AUTOMATIC if self.value()[name] is None)

    def value(self) -> dict[str, Any]:
        """Return the values of all fields; None where it is automatic."""
        return {name: v for group in self.groups.values() for name, v in group.value().items()}

    def set_value(self, values: Mapping[str, Any]) -> None:
        """Show values; fields that are not named keep theirs."""
        for name, value in values.items():
            self.groups[self._group_of[name]].set_value({name: value})

    def changed_values(self) -> dict[str, Any]:
        """Return what differs from the defaults."""
        groups = self.groups.values()
        return {name: value for group in groups for name, value in group.changed_values().items()}

    def set_defaults(self, values: Mapping[str, Any]) -> None:
        """Take other defaults for some fields; values that were not changed follow."""
        for name, value in values.items():
            self.groups[self._group_of[name]].set_defaults({name: value})

    def reset(self) -> None:
        """Show the defaults."""
        for group in self.groups.values():
            group.reset()

    def forget(self) -> None:
        """Show the defaults, and no automatic value of another training."""
        for group in self.groups.values():
            group.forget()

    def settings(self) -> TrainingSettings:
        """Return what is shown; what is automatic has its default.

        Raises
        ------
        UserError
            CN-501 for a smallest value above its largest.
        """
        known = {name: value for name, value in self.value().items() if value is not None}
        return dataclasses.replace(TrainingSettings(), **known)

    def explain(self, values: Mapping[str, Any], reasons: Mapping[str, str]) -> None:
        """Show what automatic settings have become, and the reasons in the tooltips."""
        for name, reason in reasons.items():
            self.groups[self._group_of[name]].explain(name, values.get(name), reason)

    def _on_changed(self) -> None:
        number = 0
        for group, fold in self.folds.items():
            changed = len(self.groups[group].changed_values())
            fold.set_note(f"{changed} changed" if changed else "")
            number += changed
        self.more.set_note(f"{number} changed" if number else "")
        self.defaults_button.setEnabled(bool(self.changed_values()))
        self.changed.emit()


class Fold(QWidget):
    """Content under a title; a click on the title shows or hides it.

    Parameters
    ----------
    title
        What the content is.
    make
        Makes the content when it is first shown, if that should wait.
    beside
        Something to stand beside the title.
    """

    def __init__(
        self,
        title: str,
        make: Callable[[], QWidget] | None = None,
        beside: QWidget | None = None,
    ) -> None:
        super().__init__()
        self._make = make
        self._title, self._note = title, ""
        self._content = QWidget()
        self.button = QPushButton()
        self.button.setCheckable(True)
        self.button.setFlat(True)
        self.button.setStyleSheet("text-align: left; background: transparent; padding: 2px;")
        self.button.setAccessibleName(title)
        self.button.setToolTip(f"Show or hide: {title.lower()}.")
        self.button.toggled.connect(self._show)
        head = QHBoxLayout()
        head.addWidget(self.button, stretch=1)
        if beside is not None:
            head.addWidget(beside)
        self._column = QVBoxLayout(self._content)
        self._column.setContentsMargins(8, 0, 0, 4)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addLayout(head)
        layout.addWidget(self._content)
        self._show(False)

    def add(self, widget: QWidget) -> None:
        """Add something below the content."""
        self._column.addWidget(widget)

    def set_note(self, note: str) -> None:
        """Say something about what is hidden."""
        self._note = note
        self._show(self.button.isChecked())

    def _show(self, is_open: bool) -> None:
        if is_open and self._make is not None:
            self._column.insertWidget(0, self._make())
            self._make = None
        self._content.setVisible(is_open)
        note = f" ({self._note})" if self._note else ""
        self.button.setText(f"{'▾' if is_open else '▸'} {self._title}{note}")
        font = self.button.font()
        font.setBold(bool(self._note))
        self.button.setFont(font)
