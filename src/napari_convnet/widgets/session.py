"""The session: what the docks of one viewer share, which is the project, the classes and the current model."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from napari.components import ViewerModel
from napari.utils.notifications import show_warning
from qtpy.QtCore import QObject, QTimer, Signal
from qtpy.QtWidgets import QApplication, QWidget

from napari_convnet.classes import ClassInfo, make_classes
from napari_convnet.errors import UserError
from napari_convnet.project import Project
from napari_convnet.widgets.class_editing import ClassEditing
from napari_convnet.widgets.history import Change, History
from napari_convnet.widgets.messages import guarded
from napari_convnet.widgets.open_image import OpenImage
from napari_convnet.widgets.preferences import read_preferences
from napari_convnet.widgets.project_names import unnamed_path
from napari_convnet.widgets.source import Source, find_by_id
from napari_convnet.widgets.warm_up import warm_up

if TYPE_CHECKING:
    from napari_convnet.model_file import Model
    from napari_convnet.widgets.annotation_tools import AnnotationTool
    from napari_convnet.widgets.prediction_result import Prediction

Task = Literal["classify", "segment", "locate"]

#: After this, what napari compiles is compiled in the background; a project that opens with a dock comes first.
_WARM_UP_MILLISECONDS = 1000
#: Classes that a new project starts with; two are the least that can be told apart, to find takes one.
FIRST_CLASSES: dict[str, tuple[str, ...]] = {
    "classify": ("class 1", "class 2"),
    "segment": ("background", "object"),
    "locate": ("object",),
}


class Session(ClassEditing, QObject):
    """State shared by the docks of one viewer. Docks read it, change it through its verbs and hear its signals."""

    task_changed = Signal()
    source_changed = Signal()
    classes_changed = Signal()
    annotations_changed = Signal()
    #: Once after one or several changes, as soon as Qt has the click back: for what only tells of them.
    annotations_settled = Signal()
    model_changed = Signal()
    prediction_changed = Signal()
    project_changed = Signal()
    #: A training's record has come to its end, be its dock closed or not.
    runs_changed = Signal()
    tool_changed = Signal()
    busy_changed = Signal()

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__()
        self._viewer = weakref.ref(viewer)
        self.project: Project | None = None
        self.model: Model | None = None
        self.model_path: Path | None = None
        #: What was predicted last, of which layers, and what is said of it; whichever dock asked for it.
        self.prediction: tuple[Prediction, Source, str] | None = None
        #: Whether a model that classifies looks at each thing in all eight orientations.
        self.averages_orientations = False
        #: Whether painted areas are learned as whole objects, as the person last chose.
        self.learns_whole_objects = False
        self.task: Task = "classify"
        self.source = Source()
        self.open_images: dict[Source, OpenImage] = {}
        self.tools: dict[tuple[str, Source], AnnotationTool] = {}
        self.active_tool: AnnotationTool | None = None
        self.history = History()
        self._current_class: dict[str, int] = dict.fromkeys(FIRST_CLASSES, 1)
        self._classes: dict[str, tuple[ClassInfo, ...]] = {
            task: make_classes(names) for task, names in FIRST_CLASSES.items()
        }
        self._verbs: dict[int, dict[str, weakref.WeakMethod]] = {}
        self._n_docks = 0
        self._path_to_reopen: Path | None = None
        self._settling = QTimer(self)
        self._settling.setSingleShot(True)
        self._settling.setInterval(0)
        self._settling.timeout.connect(self.annotations_settled)
        self.annotations_changed.connect(self._settling.start)
        QApplication.instance().aboutToQuit.connect(self.close_project)

    @property
    def viewer(self) -> ViewerModel:
        """The viewer that the docks are in."""
        viewer = self._viewer()
        if viewer is None:
            raise RuntimeError("the viewer is closed")
        return viewer

    def attach(self, dock: QWidget) -> None:
        """Count a dock in; the first one opens the project again that the last one closed."""
        self._n_docks += 1
        self._verbs[id(dock)] = {}
        dock.destroyed.connect(functools.partial(self._detach, id(dock)))
        path, self._path_to_reopen = self._path_to_reopen, None
        if path is not None and self.project is None:
            guarded(lambda: self.open_project(path))

    def offer(self, dock: QWidget, verbs: Mapping[str, Callable[[], object]]) -> None:
        """Take up the verbs of a dock; they are methods, which do not keep it alive."""
        self._verbs[id(dock)].update(
            {name: weakref.WeakMethod(method) for name, method in verbs.items()}
        )

    def leave(self, dock: QWidget) -> None:
        """Forget the verbs of a closed dock; with the last dock, layers that nothing would save go, too."""
        self._verbs.pop(id(dock), None)
        if not self._verbs:
            guarded(self._put_tools_away)

    def _detach(self, dock_id: int) -> None:
        self._verbs.pop(dock_id, None)
        self._n_docks -= 1
        if self._n_docks == 0:
            self._path_to_reopen = self.project.path if self.project else None
            self.close_project()

    def do(self, verb: str) -> bool:
        """Carry out a dock's verb, such as ``"train"``; return False when no dock offers it."""
        for verbs in self._verbs.values():
            method = verbs[verb]() if verb in verbs else None
            if method is not None:
                method()
                return True
        return False

    def ensure_project(self) -> Project:
        """Return the project; without one, start a nameless one, so that nothing has to be saved."""
        if self.project is None:
            folder = read_preferences().project_folder
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise UserError(
                    "CN-306", f"The folder of new projects, '{folder}', cannot be made: {error.strerror}. "
                    "Choose another in Preferences > ConvNet.",
                ) from error  # fmt: skip
            first = (
                find_by_id(self.viewer, self.source.image_ids[0]) if self.source.image_ids else None
            )
            name = "" if first is None else first.name
            self.new_project(unnamed_path(folder, name, datetime.now()))
        return self.project

    def new_project(self, path: Path) -> None:
        """Start a project file with the classes of now."""
        self.save_tools()  # first, because a failure here must leave everything as it is
        project = Project.create(path)
        for task, classes in self._classes.items():
            project.set_classes(task, classes)
        self._use(project)

    def open_project(self, path: Path) -> None:
        """Open a project file and take over its classes."""
        self.save_tools()
        project = Project.open(path)
        for task in self._classes:
            self._classes[task] = project.classes(task) or self._classes[task]
        self._use(project)
        for line in (*project.damage, *project.notes):
            show_warning(line)
        if project.read_only:
            show_warning(
                f"'{project.path.name}' is open for reading only: {project.read_only_reason}. Its annotations are "
                "shown but cannot be changed. To go on, save a copy (Project > Save a copy) and open that."
            )

    def save_copy(self, path: Path) -> None:
        """Write a copy of the project to a new file."""
        project = self.ensure_project()
        self.save_tools()
        self.finish_writes()
        project.save_copy(path)

    def _use(self, project: Project) -> None:
        """Work with another project: what is shown of the old one is written to it and goes."""
        self._put_tools_away()
        self.close_project()
        self.history.clear()
        self.project = project
        self.project_changed.emit()
        self.classes_changed.emit()
        self.annotations_changed.emit()

    def close_project(self) -> None:
        """Close the project file, if one is open; it holds everything."""
        if self.project is not None:
            try:
                self.save_tools()
                self.finish_writes()
            finally:
                self.project.close()
                self.project = None
        self.open_images.clear()

    def save_tools(self) -> None:
        """Write what the tools have not written yet, once a long edit has ended."""
        self.finish_edit()
        for tool in self.tools.values():
            tool.save()

    def set_tool(self, tool: AnnotationTool | None) -> None:
        """Choose the tool that undo and redo belong to, or none."""
        if tool is not self.active_tool:
            self.active_tool = tool
            self.tool_changed.emit()

    def undo(self) -> None:
        """Take back the last change of the project."""
        self._say("Undone", guarded(lambda: self._step(self.history.undo)))

    def redo(self) -> None:
        """Do the last undone change again."""
        self._say("Done again", guarded(lambda: self._step(self.history.redo)))

    def _step(self, step: Callable[[], Change | None]) -> Change | None:
        self.history.refuse_while_busy()
        self.save_tools()  # a stroke that has only just ended is the last change
        return step()

    def _say(self, what: str, change: Change | None) -> None:
        self.viewer.status = f"{what}: {change.text}" if change else "Nothing to undo or redo."

    def _put_tools_away(self) -> None:
        """Remove the layers of the tools; the project keeps the annotations."""
        self.save_tools()
        for tool in self.tools.values():
            tool.discard_layer()
        self.tools.clear()
        self.set_tool(None)

    def set_task(self, task: Task) -> None:
        """Choose between classifying cells, segmenting pixels and locating points."""
        if task != self.task:
            self.task = task
            self.task_changed.emit()
            self.classes_changed.emit()

    def set_source(self, source: Source) -> None:
        """Choose the layers to work on."""
        if source != self.source:
            self.source = source
            self.source_changed.emit()

    def classes_of(self, task: str) -> tuple[ClassInfo, ...]:
        """Return the classes of a task, whichever is the present one."""
        return self._classes[task]

    @property
    def open_image(self) -> OpenImage | None:
        """The image that is worked on, once it has been looked at."""
        return self.open_images.get(self.source)

    def set_model(self, model: Model, path: Path | None = None) -> None:
        """Make a model, of this file if it is from one, the one that is applied and saved."""
        self.model, self.model_path = model, path
        self.model_changed.emit()

    def set_prediction(self, found: Prediction, source: Source, text: str) -> None:
        """Make a prediction whose layers are shown the last one."""
        self.prediction = found, source, text
        self.prediction_changed.emit()


# A session lives as long as its viewer; napari may hand the same viewer out behind a proxy.
_sessions: weakref.WeakKeyDictionary[ViewerModel, Session] = weakref.WeakKeyDictionary()


def session_of(viewer: ViewerModel) -> Session:
    """Return the session of a viewer, made when first asked for."""
    viewer = getattr(viewer, "__wrapped__", viewer)
    session = _sessions.get(viewer)
    if session is None:
        session = _sessions[viewer] = Session(viewer)
        QTimer.singleShot(_WARM_UP_MILLISECONDS, warm_up)
    return session
