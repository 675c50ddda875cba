"""Import and export for a dock: two menus of formats, a few questions, and the work in the background."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from napari.layers import Labels
from napari.utils.notifications import show_warning
from qtpy.QtWidgets import QDialog, QFileDialog, QMenu, QPushButton, QVBoxLayout, QWidget

from napari_convnet.errors import UserError
from napari_convnet.exchange import (
    FORMATS,
    ExportOptions,
    ImportOptions,
    ImportResult,
    apply_plan,
    export_project,
    import_files,
    import_label_layer,
)
from napari_convnet.progress import Progress, until_stop
from napari_convnet.project import Project
from napari_convnet.widgets.background import JobResult
from napari_convnet.widgets.controls import push_button, row, text_line
from napari_convnet.widgets.exchange_layers import label_layers, open_pixels, shown_predictions
from napari_convnet.widgets.exchange_questions import ExportQuestions, ImportQuestions
from napari_convnet.widgets.history import Change
from napari_convnet.widgets.job_slot import JobSlot
from napari_convnet.widgets.layers import image_data
from napari_convnet.widgets.messages import guarded
from napari_convnet.widgets.preferences import read_preferences
from napari_convnet.widgets.project_strokes import painted_image
from napari_convnet.widgets.session import Session


class ExchangeBar(QWidget):
    """Buttons *Import* and *Export* of a session's project, and how far the work is.

    Parameters
    ----------
    session
        Whose project.
    dock
        The dock that it is put into; the work stops when that is closed.
    """

    def __init__(self, session: Session, dock: QWidget) -> None:
        super().__init__()
        self._session = session
        self._slot = JobSlot(dock)
        self._dialog: QDialog | None = None
        self.import_button = push_button(
            "Import", "Read annotations made elsewhere into this project: all of a file or nothing."
        )
        self.export_button = push_button(
            "Export", "Write this project's annotations for other programs."
        )
        self.stop_button = push_button("Stop", "Stop; nothing is kept.", self._slot.request_stop)
        self.import_menu = self._menu(self.import_button, "reads", self.ask_import)
        self.layer_menu = self.import_menu.addMenu("Whole objects of a label layer")
        self.layer_menu.setToolTip(
            "Objects to segment from a label layer that is open, such as what cellpose found: painted into the image "
            "that is worked on, with a line of background where they touch."
        )
        self.layer_menu.aboutToShow.connect(self._offer_layers)
        self.export_menu = self._menu(self.export_button, "writes", self.ask_export)
        self.status = text_line("What was imported or exported")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(row(self.import_button, self.export_button, self.stop_button))
        layout.addWidget(self.status)
        self._slot.changed.connect(self._show_state)
        self._show_state()

    def _menu(self, button: QPushButton, direction: str, action: Callable[[str], None]) -> QMenu:
        menu = QMenu(button)
        menu.setToolTipsVisible(True)
        for name, form in FORMATS.items():
            if getattr(form, direction):
                entry = menu.addAction(f"{form.title}…")
                entry.triggered.connect(lambda *_checked, name=name: action(name))
                entry.setToolTip(form.holds)
        button.setMenu(menu)
        return menu

    # Objects of an open layer -------------------------------------------------------------------

    def _offer_layers(self) -> None:
        """List the label layers that may hold objects of the image that is worked on."""
        menu, opened = self.layer_menu, painted_image(self._session)
        menu.clear()
        layers = [] if opened is None else label_layers(self._session.viewer)
        for layer in layers:
            menu.addAction(layer.name).triggered.connect(
                lambda *_checked, layer=layer: self.import_layer(layer)
            )
        if not layers:
            hint = "Choose an image and paint first" if opened is None else "There is none"
            menu.addAction(hint).setEnabled(False)

    def import_layer(self, layer: Labels) -> None:
        """Paint the objects of a label layer into the image that is worked on."""
        guarded(partial(self._start_layer, layer))

    def _start_layer(self, layer: Labels) -> None:
        project, image_id = self._writable_project(), painted_image(self._session).image_id
        image = next(image for image in project.images() if image.id == image_id)
        labels, name = image_data(layer).array, layer.name
        self._start(
            lambda: import_label_layer(project, image, labels, name),
            f"Import: whole objects of '{name}'",
            lambda result: self._imported(project, result),
        )

    def _show_state(self) -> None:
        is_idle = self._slot.state == "idle"
        self.import_button.setEnabled(is_idle)
        self.export_button.setEnabled(is_idle)
        self.stop_button.setVisible(not is_idle)
        self.status.setVisible(bool(self.status.text()))

    # What a person is asked ---------------------------------------------------------------------

    def ask_import(self, name: str) -> None:
        """Ask which files to import, and what they do not say."""
        form = FORMATS[name]
        title, start = f"Import: {form.title}", str(_start_folder())
        if form.reads == "file" or name == "images":
            pattern = f"{form.title} (*{form.suffix})" if form.suffix else ""
            paths, _ = QFileDialog.getOpenFileNames(self, title, start, pattern)
        else:
            folder = QFileDialog.getExistingDirectory(self, title, start)
            paths = [folder] if folder else []
        if not paths:
            return
        files = [Path(path) for path in paths]
        if not form.asks or form.asks == ("task",):
            self.run_import(name, files, ImportOptions(task=self._session.task))
            return
        task = "segment" if name == "objects" else self._session.task
        classes = [info.name for info in self._session.classes_of(task)]
        questions = ImportQuestions(self, title, form.asks, classes)
        self._open(questions, lambda: self.run_import(name, files, questions.value()))

    def ask_export(self, name: str) -> None:
        """Ask where to export to, and how."""
        form = FORMATS[name]
        title = f"Export: {form.title}"
        start = str(_start_folder() / f"{name}{form.suffix if form.writes == 'file' else ''}")
        path, _ = QFileDialog.getSaveFileName(self, title, start)
        if not path:
            return
        if name not in ("patches", "points"):
            options = ExportOptions(task=self._session.task)
            self.run_export(name, Path(path), options)
            return
        questions = ExportQuestions(self, title, name)
        self._open(questions, lambda: self.run_export(name, Path(path), questions.value()))

    def _open(self, questions: QDialog, then: Callable[[], None]) -> None:
        self._dialog = questions
        questions.accepted.connect(then)
        questions.open()

    # The work -----------------------------------------------------------------------------------

    def run_import(self, name: str, paths: list[Path], options: ImportOptions) -> None:
        """Import in the background; one step of the history takes it back."""
        guarded(partial(self._start_import, name, paths, options))

    def _writable_project(self) -> Project:
        """Return the project with everything that is painted, or refuse to import into it."""
        project = self._session.ensure_project()
        if project.read_only:
            raise UserError(
                "CN-305",
                f"Not imported: '{project.path.name}' is open for reading only "
                f"({project.read_only_reason}). Save a copy and open that.",
            )
        self._session.save_tools()
        return project

    def _start_import(self, name: str, paths: list[Path], options: ImportOptions) -> None:
        project = self._writable_project()
        self._start(
            lambda: import_files(project, name, paths, options),
            f"Import: {FORMATS[name].title}",
            lambda result: self._imported(project, result),
        )

    def run_export(self, name: str, path: Path, options: ExportOptions) -> None:
        """Export in the background."""
        guarded(partial(self._start_export, name, path, options))

    def _start_export(self, name: str, path: Path, options: ExportOptions) -> None:
        project = self._session.ensure_project()
        self._session.save_tools()
        pixels = open_pixels(self._session)
        if name == "table":
            options = replace(options, predictions=shown_predictions(self._session))
        self._start(
            lambda: export_project(project, name, path, pixels, options),
            f"Export: {FORMATS[name].title}",
            lambda _result: None,
        )

    def _start(
        self,
        make_steps: Callable[[], Generator[Progress, None, Any]],
        text: str,
        then: Callable[[Any], None],
    ) -> None:
        self.status.setText(f"{text}…")
        self._slot.start(
            lambda stop: until_stop(make_steps(), stop),
            description=text,
            on_progress=self._show_progress,
            on_done=lambda result: self._done(result, then),
        )
        self._show_state()

    def _show_progress(self, events: tuple[Progress, ...]) -> None:
        last = events[-1]
        count = f" {last.done:,} of {last.total:,}" if last.total else ""
        self.status.setText(f"{last.text[:1].upper()}{last.text[1:]}{count}")

    def _done(self, result: JobResult, then: Callable[[Any], None]) -> None:
        if result.outcome == "failed":
            show_warning(result.error_text)
            self.status.setText(result.error_text)
        elif result.value is None:
            self.status.setText("Stopped. Nothing was changed.")
        else:
            guarded(lambda: then(result.value))
            self.status.setText(result.value.summary)
        self._show_state()

    def _imported(self, project: Any, result: Any) -> None:
        """Show what was imported; undo and redo work on it as on a click."""
        if project is not self._session.project:
            return  # another one was opened meanwhile; its history is not about this import
        self._session.show_annotations_again()
        if not isinstance(result, ImportResult):
            return
        done = [result]

        session, text = self._session, f"import of {result.plan.source}"

        def undone(_value: None) -> None:
            done.pop()
            session.read_classes_again()

        def done_again(again: ImportResult) -> None:
            done.append(again)
            session.read_classes_again()

        session.history.note(
            Change(
                lambda: session.carry_out(
                    lambda: apply_plan(project, result.plan), done_again, text
                ),
                lambda: session.carry_out(
                    lambda: done[-1].undo(project), undone, f"undo of {text}"
                ),
                text,
            )
        )


def _start_folder() -> Path:
    folder = read_preferences().project_folder
    return folder if folder.is_dir() else Path.home()
