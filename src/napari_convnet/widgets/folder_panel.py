"""What the Train dock shows of a folder of images for each class: counts, random samples, what is kept together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from napari.utils.notifications import show_warning
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QCheckBox, QFileDialog, QFormLayout, QLineEdit, QVBoxLayout, QWidget

from napari_convnet.folders import ClassFolder
from napari_convnet.widgets.background import JobResult
from napari_convnet.widgets.controls import push_button, row, text_line
from napari_convnet.widgets.folder_job import list_folder
from napari_convnet.widgets.job_slot import JobSlot
from napari_convnet.widgets.sample_grid import SampleGrid

_NAMES_SHOWN = 12


class FolderPanel(QWidget):
    """Chooses a folder of class folders to train on whole images, instead of the project's annotations."""

    changed = Signal()

    def __init__(self, dock: QWidget) -> None:
        super().__init__()
        self._dock = dock
        self._slot = JobSlot(dock)
        self.folder: ClassFolder | None = None
        self.choose_button = push_button(
            "Train on a folder…",
            "Train on whole images instead: choose a folder with one folder of images for each class.",
            self.choose,
        )
        self.samples_button = push_button(
            "Samples…", "Look at random images of the folder.", self.show_samples
        )
        self.leave_button = push_button(
            "Back", "Train on what is annotated in the project again.", self.leave
        )
        self.text = text_line("Images of each class")
        self.together = QLineEdit()
        self.together.setAccessibleName("Keep together")
        self.together.setPlaceholderText(r"such as ^(patient\d+)")
        self.together.setToolTip(
            "Part of the file names (a regular expression) that tells patient, slide or well: images of one are "
            "never split between training and validation. Empty: each image stands for itself."
        )
        self.skip_broken = QCheckBox()
        self.skip_broken.setAccessibleName("Skip broken")
        self.skip_broken.setToolTip(
            "Leave out images that cannot be read and say how many; otherwise training stops and names them."
        )
        self._form = QWidget()
        form = QFormLayout(self._form)
        form.setContentsMargins(0, 0, 0, 0)
        form.addRow("Keep together", self.together)
        form.addRow("Skip broken", self.skip_broken)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(row(self.choose_button, self.samples_button, self.leave_button))
        layout.addWidget(self.text)
        layout.addWidget(self._form)
        self._show()

    def choose(self) -> None:
        """Ask for the folder."""
        start = str(self.folder.root if self.folder else Path.home())
        text = QFileDialog.getExistingDirectory(self, "Folder with a folder for each class", start)
        if text:
            self.open(Path(text))

    def open(self, path: Path) -> None:
        """List a folder in the background and take it."""
        is_started = self._slot.start(
            lambda stop: list_folder(path, stop),
            description="Listing a folder",
            on_progress=lambda _events: None,
            on_done=self._listed,
        )
        if is_started:
            self.text.setText(f"Listing '{path.name}'…")
            self.text.show()

    def _listed(self, result: JobResult) -> None:
        if result.outcome == "failed":
            show_warning(result.error_text)
        elif result.value is not None:
            self.folder = result.value
        self._show()
        self.changed.emit()

    def leave(self) -> None:
        """Train on the project's annotations again."""
        self.folder = None
        self._show()
        self.changed.emit()

    def show_samples(self) -> None:
        """Show random samples in a window of their own."""
        if self.folder is not None:
            grid = SampleGrid(self._dock, self.folder)
            grid.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
            grid.show()
            grid.draw()

    def _show(self) -> None:
        folder = self.folder
        for part in (self.samples_button, self.leave_button, self.text, self._form):
            part.setVisible(folder is not None)
        self.choose_button.setText("Train on a folder…" if folder is None else "Other…")
        if folder is not None:
            self.text.setText(describe_folder(folder))
            self.text.setToolTip(str(folder.root))


def describe_folder(folder: ClassFolder) -> str:
    """Say how many images there are of each class."""
    counts = np.bincount(folder.targets, minlength=len(folder.class_names))
    named = list(zip(folder.class_names, counts, strict=True))
    parts = [f"{name}: {count:,}" for name, count in named[:_NAMES_SHOWN]]
    if len(named) > _NAMES_SHOWN:
        parts.append(f"and {len(named) - _NAMES_SHOWN} more classes")
    return f"{len(folder.files):,} images in '{folder.root.name}' ({', '.join(parts)})."
