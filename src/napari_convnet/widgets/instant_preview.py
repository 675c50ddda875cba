"""The instant preview in the Annotate dock: a button, a line of words, and when to compute what."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial

from napari.layers import Layer
from qtpy.QtCore import QObject, Qt, QTimer
from qtpy.QtWidgets import QApplication, QWidget

from napari_convnet.instant import FeatureStore, PreviewLearned, PreviewPart
from napari_convnet.progress import Progress
from napari_convnet.widgets.background import JobResult
from napari_convnet.widgets.class_overlay import ClassOverlay
from napari_convnet.widgets.controls import push_button, text_line
from napari_convnet.widgets.instant_job import instant_steps
from napari_convnet.widgets.job_slot import JobSlot
from napari_convnet.widgets.layers import layer_id, mark_of
from napari_convnet.widgets.messages import guarded
from napari_convnet.widgets.paint_tool import PaintTool
from napari_convnet.widgets.project_strokes import KnownStrokes, make_task, painted_image
from napari_convnet.widgets.session import Session
from napari_convnet.widgets.source import current_plane, find_by_id

#: The preview follows a stroke, or the view, this long after.
_DELAY_MILLISECONDS = 150
#: Tiles that come are drawn together: each drawing of the canvas costs more than they do.
_DRAW_MILLISECONDS = 250
#: The layers of a network's answers.
_MASKS = ("predicted-mask", "live-mask")
_TIP = (
    "Show at once, while you paint, what the strokes of all images say of the part in view (key I). It is a forest on "
    "filters: quick, kept nowhere and never learned from."
)


class InstantPreview(QObject):
    """Keeps a preview of the strokes up to date while its button is pressed.

    Parameters
    ----------
    dock
        Whose job this is: it stops when the dock is closed.
    session
        Its strokes, classes and viewer.
    """

    def __init__(self, dock: QWidget, session: Session) -> None:
        super().__init__(dock)
        self._session = session
        self.button = push_button("Instant preview", _TIP, checkable=True)
        self.words = text_line("What the instant preview was made from")
        self.computing = JobSlot(dock)
        self._store, self._strokes, self._n_changes = FeatureStore(), KnownStrokes(), 0
        self._overlay: ClassOverlay | None = None
        self._asked_at = 0.0
        self._keyed: tuple[object, ...] = ()
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_DELAY_MILLISECONDS)
        self._timer.timeout.connect(lambda: guarded(self._update))
        self._drawing = QTimer(self)
        self._drawing.setSingleShot(True)
        self._drawing.setInterval(_DRAW_MILLISECONDS)
        self._drawing.timeout.connect(self._draw)
        self.button.toggled.connect(self._toggled)
        session.offer(dock, {"instant_preview": self.toggle})
        session.annotations_changed.connect(self._strokes_changed)
        for signal in (session.source_changed, session.tool_changed):
            signal.connect(self._ask)
        session.classes_changed.connect(self._show_classes)
        session.tool_changed.connect(self._listen_to_brush)
        session.task_changed.connect(self._show_task)
        session.project_changed.connect(self._forget)
        viewer = session.viewer
        self._events = (
            (viewer.layers.events.inserted, self._layer_added),
            (viewer.layers.events.removed, self._layer_removed),
            (viewer.scene.camera.events, self._ask),
            (viewer.dims.events.current_step, self._ask),
        )
        for event, slot in self._events:
            event.connect(slot)
        self._show_task()

    def toggle(self) -> None:
        """Switch the preview on or off; on, it begins to paint if something else was done."""
        if self._session.task != "segment":
            self._session.do("paint_strokes")
        self.button.toggle()

    def release(self) -> None:
        """Let go of the viewer, which outlives the dock, and take the preview away."""
        for event, slot in self._events:
            event.disconnect(slot)
        for layer in self._session.viewer.layers:
            if mark_of(layer).get("kind") in _MASKS:
                layer.events.data.disconnect(self._mask_changed)
        self._timer.stop()
        self._drawing.stop()
        self.computing.request_stop()
        self._remove()

    # When to compute ----------------------------------------------------------------------------

    def _show_task(self) -> None:
        is_painting = self._session.task == "segment"
        self.button.setVisible(is_painting)
        self.words.setVisible(is_painting and self.button.isChecked())
        if not is_painting:
            self.button.setChecked(False)

    def _toggled(self, is_on: bool) -> None:
        self.words.setVisible(is_on)
        if not is_on:
            self._timer.stop()
            self.computing.request_stop()
            self._remove()
        elif painted_image(self._session) is None:
            self.words.setText("Press Paint strokes, and paint some of each class.")
            self._session.do("paint_strokes")
        else:
            self._ask()

    def _listen_to_brush(self) -> None:
        """Hear of strokes before they are saved, and take the key I on the layer that is painted on."""
        tool = self._session.active_tool
        if isinstance(tool, PaintTool) and tool.is_shown and tool.layer not in self._keyed:
            layer, session = tool.layer, self._session
            layer.bind_key("I", lambda _layer: session.do("instant_preview"), overwrite=True)
            layer.events.paint.connect(self._strokes_changed)
            self._keyed = (*(each for each in self._keyed if each in session.viewer.layers), layer)

    def _strokes_changed(self, _event: object = None) -> None:
        self._n_changes += 1
        self._ask()

    def _ask(self, _event: object = None) -> None:
        if self.button.isChecked():
            self._asked_at = time.perf_counter()
            self._timer.start()

    def _update(self) -> None:
        """Start to compute what is in view, once the person has paused."""
        image = painted_image(self._session)
        if not self.button.isChecked() or image is None or self._session.history.busy_with:
            return
        if QApplication.mouseButtons() != Qt.MouseButton.NoButton:
            self._timer.start()
            return
        if not self.computing.make_way():
            return
        layer = find_by_id(self._session.viewer, image.source.image_ids[0])
        if self._overlay is None or self._overlay.image is not layer:
            self._remove()
            self._overlay = ClassOverlay(self._session.viewer, layer, "instant-preview", "Preview")
        overlay, plane = self._overlay, current_plane(self._session.viewer, layer)
        self._listen_to_brush()
        self._session.save_tools()
        window = overlay.window_in_view()
        overlay.show_classes(self._session.classes_of("segment"))
        overlay.show(plane, window)
        self._timer.stop()  # saving the strokes told of them again
        task = make_task(self._session, image, plane, window, self._n_changes)
        arguments = (task, self._store, self._strokes)
        self.computing.start(
            lambda stop: instant_steps(*arguments, stop), description="Instant preview",
            on_progress=partial(self._show_parts, overlay, window), on_done=partial(self._done, overlay),
        )  # fmt: skip

    # What came ----------------------------------------------------------------------------------

    def _show_classes(self) -> None:
        if self._overlay is not None:
            self._overlay.show_classes(self._session.classes_of("segment"))

    def _show_parts(
        self, overlay: ClassOverlay, window: tuple[slice, slice], events: Sequence[Progress]
    ) -> None:
        if overlay is not self._overlay:
            return
        if any(isinstance(event, PreviewLearned) and event.is_new for event in events):
            overlay.clear(window)  # what is out of view was told by other strokes
        parts = [event for event in events if isinstance(event, PreviewPart)]
        if parts and not self.computing.is_outdated:
            overlay.paste(parts)
            if not self._drawing.isActive():
                self._drawing.start()

    def _draw(self) -> None:
        self._drawing.stop()
        if self._overlay is not None:
            self._overlay.draw()

    def _done(self, overlay: ClassOverlay, result: JobResult) -> None:
        is_wanted = self.button.isChecked() and overlay is self._overlay
        if self.computing.is_outdated:
            guarded(self._update)
        if not is_wanted:
            return
        if result.outcome == "failed":
            self.words.setText(result.error_text)
            return
        if isinstance(result.value, PreviewLearned):
            self.words.setText(_words(result.value, time.perf_counter() - self._asked_at))
        elif result.value:
            overlay.clear()
            self.words.setText(result.value)
        self._draw()

    def _layer_added(self, event: object) -> None:
        """Make way for a network's mask of the same image, now and whenever a new one comes."""
        layer = event.value
        if mark_of(layer).get("kind") in _MASKS:
            layer.events.data.connect(self._mask_changed)
            self._yield_to(layer)

    def _mask_changed(self, event: object) -> None:
        self._yield_to(event.source)

    def _yield_to(self, mask: Layer) -> None:
        overlay, source = self._overlay, mark_of(mask).get("source")
        if self.button.isChecked() and overlay is not None and layer_id(overlay.image) == source:
            self.button.setChecked(False)
            self.words.setText("The network's mask has taken the place of the instant preview.")
            self.words.show()

    def _layer_removed(self, _event: object) -> None:
        if self._overlay is not None and self._overlay.image not in self._session.viewer.layers:
            self.computing.make_way()
            self._remove()
            self._store = FeatureStore()  # the job that still runs has the old one

    def _forget(self) -> None:
        """Another project: other strokes, and other numbers of images."""
        self.computing.request_stop()
        self._remove()
        self._store, self._strokes = FeatureStore(), KnownStrokes()
        self._ask()

    def _remove(self) -> None:
        overlay, self._overlay = self._overlay, None
        if overlay is not None:
            overlay.remove()


def _words(learned: PreviewLearned, seconds: float) -> str:
    images = f" in {learned.n_images} images" if learned.n_images > 1 else ""
    notes = "".join(f" {note}" for note in learned.notes)
    return (
        f"Preview from {learned.n_pixels:,} painted pixels{images}, after {seconds:.1f} s: a forest on filters. "
        f"A trained network does better: Train.{notes}"
    )
