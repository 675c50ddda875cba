"""What the mouse does on a layer of ours: clicks, drags that a tool wants for itself, and drags that move the view.

A press that the canvas' camera is to hear of makes vispy draw the scene into a buffer, to find what was hit; without
a graphics card that takes longer than all the rest of a click. So presses end here, and the view is moved here, too.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from napari.layers import Layer
from qtpy.QtCore import QPoint, QRect
from qtpy.QtWidgets import QApplication, QRubberBand

from napari_convnet.widgets.messages import guarded
from napari_convnet.widgets.session import Session

#: A press that moves less than this many screen pixels before release is a click.
_CLICK_PIXELS = 4

Position = tuple[float, ...]
Modifiers = frozenset[str]


class Drag(Protocol):
    """A drag that a tool has begun; positions are in the world."""

    def move(self, position: Position) -> None:
        """Hear where the mouse is now."""

    def end(self, position: Position) -> None:
        """Hear where it was released."""


def on_pointer(
    session: Session,
    click: Callable[[Position, Modifiers], None],
    begin_drag: Callable[[Position, Modifiers], Drag | None] = lambda _position, _modifiers: None,
) -> Callable[..., Generator]:
    """Make a napari mouse callback for the left button.

    Parameters
    ----------
    session
        Whose view moves with a drag that no tool wants.
    click
        Called with world position and modifiers when the button is released where it was pressed.
    begin_drag
        Asked when the button is pressed; the drag that it returns gets the mouse, and the view
        does not move.
    """

    def callback(layer: Layer, event: Any) -> Generator[None, None, None]:
        if event.button != 1:
            return
        pressed_at, pressed = np.asarray(event.pos), tuple(event.position)
        modifiers = frozenset(key.name for key in event.modifiers)  # their str() is "<Key 'Alt'>"
        drag = guarded(lambda: begin_drag(pressed, modifiers))
        if drag is None and _is_panned_here(layer, event, session):
            drag = _Pan(session, pressed, tuple(event.dims_displayed), is_still=bool(modifiers))
        if drag is not None:
            event.handled = True  # vispy neither looks for what was hit nor moves the view
        band = _Band(event) if isinstance(drag, RectangleDrag) else None
        is_click = True
        try:
            yield
            while event.type == "mouse_move":
                is_click &= bool(np.abs(np.asarray(event.pos) - pressed_at).max() <= _CLICK_PIXELS)
                if drag is not None and not is_click:
                    position = tuple(event.position)
                    guarded(lambda position=position: drag.move(position))
                    event.handled = True
                    if band is not None:
                        band.show(pressed_at, np.asarray(event.pos))
                yield
        finally:
            if band is not None:
                band.close()
        if is_click:
            guarded(lambda: click(pressed, modifiers))
        elif drag is not None:
            position = tuple(event.position)
            guarded(lambda: drag.end(position))

    return callback


def _is_panned_here(layer: Layer, event: Any, session: Session) -> bool:
    """Return whether napari would move the view in a plane; turning a volume is left to it."""
    may_pan = layer.mode == "pan_zoom" and session.viewer.scene.camera.mouse_pan
    return may_pan and len(event.dims_displayed) == 2 and not event.handled


@dataclass(frozen=True)
class _Pan:
    """The view follows the mouse: what was under it when it was pressed stays there."""

    session: Session
    pressed: Position
    displayed: tuple[int, ...]
    is_still: bool

    def move(self, position: Position) -> None:
        """Move the view."""
        if self.is_still:  # as in napari, which moves nothing while a modifier is held
            return
        camera = self.session.viewer.scene.camera
        steps = [self.pressed[axis] - position[axis] for axis in self.displayed]
        camera.center = (camera.center[0], *np.add(camera.center[1:], steps))

    def end(self, position: Position) -> None:
        """Leave the view where it is."""


@dataclass(frozen=True)
class MoveDrag:
    """Something of a tool's follows the mouse.

    Parameters
    ----------
    show
        Shows it at a world position.
    put
        Puts it where the mouse is released.
    """

    show: Callable[[Position], None]
    put: Callable[[Position], None]

    def move(self, position: Position) -> None:
        """Show it there."""
        self.show(position)

    def end(self, position: Position) -> None:
        """Leave it there."""
        self.put(position)


class RectangleDrag:
    """A rectangle between two corners, shown while it is drawn; ``done`` gets both world positions."""

    def __init__(self, corner: Position, done: Callable[[Position, Position], None]) -> None:
        self._corner = corner
        self._done = done

    def move(self, _position: Position) -> None:
        """Leave the showing to the rubber band."""

    def end(self, position: Position) -> None:
        """Hand over both corners."""
        self._done(self._corner, position)


class _Band:
    """Qt's rubber band over the canvas."""

    def __init__(self, event: Any) -> None:
        native = getattr(event, "native", None)
        canvas = QApplication.widgetAt(native.globalPosition().toPoint()) if native else None
        self._band = None if canvas is None else QRubberBand(QRubberBand.Shape.Rectangle, canvas)

    def show(self, corner: np.ndarray, other: np.ndarray) -> None:
        if self._band is not None:
            ends = (QPoint(*(round(float(c)) for c in place)) for place in (corner, other))
            self._band.setGeometry(QRect(*ends).normalized())
            self._band.show()

    def close(self) -> None:
        if self._band is not None:
            self._band.hide()
            self._band.deleteLater()
