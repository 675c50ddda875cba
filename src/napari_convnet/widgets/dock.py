"""What the three docks have in common: they join their viewer's session and leave it when they are closed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from napari.viewer import Viewer
from qtpy.QtCore import QEvent, QObject, QTimer
from qtpy.QtWidgets import QDockWidget, QMainWindow, QWidget

from napari_convnet.widgets.job_slot import JobSlot
from napari_convnet.widgets.messages import guarded
from napari_convnet.widgets.session import session_of


class Dock(QWidget):
    """A dock of a viewer.

    napari only takes the widget of a closed dock out of the window. It then leaves the session at once,
    waits for the end of its job, so that a training is not lost from the project, and is deleted.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__()
        self.session = session_of(napari_viewer)
        self.session.attach(self)
        self.is_closed = False
        self._window: QWidget | None = None

    def offer(self, **verbs: Callable[[], Any]) -> None:
        """Make methods of this dock commands of the palette for as long as it is open."""
        self.session.offer(self, verbs)

    def release(self) -> None:
        """Let go of the viewer, which outlives the dock."""

    def event(self, event: QEvent) -> bool:
        """Notice that the dock was closed."""
        if (
            event.type() == QEvent.Type.ParentChange
            and self.parent() is None
            and not self.is_closed
        ):
            self._leave()
        return super().event(event)

    def showEvent(self, event: Any) -> None:
        """Join the other docks of this plugin as a tab, and watch for the end of the window."""
        super().showEvent(event)
        if self._window is None and isinstance(self.window(), QMainWindow):
            self._window = self.window()
            self._window.installEventFilter(self)
            self._join_tabs(self._window)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Write what is not in the project yet before napari closes."""
        if event.type() == QEvent.Type.Close and watched is self._window:
            guarded(self.session.save_tools)
        return False

    def _join_tabs(self, window: QMainWindow) -> None:
        own = _dock_of(self)
        for other in window.findChildren(Dock):
            place = _dock_of(other)
            if other is self or own is None or place is None or not other.isVisible():
                continue
            if (
                not own.isFloating()
                and not place.isFloating()
                and place not in window.tabifiedDockWidgets(own)
            ):
                window.tabifyDockWidget(place, own)
                own.raise_()
            return

    def _leave(self) -> None:
        self.is_closed = True
        if self._window is not None:
            self._window.removeEventFilter(self)
        self.session.leave(self)
        self.release()
        for slot in self.findChildren(JobSlot):
            slot.changed.connect(self.delete_when_idle)
        self.delete_when_idle()

    @property
    def is_busy(self) -> bool:
        """Whether a job runs or its result is still being kept; a dock that was closed lives until then."""
        return any(slot.state != "idle" for slot in self.findChildren(JobSlot))

    def delete_when_idle(self) -> None:
        """Go, after what the end of a job brings about, if the dock was closed and nothing runs any more."""
        if self.is_closed:
            QTimer.singleShot(0, self._delete_if_idle)

    def _delete_if_idle(self) -> None:
        if not self.is_busy:
            self.deleteLater()


def _dock_of(widget: QWidget) -> QDockWidget | None:
    """Return the frame that napari put around a widget."""
    parent = widget.parent()
    while parent is not None and not isinstance(parent, QDockWidget):
        parent = parent.parent()
    return parent
