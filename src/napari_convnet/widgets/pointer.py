"""What the mouse does on a layer of ours: clicks, and drags that a tool wants for itself."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, Protocol

import numpy as np
from napari.layers import Layer
from qtpy.QtCore import QPoint, QRect
from qtpy.QtWidgets import QApplication, QRubberBand

from napari_convnet.widgets.messages import guarded

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
    click: Callable[[Position, Modifiers], None],
    begin_drag: Callable[[Position, Modifiers], Drag | None] = lambda _position, _modifiers: None,
) -> Callable[..., Generator]:
    """Make a napari mouse callback for the left button.

    Parameters
    ----------
    click
        Called with world position and modifiers when the button is released where it was pressed.
    begin_drag
        Asked when the button is pressed; the drag that it returns gets the mouse, and the view
        does not move. None leaves the drag to napari.
    """

    def callback(layer: Layer, event: Any) -> Generator[None, None, None]:
        if event.button != 1:
            return
        pressed_at, pressed = np.asarray(event.pos), tuple(event.position)
        modifiers = frozenset(key.name for key in event.modifiers)  # their str() is "<Key 'Alt'>"
        drag = guarded(lambda: begin_drag(pressed, modifiers))
        pans, layer.mouse_pan = layer.mouse_pan, layer.mouse_pan and drag is None
        band = _Band(event) if isinstance(drag, RectangleDrag) else None
        is_click = True
        try:
            yield
            while event.type == "mouse_move":
                is_click &= bool(np.abs(np.asarray(event.pos) - pressed_at).max() <= _CLICK_PIXELS)
                if drag is not None and not is_click:
                    position = tuple(event.position)
                    guarded(lambda position=position: drag.move(position))
                    if band is not None:
                        band.show(pressed_at, np.asarray(event.pos))
                yield
        finally:
            layer.mouse_pan = pans
            if band is not None:
                band.close()
        if is_click:
            guarded(lambda: click(pressed, modifiers))
        elif drag is not None:
            position = tuple(event.position)
            guarded(lambda: drag.end(position))

    return callback


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
