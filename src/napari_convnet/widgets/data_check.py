"""A window that tells what in the data would spoil a training or its score, before it begins."""

from __future__ import annotations

import threading
from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication, QDialog, QProgressBar, QTextBrowser, QVBoxLayout, QWidget

from napari_convnet.progress import Progress
from napari_convnet.widgets.background import JobResult
from napari_convnet.widgets.controls import push_button, row, text_line
from napari_convnet.widgets.folder_job import FolderRequest, read_folder_set
from napari_convnet.widgets.job_slot import JobSlot
from napari_convnet.widgets.session import Session
from napari_convnet.widgets.suspect_labels import SuspectLabels
from napari_convnet.widgets.training_job import TrainingRequest, build_set

if TYPE_CHECKING:
    from napari_convnet.data_doctor import Evidence, Finding
    from napari_convnet.images import CleanImage
    from napari_convnet.widgets.training_data import AnnotatedPlane

_SIZE = (620, 420)
_TITLES = {
    "classes": "Classes", "size": "Size of patches", "saturation": "Overexposed images", "brightness": "Brightness",
    "channels": "Order of channels", "copies": "Copies",
}  # fmt: skip


class DataCheck(QDialog):
    """Examines what would be trained on, in the background, and tells what was found and what to do.

    Parameters
    ----------
    parent
        The dock that it belongs to.
    session
        Its viewer shows annotations that are probably wrong.
    request
        What would be trained on.
    """

    def __init__(
        self, parent: QWidget, session: Session, request: TrainingRequest | FolderRequest
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle("Check of the data")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.resize(*_SIZE)
        self._session, self._request = session, request
        self.slot = JobSlot(self)
        self.status = text_line("How far the check is, and what it came to")
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setRange(0, 0)
        self.bar.setAccessibleName("Progress of the check")
        self.found = QTextBrowser()
        self.found.setAccessibleName("What was found")
        self.copy_button = push_button("Copy", "Copy what was found as text.", self.copy)
        self.copy_button.setEnabled(False)
        self.close_button = push_button("Close", "Close this window; a check ends.", self.close)
        self.close_button.setDefault(True)
        self.suspects_button = push_button(
            "Suspect labels…",
            "Find annotations that are probably wrong: networks judge the ones that they never saw.",
            self.find_suspects,
        )
        self.suspects_button.setVisible(request.task == "classify")
        buttons = row(self.suspects_button, self.copy_button, self.close_button)
        buttons.insertStretch(0)
        layout = QVBoxLayout(self)
        for widget in (self.status, self.bar, self.found):
            layout.addWidget(widget)
        layout.addLayout(buttons)

    def start(self) -> None:
        """Begin to examine."""
        self.status.setText("Reading the data…")
        self.slot.start(
            lambda stop: check_steps(self._request, stop), description="Check of the data",
            on_progress=self._on_progress, on_done=self._on_done,
        )  # fmt: skip

    def find_suspects(self) -> None:
        """Let networks judge annotations that they never saw, in a window of its own."""
        window = SuspectLabels(self.parentWidget(), self._session, self._request)
        window.show()
        window.start()

    def copy(self) -> None:
        """Put what was found on the clipboard."""
        QApplication.clipboard().setText(f"{self.status.text()}\n\n{self.found.toPlainText()}")

    def done(self, result: int) -> None:
        """Stop the work when the window is closed."""
        self.slot.request_stop()
        super().done(result)

    def _on_progress(self, events: tuple[Progress, ...]) -> None:
        last = events[-1]
        self.bar.setRange(0, last.total)
        self.bar.setValue(last.done)
        self.status.setText(f"{last.text[:1].upper()}{last.text[1:]}…")

    def _on_done(self, result: JobResult) -> None:
        self.bar.hide()
        if result.value is None:
            self.status.setText(result.error_text or "Stopped.")
            return
        findings, n_images, held_out = result.value
        n = len(findings)
        images = f"{n_images:,} image{'s' * (n_images != 1)}"
        what = f"{n} thing{'s' * (n != 1)} to look at" if n else "Nothing to complain about"
        self.status.setText(f"{what} in {images}. Held out: {held_out}.")
        self.found.setHtml(_as_html(findings))
        self.copy_button.setEnabled(True)


def _as_html(findings: Sequence[Finding]) -> str:
    from html import escape

    from napari_convnet.data_doctor import CHECKS

    told = [
        f"<p><b>{_TITLES[each.check]}.</b> {escape(each.what)}<br><i>What to do:</i> {escape(each.advice)}</p>"
        for each in findings
    ]
    clean = [what for check, what in CHECKS.items() if check not in {f.check for f in findings}]
    items = "".join(f"<li>{escape(what)}</li>" for what in clean)
    return "".join(told) + (f"<p>Not found:</p><ul>{items}</ul>" if clean else "")


def check_steps(
    request: TrainingRequest | FolderRequest, stop: threading.Event
) -> Generator[Progress, None, tuple[tuple[Finding, ...], int, str] | None]:
    """Read what would be trained on and examine it; runs in the worker, where torch is imported.

    Returns
    -------
    tuple or None
        What was found, the number of images, and what is held out; None after a stop.
    """
    yield Progress(done=0, total=0, text="reading the data")
    from napari_convnet.data_doctor import examine

    if isinstance(request, FolderRequest):
        evidence = yield from _of_folder(request, stop)
    else:
        evidence = _of_project(request)
    findings = None if evidence is None else (yield from examine(evidence, stop))
    if findings is None:
        return None
    return findings, len(evidence.images), evidence.samples.description


def _of_folder(
    request: FolderRequest, stop: threading.Event
) -> Generator[Progress, None, Evidence | None]:
    from napari_convnet.data_doctor import Evidence

    found = yield from read_folder_set(request, stop)
    return None if found is None else Evidence(*found)


def _of_project(request: TrainingRequest) -> Evidence:
    """Take the planes of stacks one by one: what spoils them is seen in any."""
    from napari_convnet.data_doctor import Evidence, object_diameters

    # as a `SegmentationSet` has them: images that are held out as wholes come last
    planes = sorted(request.planes, key=lambda plane: plane.split == "validation")
    request = replace(request, planes=tuple(planes), stacks=())
    samples, images = build_set(request)
    shown = [p.arrays.labels for p in planes if p.arrays.labels is not None]
    drawn = getattr(samples, "depths", ())
    diameters = object_diameters(shown) if request.task == "classify" else np.empty(0)
    if drawn:
        from scipy import ndimage

        diameters = object_diameters([ndimage.label(depth > 0)[0] for depth in drawn])
    return Evidence(
        samples, [_named(*pair) for pair in zip(images, planes, strict=True)], diameters
    )


def _named(image: CleanImage, plane: AnnotatedPlane) -> CleanImage:
    """Let the name of a plane of a stack or a film tell which one it is, counted from 1."""
    place = ", ".join(str(index + 1) for index in plane.arrays.plane)
    return replace(image, name=f"{plane.image_name}, plane {place}") if place else image
