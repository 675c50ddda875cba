"""Live training in the Train dock: a button, what the network thinks of the part in view, and how right it was."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from qtpy.QtCore import QObject, QTimer
from qtpy.QtWidgets import QApplication, QCheckBox, QWidget

from napari_convnet.errors import UserError
from napari_convnet.live import RECENT_STROKES, LivePart, StrokesJoined
from napari_convnet.progress import Progress
from napari_convnet.widgets.class_overlay import ClassOverlay, UncertaintyOverlay
from napari_convnet.widgets.controls import push_button, text_line
from napari_convnet.widgets.live_source import LiveDesk
from napari_convnet.widgets.messages import guarded
from napari_convnet.widgets.open_image import OpenImage
from napari_convnet.widgets.paint_tool import PaintTool
from napari_convnet.widgets.planes import planes_of
from napari_convnet.widgets.project_strokes import StrokeTask, make_task, painted_image
from napari_convnet.widgets.session import Session
from napari_convnet.widgets.source import Source, current_plane, find_by_id
from napari_convnet.widgets.tile_overlay import TileOverlay

#: The network hears of another view once the view has rested this long.
_DELAY_MILLISECONDS = 200
#: Tiles that come are drawn together: each drawing of the canvas costs more than they do.
_DRAW_MILLISECONDS = 250
_TIP = (
    "Train while you paint: strokes join at once, and the mask of the part in view is shown anew every few seconds "
    "until you press Stop. Paint where it is wrong. Epochs, time limit and what is held out mean nothing here."
)


class LiveTraining(QObject):
    """Feeds a live training with strokes and the view, and shows what it thinks.

    Parameters
    ----------
    dock
        Whose button it is.
    session
        Its strokes, classes and viewer.
    begin, stop
        Start the training, called with where it looks and the channels' names, if none runs; and stop it.
    """

    def __init__(
        self,
        dock: QWidget,
        session: Session,
        begin: Callable[[LiveDesk, tuple[str, ...]], bool],
        stop: Callable[[], None],
    ) -> None:
        super().__init__(dock)
        self._session, self._begin, self._stop = session, begin, stop
        self.button = push_button("Live", _TIP, self.start)
        self.uncertainty = QCheckBox("Show where the network is unsure")
        self.uncertainty.setToolTip(
            "Bright where two classes are about equally likely: strokes there teach the most."
        )
        self.uncertainty.setAccessibleName(self.uncertainty.text())
        self.uncertainty.hide()
        self.words = text_line("How right the live mask was on new strokes")
        self.words.hide()
        self.desk: LiveDesk | None = None
        self._classes: ClassOverlay | None = None
        self._unsure: UncertaintyOverlay | None = None
        self._task: StrokeTask | None = None
        self._tiles: list[LivePart] = []
        self._joined: list[StrokesJoined] = []
        self._n_changes = 0
        self._wanted: tuple[str, ...] = ()  # layers of the image that is being opened for it
        self._look, self._drawing = QTimer(self), QTimer(self)
        for timer, interval, slot in (
            (self._look, _DELAY_MILLISECONDS, self._look_again),
            (self._drawing, _DRAW_MILLISECONDS, self._draw),
        ):
            timer.setSingleShot(True)
            timer.setInterval(interval)
            timer.timeout.connect(slot)
        self.uncertainty.toggled.connect(self._show_uncertainty)
        session.annotations_changed.connect(self._strokes_changed)
        session.classes_changed.connect(self._strokes_changed)
        session.source_changed.connect(self._look.start)
        session.tool_changed.connect(self._tool_changed)
        session.project_changed.connect(self._project_changed)
        viewer = session.viewer
        self._events = (
            (viewer.layers.events.removed, self._ask),
            (viewer.scene.camera.events, self._ask),
            (viewer.dims.events.current_step, self._ask),
        )
        for event, slot in self._events:
            event.connect(slot)

    @property
    def is_on(self) -> bool:
        """Whether a live training runs."""
        return self.desk is not None

    def release(self) -> None:
        """Let go of the viewer, which outlives the dock."""
        for event, slot in self._events:
            event.disconnect(slot)
        self.end()
        self.remove()
        self._wanted = ()

    # The beginning and the end ----------------------------------------------------------------

    def start(self) -> None:
        """Begin to train; the image is opened for painting first."""
        guarded(self._start)

    def _start(self) -> None:
        image = painted_image(self._session)
        if image is None or not self._is_painted(image.source.image_ids):
            self._wanted = self._session.source.image_ids  # it is looked at in the background
            if not self._session.do("paint_strokes"):
                self._wanted = ()
                raise UserError(
                    "CN-406",
                    "There is nothing to paint on yet. Open the Annotate dock, choose an image and press Paint "
                    "strokes; then press Live.",
                )
            return
        self._wanted = ()
        self._session.save_tools()
        task = self._task_of(image)
        plane = planes_of(self._session.viewer, Source(image.source.image_ids), axes=0).arrays(0)
        desk = LiveDesk(task, self._session.classes_of("segment"))
        if not self._begin(desk, plane.channel_names):
            return
        self._joined.clear()
        self.desk, self._task = desk, task
        is_whole = self._session.learns_whole_objects
        whole = " Live learns pixels; whole objects are learned by Train." * is_whole
        self.words.setText(f"Paint strokes of each class: they are learned as they come.{whole}")
        self.words.show()
        self.uncertainty.show()

    def _tool_changed(self) -> None:
        if self._session.active_tool is None or not self._wanted:
            return
        wanted, self._wanted = self._wanted, ()
        if self._is_painted(wanted):
            self.start()

    def _is_painted(self, layers: tuple[str, ...]) -> bool:
        tool = self._session.active_tool
        return isinstance(tool, PaintTool) and tool.image.source.image_ids == layers

    def _project_changed(self) -> None:
        """Stop before strokes of another project could join."""
        if self.is_on and self._session.project is not self._task.project:
            self.end()
            self.remove()
            self._stop()

    def end(self) -> None:
        """Stop listening: the training is over. What it showed last stays until `remove`."""
        self._draw()
        self.desk = None
        self._look.stop()
        self._drawing.stop()
        self.uncertainty.hide()

    def remove(self) -> None:
        """Take the layers away."""
        for overlay in (self._classes, self._unsure):
            if overlay is not None:
                overlay.remove()
        self._classes = self._unsure = None
        self._tiles.clear()

    # What it is told ----------------------------------------------------------------------------

    def _task_of(self, image: OpenImage) -> StrokeTask:
        """Return what the worker is told; the overlays are made for the image that is looked at."""
        viewer = self._session.viewer
        layer = find_by_id(viewer, image.source.image_ids[0])
        if self._classes is None or self._classes.image is not layer:
            self.remove()
            self._classes = ClassOverlay(viewer, layer, "live-mask", "Live")
            self._unsure = UncertaintyOverlay(viewer, layer)
        plane, window = current_plane(viewer, layer), self._classes.window_in_view()
        return make_task(self._session, image, plane, window, self._n_changes)

    def _strokes_changed(self) -> None:
        self._n_changes += 1
        if self._classes is not None:
            self._classes.show_classes(self._session.classes_of("segment"))
        if self.is_on:
            self._look_again()

    def _ask(self, _event: object = None) -> None:
        if self.is_on:
            self._look.start()

    def _look_again(self) -> None:
        """Tell the worker of the strokes and the view of now."""
        if self.desk is not None:
            guarded(self._tell)

    def _tell(self) -> None:
        image = painted_image(self._session)
        if image is None:
            self.desk.show(None)
            return
        self._task = self._task_of(image)
        self.desk.put(self._task, self._session.classes_of("segment"))
        self.desk.show(self._task)

    # What it tells ------------------------------------------------------------------------------

    def take(self, events: Sequence[Progress]) -> None:
        """Show what a training tells."""
        for event in events:
            if isinstance(event, StrokesJoined):
                self._add(event)
            elif isinstance(event, LivePart) and self._task and event.key == self._task.shown:
                self._tiles.append(event)
        if self._tiles and not self._drawing.isActive():
            self._drawing.start()

    def _draw(self) -> None:
        tiles, self._tiles = self._tiles, []
        tiles = [tile for tile in tiles if self._task and tile.key == self._task.shown]
        if not tiles or self._task is None or QApplication.instance() is None:
            return
        self._paste(self._classes, tiles)
        if self.uncertainty.isChecked():
            self._paste(self._unsure, tiles)

    def _paste(self, overlay: TileOverlay | None, tiles: list[LivePart]) -> None:
        if overlay is None or overlay.image not in self._session.viewer.layers:
            return
        if isinstance(overlay, ClassOverlay):
            overlay.show_classes(self._session.classes_of("segment"))
        overlay.show(self._task.plane, self._task.window)
        overlay.paste(tiles)
        overlay.draw()

    def _show_uncertainty(self, is_on: bool) -> None:
        if self._unsure is not None and not is_on:
            self._unsure.remove()
        if is_on and self.desk is not None and self._task is not None:
            self.desk.view = None  # so that it is predicted again
            self.desk.show(self._task)

    def _add(self, event: StrokesJoined) -> None:
        if event.n_pixels:
            self._joined.append(event)
        scored = [each for each in self._joined if each.n_scored]
        lines: list[Any] = []
        if scored:
            last, recent = scored[-1], scored[-RECENT_STROKES:]
            lines.append(
                f"Before the last stroke was learned, the mask was right on {last.n_right / last.n_scored:.0%} of its "
                f"{last.n_scored:,} pixels."
            )
            if len(recent) > 1:
                n = sum(each.n_scored for each in recent)
                right = sum(each.n_right for each in recent)
                lines.append(f"Of the last {len(recent)} strokes: {right / n:.0%}.")
        else:
            n = len(self._joined)
            lines.append(f"Strokes have joined {f'{n:,} times' if n > 1 else 'once'}.")
        self.words.setText(" ".join((*lines, *event.notes)))
