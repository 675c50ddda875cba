"""A window with random samples of a folder data set, each titled with its class."""

from __future__ import annotations

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtGui import QImage, QPixmap
from qtpy.QtWidgets import QDialog, QGridLayout, QLabel, QVBoxLayout, QWidget

from napari_convnet.folders import ClassFolder
from napari_convnet.progress import Progress
from napari_convnet.widgets.controls import push_button, row, text_line
from napari_convnet.widgets.folder_job import PICTURE_SIDE, look_at_samples
from napari_convnet.widgets.job_slot import JobSlot

_ROWS, _COLUMNS = 4, 5


class SampleGrid(QDialog):
    """Twenty random images of a folder; a button draws others.

    Parameters
    ----------
    parent
        The dock that it belongs to.
    folder
        The data set.
    """

    def __init__(self, parent: QWidget, folder: ClassFolder) -> None:
        super().__init__(parent)
        self.setWindowTitle(f"Random samples of '{folder.root.name}'")
        self._folder = folder
        self._random = np.random.default_rng()
        self._slot = JobSlot(self)
        self.tiles = [_Tile() for _ in range(min(_ROWS * _COLUMNS, len(folder.files)))]
        self._tile_of: dict[int, _Tile] = {}
        self.status = text_line("Reading samples")
        self.draw_button = push_button("Others", "Draw other random samples.", self.draw)
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
        """Choose samples at random and read them in the background."""
        n_files = len(self._folder.files)
        chosen = self._random.permutation(n_files)[: len(self.tiles)].tolist()
        is_started = self._slot.start(
            lambda stop: look_at_samples(self._folder, chosen, stop),
            description="Reading samples",
            on_progress=self._show,
            on_done=lambda _result: self.status.setText(f"{len(chosen)} of {n_files:,} images"),
        )
        if not is_started:
            return
        self.status.setText("Reading samples…")
        self._tile_of = dict(zip(chosen, self.tiles, strict=True))
        for index, tile in self._tile_of.items():
            path = self._folder.files[index]
            tile.show_name(self._folder.class_names[self._folder.targets[index]], str(path))

    def done(self, result: int) -> None:
        """Stop reading when the window is closed."""
        self._slot.request_stop()
        super().done(result)

    def _show(self, events: tuple[Progress, ...]) -> None:
        for event in events:
            self._tile_of[event.index].show_picture(event.picture)


class _Tile(QWidget):
    """One sample: its picture and, below, its class."""

    def __init__(self) -> None:
        super().__init__()
        self.picture = QLabel()
        self.picture.setFixedSize(PICTURE_SIDE, PICTURE_SIDE)
        self.picture.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.name = QLabel()
        self.name.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.name.setMaximumWidth(PICTURE_SIDE + 16)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(2, 2, 2, 2)
        layout.setSpacing(2)
        layout.addWidget(self.picture, alignment=Qt.AlignmentFlag.AlignHCenter)
        layout.addWidget(self.name)

    def show_name(self, name: str, path: str) -> None:
        metrics = self.name.fontMetrics()
        self.name.setText(metrics.elidedText(name, Qt.TextElideMode.ElideRight, PICTURE_SIDE + 12))
        self.picture.setPixmap(QPixmap())
        for part in (self.picture, self.name):
            part.setToolTip(path)
            part.setAccessibleName(f"{name}: {path}")

    def show_picture(self, picture: np.ndarray | None) -> None:
        if picture is None:
            self.picture.setText("cannot be read")
            return
        rows, columns = picture.shape[:2]
        image = QImage(picture.tobytes(), columns, rows, 3 * columns, QImage.Format.Format_RGB888)
        scaled = QPixmap.fromImage(image).scaled(
            PICTURE_SIDE, PICTURE_SIDE, Qt.AspectRatioMode.KeepAspectRatio,
            Qt.TransformationMode.SmoothTransformation,
        )  # fmt: skip
        self.picture.setPixmap(scaled)
