"""A frame around a layer, which Qt draws over the canvas.

napari's own lines (bounding boxes, shapes, vectors) end it where Mesa draws, once one was removed and is drawn again:
vispy's lines and meshes do so.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from napari.components import ViewerModel
from napari.layers import Layer
from qtpy.compat import isalive
from qtpy.QtCore import QEvent, QObject, QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QPainter, QPen, QPolygonF
from qtpy.QtOpenGLWidgets import QOpenGLWidget
from qtpy.QtWidgets import QMainWindow, QWidget

from napari_convnet.widgets.session import Session
from napari_convnet.widgets.source import current_plane

#: A bright line on a dark one is seen on any image; widths in screen pixels.
LINE, CASING = QColor("#ffffff"), QColor(0, 0, 0, 140)
_LINE_WIDTH, _CASING_WIDTH = 1.5, 3.5


class LayerFrame:
    """Frames what a selected, visible layer covers of a plane, wherever the view, the plane or the layer goes.

    Parameters
    ----------
    session
        Whose viewer it is.
    layer
        What is framed: the plane of its last two axes.
    """

    def __init__(self, session: Session, layer: Layer) -> None:
        self._session, self._layer = session, layer
        canvas = canvas_of(session.viewer)
        self._outline = None if canvas is None else _Outline(canvas)
        viewer, events = session.viewer, layer.events
        self._events = (
            viewer.scene.camera.events, viewer.dims.events, viewer.canvas.events.size,
            viewer.canvas.grid.events.enabled, viewer.layers.selection.events.active, viewer.layers.events.removed,
            events.scale, events.translate, events.rotate, events.shear, events.affine, events.visible,
        )  # fmt: skip
        for event in self._events:
            event.connect(self._place)
        self._place()

    def close(self) -> None:
        """Go, and hear of nothing any more."""
        for event in self._events:
            event.disconnect(self._place)
        if self._outline is not None and isalive(self._outline):
            self._outline.hide()
            self._outline.deleteLater()
        self._events, self._outline = (), None

    def _place(self, _event: object = None) -> None:
        viewer, layer, outline = self._session.viewer, self._layer, self._outline
        if outline is None or not isalive(outline) or layer not in viewer.layers:
            self.close()
            return
        is_shown = is_framed(viewer, layer)
        outline.show_corners(corners_on_canvas(viewer, layer) if is_shown else None)


def canvas_of(viewer: ViewerModel) -> QWidget | None:
    """Return the widget that a viewer draws on; None where there is no window."""
    window = getattr(viewer, "window", None)
    for widget in () if window is None else window.dock_widgets.values():
        while widget is not None and not isinstance(widget, QMainWindow):
            widget = getattr(widget, "native", widget).parentWidget()  # magicgui's are none of Qt
        if widget is not None:
            return widget.centralWidget().findChild(QOpenGLWidget)
    return None


def is_framed(viewer: ViewerModel, layer: Layer) -> bool:
    """Return whether a layer is worked on and its last two axes are what the canvas shows."""
    dims = viewer.dims
    return (
        viewer.layers.selection.active is layer
        and layer.visible
        and dims.ndisplay == 2
        and sorted(dims.displayed) == [dims.ndim - 2, dims.ndim - 1]
        and not viewer.canvas.grid.enabled
    )


def corners_on_canvas(viewer: ViewerModel, layer: Layer) -> np.ndarray:
    """Return where the corners of a layer's plane are, ``(4, 2)`` as x and y in pixels of the canvas."""
    height, width = layer.data.shape[-2:]
    plane = current_plane(viewer, layer)
    around = ((0, 0), (0, width), (height, width), (height, 0))
    world = np.array([layer.data_to_world((*plane, r - 0.5, c - 0.5)) for r, c in around])
    shown = [axis - viewer.dims.ndim for axis in viewer.dims.displayed]
    camera = viewer.scene.camera
    signs = np.where(np.equal(camera.orientation2d, ("down", "right")), 1, -1)
    places = (world[:, shown] - camera.center[-2:]) * camera.zoom * signs
    return (places + np.divide(viewer.canvas.size, 2))[:, ::-1]


class _Outline(QWidget):
    """A closed line over the canvas, which neither mouse nor keys notice."""

    def __init__(self, canvas: QWidget) -> None:
        super().__init__(canvas)
        self._corners: np.ndarray | None = None
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setAttribute(Qt.WidgetAttribute.WA_NoSystemBackground)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        canvas.installEventFilter(self)
        self.resize(canvas.size())

    def show_corners(self, corners: np.ndarray | None) -> None:
        """Draw the line between these places, or none."""
        self._corners = corners
        self.setVisible(corners is not None)
        self.update()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Cover the canvas."""
        if event.type() == QEvent.Type.Resize:
            self.resize(watched.size())
        return False

    def paintEvent(self, _event: object) -> None:
        """Draw the line."""
        if self._corners is None:
            return
        margin = 2 * _CASING_WIDTH  # where the view is close, corners are a million pixels away
        near = QRectF(self.rect()).adjusted(-margin, -margin, margin, margin)
        outline = QPolygonF([QPointF(float(x), float(y)) for x, y in self._corners])
        ends = list(outline.intersected(QPolygonF(near)))
        with QPainter(self) as painter:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            for colour, width in ((CASING, _CASING_WIDTH), (LINE, _LINE_WIDTH)):
                painter.setPen(QPen(colour, width))
                for start, end in pairwise(ends):  # four lines are drawn in half a polygon's time
                    painter.drawLine(start, end)
