"""A network as boxes from top to bottom, with a line for everything that a layer takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from napari.components import ViewerModel
from napari.utils.theme import get_theme
from qtpy.QtCore import QPoint, QRect, Qt, Signal
from qtpy.QtGui import QColor, QFont, QPainter, QPainterPath, QPen, QPolygon
from qtpy.QtWidgets import QFrame, QScrollArea, QWidget

from napari_convnet.widgets.row_table import WRONG

_WIDTH, _HEIGHT, _GAP, _EDGE = 150, 36, 16, 10
_LANE, _MOST_LANES = 9, 6
_ARROW = 4
#: Skip connections, told apart from the main line by colour as well as by their way around.
_SKIP = {"dark": "#e69f00", "light": "#b04a00"}


@dataclass(frozen=True)
class Box:
    """One layer: its name, what stands under it, and the positions of the boxes that it takes."""

    name: str
    text: str
    inputs: tuple[int, ...]


class NetworkDiagram(QScrollArea):
    """Draws boxes; a click on one tells its position.

    Parameters
    ----------
    viewer
        Whose theme is followed.
    """

    clicked = Signal(int)

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__()
        self.setAccessibleName("Diagram of the network")
        self.setToolTip("What each layer takes; lines at the side skip layers.")
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setFixedWidth(2 * _EDGE + _WIDTH + _LANE * _MOST_LANES)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._drawing = _Drawing(self, viewer)
        self.setWidget(self._drawing)

    def show_boxes(
        self, boxes: Sequence[Box], chosen: int | None = None, wrong: int | None = None
    ) -> None:
        """Draw other boxes; ``chosen`` and ``wrong`` stand out."""
        self._drawing.show_boxes(tuple(boxes), chosen, wrong)

    def choose(self, position: int) -> None:
        """Make a box stand out and bring it into view."""
        self._drawing.chosen = position
        self._drawing.update()
        middle = self._drawing.box(position).center()
        self.ensureVisible(middle.x(), middle.y(), 0, 2 * _HEIGHT)


class _Drawing(QWidget):
    def __init__(self, area: NetworkDiagram, viewer: ViewerModel) -> None:
        super().__init__()
        self._area, self._viewer = area, viewer
        self._boxes: tuple[Box, ...] = ()
        self._skips: tuple[tuple[int, int, int], ...] = ()
        self.chosen: int | None = None
        self._wrong: int | None = None

    def show_boxes(self, boxes: tuple[Box, ...], chosen: int | None, wrong: int | None) -> None:
        self._boxes, self.chosen, self._wrong = boxes, chosen, wrong
        self._skips = _with_lanes(boxes)
        height = 2 * _EDGE + len(boxes) * (_HEIGHT + _GAP) - _GAP
        self.resize(self._area.width(), max(height, 1))
        self.update()

    def box(self, position: int) -> QRect:
        return QRect(_EDGE, _EDGE + position * (_HEIGHT + _GAP), _WIDTH, _HEIGHT)

    def mousePressEvent(self, event: Any) -> None:
        place = event.position().toPoint()
        position = (place.y() - _EDGE) // (_HEIGHT + _GAP)
        if 0 <= position < len(self._boxes) and self.box(position).contains(place):
            self._area.clicked.emit(position)

    def paintEvent(self, event: Any) -> None:
        """Draw what is in view: a network may have hundreds of layers."""
        theme = get_theme(self._viewer.theme)
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        pitch = _HEIGHT + _GAP
        first = max(0, (event.rect().top() - _EDGE) // pitch)
        last = min(len(self._boxes), (event.rect().bottom() - _EDGE) // pitch + 2)
        line = QColor(theme.text.as_hex())
        for target in range(first, last):
            for source in self._boxes[target].inputs:
                if source == target - 1:
                    above, below = self.box(source), self.box(target)
                    painter.setPen(QPen(line, 1.4))
                    painter.drawLine(
                        above.center().x(), above.bottom(), below.center().x(), below.top()
                    )
                    _arrow_down(painter, QPoint(below.center().x(), below.top()), line)
        skip = QColor(_SKIP[theme.type])
        for source, target, lane in self._skips:
            if source < last and target >= first:
                self._draw_skip(painter, source, target, lane, skip)
        for position in range(first, last):
            self._draw_box(painter, position, theme)

    def _draw_skip(
        self, painter: QPainter, source: int, target: int, lane: int, colour: QColor
    ) -> None:
        start, end = self.box(source), self.box(target)
        right, x = start.right(), start.right() + _LANE * (lane + 1)
        # Away from the middle, where the line that comes in from another skip ends.
        top, bottom = start.center().y() + 6, end.center().y() - 6
        path = QPainterPath()
        path.moveTo(right, top)
        path.lineTo(x - 4, top)
        path.quadTo(x, top, x, top + 4)
        path.lineTo(x, bottom - 4)
        path.quadTo(x, bottom, x - 4, bottom)
        path.lineTo(right, bottom)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(colour, 1.6))
        painter.drawPath(path)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colour)
        tip = QPoint(right + 1, bottom)
        wings = [QPoint(_ARROW + 2, -_ARROW), QPoint(_ARROW + 2, _ARROW)]
        painter.drawPolygon(QPolygon([tip, *(tip + wing for wing in wings)]))

    def _draw_box(self, painter: QPainter, position: int, theme: Any) -> None:
        box, rect = self._boxes[position], self.box(position)
        fill, text = QColor(theme.foreground.as_hex()), QColor(theme.text.as_hex())
        if position == self.chosen:
            fill = QColor(theme.current.as_hex())
        if position == self._wrong:
            fill, text = QColor(WRONG), QColor("white")
        edge = text if position == self.chosen else QColor(theme.primary.as_hex())
        painter.setPen(QPen(edge, 2 if position == self.chosen else 1))
        painter.setBrush(fill)
        painter.drawRoundedRect(rect, 5, 5)
        painter.setPen(text)
        font = QFont(self.font())
        font.setBold(True)
        room = rect.adjusted(6, 3, -6, -3)
        for words, bold, place in (
            (box.name, True, Qt.AlignmentFlag.AlignTop),
            (box.text, False, Qt.AlignmentFlag.AlignBottom),
        ):
            font.setBold(bold)
            painter.setFont(font)
            elided = painter.fontMetrics().elidedText(
                words, Qt.TextElideMode.ElideRight, room.width()
            )
            painter.drawText(room, place | Qt.AlignmentFlag.AlignHCenter, elided)


def _arrow_down(painter: QPainter, tip: QPoint, colour: QColor) -> None:
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(colour)
    wings = [QPoint(-_ARROW, -_ARROW - 2), QPoint(_ARROW, -_ARROW - 2)]
    painter.drawPolygon(QPolygon([tip, *(tip + wing for wing in wings)]))


def _with_lanes(boxes: Sequence[Box]) -> tuple[tuple[int, int, int], ...]:
    """Give every line that skips a box a lane at the side, short ones nearest."""
    skips = [
        (source, target)
        for target, box in enumerate(boxes)
        for source in dict.fromkeys(box.inputs)
        if source != target - 1
    ]
    lanes: list[list[tuple[int, int]]] = []
    placed = []
    for source, target in sorted(skips, key=lambda skip: skip[1] - skip[0]):
        free = (
            number
            for number, lane in enumerate(lanes)
            if all(target <= a or source >= b for a, b in lane)
        )
        lane = next(free, len(lanes))
        if lane == len(lanes):
            lanes.append([])
        lanes[lane].append((source, target))
        placed.append((source, target, min(lane, _MOST_LANES - 2)))
    return tuple(placed)
