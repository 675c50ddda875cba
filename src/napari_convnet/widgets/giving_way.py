"""Work gives way to the person: a job waits while somebody drags, types or scrolls."""

from __future__ import annotations

import threading
import time
from typing import Any

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtWidgets import QApplication

#: A job waits until this many seconds have passed since the last input.
QUIET_SECONDS = 0.2
#: A job waits at most this many seconds before each step, so that it never starves.
LONGEST_WAIT_SECONDS = 1.5

_POLL_SECONDS = 0.02
_MOUSE = {
    QEvent.Type.MouseButtonPress,
    QEvent.Type.MouseButtonRelease,
    QEvent.Type.MouseButtonDblClick,
    QEvent.Type.MouseMove,
}
_OTHER_INPUT = {
    QEvent.Type.Wheel,
    QEvent.Type.KeyPress,
    QEvent.Type.KeyRelease,
    QEvent.Type.TabletPress,
    QEvent.Type.TabletMove,
    QEvent.Type.TabletRelease,
    QEvent.Type.TouchBegin,
    QEvent.Type.TouchUpdate,
    QEvent.Type.TouchEnd,
}


class InputWatch(QObject):
    """Notes when the person last did something, anywhere in the application.

    It is made, started and stopped on the GUI thread; a worker only reads two plain attributes.
    """

    def __init__(self) -> None:
        super().__init__()
        self._last_input = -float("inf")
        self._is_button_down = False

    def start(self) -> None:
        """Begin to watch the whole application."""
        if (application := QApplication.instance()) is not None:
            application.installEventFilter(self)

    def stop(self) -> None:
        """Stop watching: a filter costs a little at every event."""
        if (application := QApplication.instance()) is not None:
            application.removeEventFilter(self)

    def eventFilter(self, _watched: Any, event: Any) -> bool:
        """Note the time of input and pass every event on."""
        kind = event.type()
        if kind in _MOUSE:
            # Taken anew from each mouse event, so that a lost release (drag and drop) heals itself.
            self._is_button_down = event.buttons() != Qt.MouseButton.NoButton
            # A pointer that only hovers needs nothing from the machine.
            if self._is_button_down or kind != QEvent.Type.MouseMove:
                self._last_input = time.monotonic()
        elif kind in _OTHER_INPUT:
            self._last_input = time.monotonic()
        return False

    @property
    def is_person_busy(self) -> bool:
        """Whether a mouse button is down or something was done a moment ago."""
        return self._is_button_down or time.monotonic() - self._last_input < QUIET_SECONDS

    def wait_for_person(self, stop: threading.Event) -> None:
        """Sleep in the worker's thread until the person pauses, at most 1.5 s; a stop ends it."""
        latest = time.monotonic() + LONGEST_WAIT_SECONDS
        while self.is_person_busy and time.monotonic() < latest and not stop.is_set():
            stop.wait(_POLL_SECONDS)
