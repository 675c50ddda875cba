"""A window with a grid of small pictures that are made in the background; a button makes others."""

from __future__ import annotations

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtGui import QImage, QPixmap
from qtpy.QtWidgets import QDialog, QGridLayout, QLabel, QVBoxLayout, QWidget

from napari_convnet.widgets.controls import push_button, row, text_line
from napari_convnet.widgets.job_slot import JobSlot

_COLUMNS = 5
_SIDE = 96


class PictureGrid(QDialog):
    """So many tiles, five in a row; a class of its own overrides `draw`.

    Parameters
    ----------
    parent
        The dock that it belongs to.
    """

    def __init__(self, parent: QWidget, title: str, n_tiles: int, others: str) -> None:
        super().__init__(parent)
        self.setWindowTitle(title)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.random = np.random.default_rng()
        self.slot = JobSlot(self)
        self.tiles = [Tile() for _ in range(n_tiles)]
        self.status = text_line(title)
        self.draw_button = push_button("Others", others, self.draw)
        self.close_button = push_button("Close", "Close this window.", self.close)
        grid = QGridLayout()
        for number, tile in enumerate(self.tiles):
            grid.addWidget(tile, number // _COLUMNS, number % _COLUMNS)
        layout = QVBoxLayout(self)
        layout.addLayout(grid)
        layout.addWidget(self.status)
        buttons = row(self.draw_button, self.close_button)
        buttons.insertStretch(0)
        layout.addLayout(buttons)
        self.draw_button.setDefault(True)

    def draw(self) -> None:
        """Make other pictures in the background."""
        raise NotImplementedError

    def done(self, result: int) -> None:
        """Stop the work when the window is closed."""
        self.slot.request_stop()
        super().done(result)


class Tile(QWidget):
    """One sample: its picture and, below, its class."""

    def __init__(self) -> None:
        super().__init__()
        self.picture = QLabel()
        self.picture.setFixedSize(_SIDE, _SIDE)
        self.picture.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.name = QLabel()
        self.name.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.name.setMaximumWidth(_SIDE + 16)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(2, 2, 2, 2)
        layout.setSpacing(2)
        layout.addWidget(self.picture, alignment=Qt.AlignmentFlag.AlignHCenter)
        layout.addWidget(self.name)

    def show_name(self, name: str, path: str) -> None:
        """Say what the next picture is, and where it is from; the one before goes."""
        metrics = self.name.fontMetrics()
        self.name.setText(metrics.elidedText(name, Qt.TextElideMode.ElideRight, _SIDE + 12))
        self.picture.setPixmap(QPixmap())
        for part in (self.picture, self.name):
            part.setToolTip(path)
            part.setAccessibleName(f"{name}: {path}")

    def show_picture(self, picture: np.ndarray | None) -> None:
        """Show ``(Y, X, 3)`` uint8."""
        if picture is None:
            self.picture.setText("cannot be read")
            return
        rows, columns = picture.shape[:2]
        image = QImage(picture.tobytes(), columns, rows, 3 * columns, QImage.Format.Format_RGB888)
        scaled = QPixmap.fromImage(image).scaled(
            _SIDE, _SIDE, Qt.AspectRatioMode.KeepAspectRatio,
            Qt.TransformationMode.SmoothTransformation,
        )  # fmt: skip
        self.picture.setPixmap(scaled)
