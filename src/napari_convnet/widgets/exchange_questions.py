"""What a person is asked before an import or an export: a few questions with defaults that mostly fit."""

from __future__ import annotations

from typing import Any

from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_convnet.exchange import ExportOptions, ImportOptions

_AS_THE_FILE_SAYS = "as the file says"


class _Questions(QDialog):
    """A form with *Cancel* and one button that goes on."""

    def __init__(self, parent: QWidget, title: str, verb: str) -> None:
        super().__init__(parent)
        self.setWindowTitle(title)
        self.form = QFormLayout()
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.go_on = buttons.addButton(verb, QDialogButtonBox.ButtonRole.AcceptRole)
        self.go_on.setToolTip(f"{verb} now; it can be stopped.")
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addLayout(self.form)
        layout.addWidget(buttons)

    def add(self, label: str, control: Any, tooltip: str) -> Any:
        control.setToolTip(tooltip)
        control.setAccessibleName(label)
        self.form.addRow(label, control)
        return control


_POINTS_TIP = "Patches are squares with a class; positions are points for the task of finding them."


def _point_kinds() -> QComboBox:
    box = QComboBox()
    box.addItem("patches", "classify")
    box.addItem("positions", "locate")
    return box


def _size_box() -> QSpinBox:
    box = QSpinBox()
    box.setRange(1, 4096)
    box.setValue(48)
    box.setSuffix(" px")
    return box


class ImportQuestions(_Questions):
    """What a file may not say: class, size of patches, whether classes are added and decimals converted."""

    def __init__(
        self, parent: QWidget, title: str, asks: tuple[str, ...], classes: list[str]
    ) -> None:
        super().__init__(parent, title, "Import")
        self._class = self._size = self._add = self._points = self._convert = None
        if "class_name" in asks:
            self._class = self.add(
                "Class",
                QComboBox(),
                "Class of rows that name none; a file may have a column 'class'.",
            )
            self._class.addItems([_AS_THE_FILE_SAYS, *classes])
        if "task" in asks:
            self._points = self.add("Points become", _point_kinds(), _POINTS_TIP)
        if "size" in asks:
            self._size = self.add(
                "Patch size",
                _size_box(),
                "Side of the patch around a point, where the file says none.",
            )
        if "add_classes" in asks:
            self._add = self.add(
                "Add new classes",
                QCheckBox(),
                "Add classes that the project lacks; else such a file is refused.",
            )
            self._add.setChecked(True)
        if "converts_decimals" in asks:
            self._convert = self.add(
                "Convert decimals",
                QCheckBox(),
                "Take labels that are stored as decimals (1.0, 2.0) as the whole numbers that they are; else such a "
                "file is refused. A value such as 1.5 is always refused.",
            )

    def value(self) -> ImportOptions:
        """Return the answers."""
        name = self._class.currentText() if self._class and self._class.currentIndex() else ""
        return ImportOptions(
            class_name=name,
            size=self._size.value() if self._size else 48,
            add_classes=bool(self._add and self._add.isChecked()),
            task=self._points.currentData() if self._points else "classify",
            converts_decimals=bool(self._convert and self._convert.isChecked()),
        )


class ExportQuestions(_Questions):
    """How patches are written, or which points."""

    def __init__(self, parent: QWidget, title: str, name: str) -> None:
        super().__init__(parent, title, "Export")
        self._size = self._type = self._points = None
        if name == "points":
            self._points = self.add("Points are", _point_kinds(), _POINTS_TIP)
            return
        self._size = self.add(
            "Size around cells",
            _size_box(),
            "Side of the patch around a cell; picked patches keep their own.",
        )
        self._type = self.add(
            "Files",
            QComboBox(),
            "TIFF keeps 16-bit values; PNG is smaller and opens anywhere, with 8 bits.",
        )
        self._type.addItem("16-bit TIFF", "tiff")
        self._type.addItem("8-bit PNG", "png")

    def value(self) -> ExportOptions:
        """Return the answers."""
        if self._points is not None:
            return ExportOptions(task=self._points.currentData())
        return ExportOptions(self._size.value(), self._type.currentData())
