"""The project file in one line, with a menu to start, open and copy one."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog, QMenu, QPushButton, QVBoxLayout, QWidget
from superqt import QElidingLabel

from napari_convnet.widgets.controls import push_button, row
from napari_convnet.widgets.messages import guarded
from napari_convnet.widgets.preferences import read_preferences
from napari_convnet.widgets.session import Session

_FILTER = "ConvNet project (*.convnet)"


class ProjectBar(QWidget):
    """Names the project file of a session and changes it."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self.label = QElidingLabel()
        self.label.setElideMode(Qt.TextElideMode.ElideMiddle)
        self.label.setAccessibleName("Project file")
        self.button = self._menu_button()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(row(self.button, self.label))
        session.project_changed.connect(self.refresh)
        self.refresh()

    def _menu_button(self) -> QPushButton:
        button = push_button(
            "Project", "Start or open a project file. Annotations are saved in it as you make them."
        )
        menu = QMenu(button)
        menu.addAction("New…", self.new)
        menu.addAction("Open…", self.open)
        menu.addAction("Save a copy…", self.save_copy)
        button.setMenu(menu)
        return button

    def refresh(self) -> None:
        """Show which project is open."""
        project = self._session.project
        if project is None:
            self.label.setText("starts with the first annotation")
            self.label.setToolTip("A project file is made when you annotate; or start or open one.")
            return
        self.label.setText(f"{project.path.name}{' (read only)' if project.read_only else ''}")
        self.label.setToolTip(str(project.path))

    def new(self) -> None:
        """Ask where to start a project file."""
        path = self._ask(QFileDialog.getSaveFileName, "New project")
        if path:
            guarded(lambda: self._session.new_project(path))

    def open(self) -> None:
        """Ask which project file to open."""
        path = self._ask(QFileDialog.getOpenFileName, "Open project")
        if path:
            guarded(lambda: self._session.open_project(path))

    def save_copy(self) -> None:
        """Ask where to write a copy of the project."""
        path = self._ask(QFileDialog.getSaveFileName, "Save a copy of the project")
        if path:
            guarded(lambda: self._session.save_copy(path))

    def _ask(self, dialog, title: str) -> Path | None:
        folder = read_preferences().project_folder
        text, _ = dialog(self, title, str(folder if folder.is_dir() else Path.home()), _FILTER)
        if not text:
            return None
        path = Path(text)
        return path if path.suffix == ".convnet" else path.with_name(path.name + ".convnet")
