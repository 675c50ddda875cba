"""Many images in the Predict dock: which, where the results go, how far it is, and the summary as it grows."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from napari.layers import Layer
from napari.utils.notifications import show_warning
from qtpy.QtCore import QUrl
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import QFileDialog, QWidget

from napari_convnet.errors import UserError
from napari_convnet.images import describe_notes
from napari_convnet.progress import Progress, format_seconds, seconds_left
from napari_convnet.settings import ObjectSettings
from napari_convnet.widgets.applied_layers import show_applied
from napari_convnet.widgets.background import JobResult
from napari_convnet.widgets.job_slot import JobSlot
from napari_convnet.widgets.many_images_form import ManyImagesForm
from napari_convnet.widgets.many_images_job import (
    ManyImagesRequest,
    list_files,
    many_images_steps,
    open_result,
)
from napari_convnet.widgets.messages import guarded
from napari_convnet.widgets.preferences import read_preferences
from napari_convnet.widgets.session import Session

_FILTER = "Images (*.tif *.tiff *.png *.jpg *.jpeg *.bmp *.gif *.webp)"


class ManyImagesPanel(ManyImagesForm):
    """The folded part, its job, and the layers of the row that was clicked.

    Parameters
    ----------
    dock
        Whose jobs these are: they stop when it is closed.
    session
        Its model is applied.
    object_settings
        Tells how a mask becomes objects.
    """

    def __init__(
        self, dock: QWidget, session: Session, object_settings: Callable[[], ObjectSettings]
    ) -> None:
        super().__init__()
        self._session, self._object_settings = session, object_settings
        self.slot, self._listing, self._opening = JobSlot(dock), JobSlot(dock), JobSlot(dock)
        self._inputs: tuple[Path, ...] = ()
        self._labels: Path | None = None
        self._proposed = ""
        #: What runs or ran last, and what the rows that are shown came from.
        self._begun: ManyImagesRequest | None = None
        self._request: ManyImagesRequest | None = None
        self._shown: list[Layer] = []
        self._notes: list = []
        self._phase = (0, 0.0)
        for button, action in (
            (self.folder_button, self.choose_folder),
            (self.files_button, self.choose_files),
            (self.labels_button, self.choose_labels),
            (self.output_button, self.choose_output),
            (self.start_button, self.start),
            (self.stop_button, self.slot.request_stop),
            (self.open_button, self.open_folder),
        ):
            button.clicked.connect(lambda _checked, action=action: action())
        self.output.textChanged.connect(self._show_state)
        self.table.opened.connect(self.open_image)
        self.slot.changed.connect(self._show_state)
        session.model_changed.connect(self._on_model)
        self._show_state()

    # What to apply it to

    def choose_folder(self) -> None:
        """Ask for a folder of images."""
        text = QFileDialog.getExistingDirectory(self, "Folder of images", self._start_folder())
        if text:
            self._take((Path(text),))

    def choose_files(self) -> None:
        """Ask for image files."""
        texts, _ = QFileDialog.getOpenFileNames(self, "Images", self._start_folder(), _FILTER)
        if texts:
            self._take(tuple(map(Path, texts)))

    def choose_labels(self) -> None:
        """Ask for the folder of label images, or leave the one that is chosen."""
        if self._labels is not None:
            self._labels = None
        else:
            title = "Folder of label images with the names of the images"
            text = QFileDialog.getExistingDirectory(self, title, self._start_folder())
            self._labels = Path(text) if text else None
        self._show_state()

    def choose_output(self) -> None:
        """Ask for the folder of the results."""
        start = self.output.text() or self._start_folder()
        text = QFileDialog.getExistingDirectory(self, "Folder for the results", start)
        if text:
            self.output.setText(text)

    def _start_folder(self) -> str:
        if not self._inputs:
            return str(Path.home())
        return str(self._inputs[0] if self._inputs[0].is_dir() else self._inputs[0].parent)

    def _take(self, inputs: tuple[Path, ...]) -> None:
        self._inputs = inputs
        self._propose_output()
        output = Path(self.output.text())
        self._listing.start(
            lambda stop: list_files(inputs, output, stop), description="Listing images",
            on_progress=lambda _events: None, on_done=self._listed,
        )  # fmt: skip
        self._show_state()

    def _listed(self, result: JobResult) -> None:
        if result.outcome == "failed":
            self._inputs = ()
            self.chosen.setText(result.error_text)
            show_warning(result.error_text)
        elif result.value is not None:
            n, first = result.value, self._inputs[0]
            where = first if first.is_dir() else first.parent
            self.chosen.setText(f"{n:,} image{'s' * (n != 1)} in '{where.name}'")
            self.chosen.setToolTip(str(where))
        self._show_state()

    def _propose_output(self) -> None:
        """Propose a folder beside the images, named after the model, unless the person chose one."""
        is_chosen = self.output.text() not in ("", self._proposed)
        if not self._inputs or is_chosen or self.slot.state != "idle":
            return
        folder = Path(self._start_folder())
        name = self._session.model.card.name if self._session.model else "results"
        plain = "".join(c if c.isalnum() or c in "-_ " else "_" for c in name)
        self._proposed = str(folder.with_name(f"{folder.name}_{plain}"))
        self.output.setText(self._proposed)

    # The job

    def start(self) -> None:
        """Apply the model to all images that are not done yet."""
        guarded(self._start)

    def _start(self) -> None:
        model = self._session.model
        if model is None or not self._inputs or not self.output.text().strip():
            raise UserError("CN-405", "Choose a model, images and a folder for the results first.")
        is_classifier = model.card.task == "classify"
        mean = is_classifier and self._session.averages_orientations
        request = ManyImagesRequest(
            model, self._inputs, Path(self.output.text().strip()).expanduser(), self._object_settings(),
            8 if mean else 1, self._labels if is_classifier else None,
            read_preferences().device, self.start_over.isChecked(),
        )  # fmt: skip
        # Before it starts, as its first rows, or all, may be here before `start` has returned.
        before = self._begun, self._notes, self._phase
        self._begun, self._notes, self._phase = request, [], (0, 0.0)
        if self.slot.state == "idle":
            self.say("")
        is_started = self.slot.start(
            lambda stop: many_images_steps(request, stop), description="Applying to many images",
            on_progress=self._on_progress, on_done=self._on_done,
        )  # fmt: skip
        if not is_started:
            self._begun, self._notes, self._phase = before

    def _on_progress(self, events: tuple[Progress, ...]) -> None:
        for event in events:
            images = getattr(event, "images", ())
            if images and self._request is not self._begun:  # a refused job leaves the rows before
                self._request = self._begun
                self.table.start(event.columns)
                self.table.show()
                self._show_state()
            self.table.add(images)
            self._notes += getattr(event, "notes", ())
        event = events[-1]
        if event.total != self._phase[0]:
            self._phase = (event.total, time.monotonic())
        self.bar.setRange(0, event.total)
        self.bar.setValue(event.done)
        left = seconds_left(time.monotonic() - self._phase[1], event.done, event.total)
        self.say(event.text if left is None else f"{event.text}; {format_seconds(left)} left")

    def _on_done(self, result: JobResult) -> None:
        self.bar.setRange(0, 1)
        self.bar.setValue(result.outcome == "finished")
        self.start_over.setChecked(False)
        found = result.value
        if result.outcome == "failed":
            self.say(result.error_text)
            show_warning(result.error_text)
        elif found is None:
            self.say("Stopped. What is done is kept; Start goes on with the rest.")
        else:
            self.say("\n".join([_describe(found), *describe_notes(self._notes)]))
        self._show_state()

    # One image

    def open_image(self, image) -> None:
        """Open the image of a row, and its result, as layers."""
        request = self._request
        if image.problem:
            show_warning(f"{image.path.name}: {image.problem}")
            return
        if request is None:
            return
        self._opening.start(
            lambda stop: open_result(request, image.path, stop), description=f"Opening {image.path.name}",
            on_progress=lambda _events: None, on_done=lambda result: self._show_opened(image, result),
        )  # fmt: skip

    def _show_opened(self, image, result: JobResult) -> None:
        if result.outcome == "failed":
            show_warning(result.error_text)
        elif result.value is not None:
            guarded(lambda: self._show_layers(image, result.value))

    def _show_layers(self, image, opened) -> None:
        viewer = self._session.viewer
        before, n_before = self._shown, len(viewer.layers)
        for layer in before:
            layer.visible = False
        self._shown = show_applied(self._session, self._request.model, opened)
        if len(viewer.layers) > n_before:
            viewer.reset_view()
        if opened.prediction is None and "class" in image.summary:
            facts = image.summary
            self.say(
                f"{image.path.name}: {facts['class']} (probability {facts['probability']:.2f})"
            )

    def open_folder(self) -> None:
        """Show the results in the computer's own file manager."""
        QDesktopServices.openUrl(QUrl.fromLocalFile(self.output.text().strip()))

    # What is shown

    def _on_model(self) -> None:
        self._propose_output()
        self._show_state()

    def _show_state(self) -> None:
        model, state = self._session.model, self.slot.state
        self.show_state(
            state,
            model is not None,
            bool(self._inputs),
            Path(self.output.text().strip() or "?").is_dir(),
        )
        self.show_labels(model is not None and model.card.task == "classify", self._labels)


def _describe(found) -> str:
    """Say in one line what became of the images."""
    parts = [f"{found.n_done:,} of {found.n_images:,} images done"]
    if found.n_skipped:
        parts.append(f"{found.n_skipped:,} of them before")
    if found.problems:
        parts.append(f"{len(found.problems):,} could not be used")
    if found.n_left:
        parts.append(f"{found.n_left:,} left: Start goes on with them")
    return ", ".join(parts) + "."
