"""The project file in one line, with menus to start, open and copy one, and the offer of a lost one."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog, QMenu, QPushButton, QVBoxLayout, QWidget
from superqt import QElidingLabel

from napari_convnet.widgets.controls import push_button, row
from napari_convnet.widgets.messages import guarded
from napari_convnet.widgets.preferences import read_preferences
from napari_convnet.widgets.project_reader import open_project
from napari_convnet.widgets.recent_projects import recent_projects, remember_project
from napari_convnet.widgets.recovery import RecoveryBar
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
        self.recent_button = self._recent_button()
        self.recovery = RecoveryBar(session, self.open_path)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(row(self.button, self.recent_button, self.label))
        layout.addWidget(self.recovery)
        session.project_changed.connect(self._changed)
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

    def _recent_button(self) -> QPushButton:
        button = push_button("Recent", "Open one of the last ten projects again.")
        menu = QMenu(button)
        menu.setToolTipsVisible(True)
        menu.aboutToShow.connect(self._fill_recent)
        button.setMenu(menu)
        return button

    def _fill_recent(self) -> None:
        """List the projects that are there now."""
        menu = self.recent_button.menu()
        menu.clear()
        for path in recent_projects():
            # An ampersand would underline the next letter.
            action = menu.addAction(path.name.replace("&", "&&"), partial(self.open_path, path))
            action.setToolTip(str(path))
        if menu.isEmpty():
            menu.addAction("none yet").setEnabled(False)

    def _changed(self) -> None:
        if self._session.project is not None:
            remember_project(self._session.project.path)
        self.refresh()

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
            self.open_path(path)

    def open_path(self, path: Path) -> None:
        """Open a project file with its images."""
        guarded(lambda: open_project(self._session, path))

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
