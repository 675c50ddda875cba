"""A window with random samples of a folder data set, each titled with its class."""

from __future__ import annotations

from qtpy.QtWidgets import QWidget

from napari_convnet.folders import ClassFolder
from napari_convnet.progress import Progress
from napari_convnet.widgets.folder_job import look_at_samples
from napari_convnet.widgets.picture_grid import PictureGrid, Tile

_MOST = 20


class SampleGrid(PictureGrid):
    """Twenty random images of a folder; a button draws others.

    Parameters
    ----------
    parent
        The dock that it belongs to.
    folder
        The data set.
    """

    def __init__(self, parent: QWidget, folder: ClassFolder) -> None:
        title = f"Random samples of '{folder.root.name}'"
        super().__init__(parent, title, min(_MOST, len(folder.files)), "Draw other random samples.")
        self._folder = folder
        self._tile_of: dict[int, Tile] = {}

    def draw(self) -> None:
        """Choose samples at random and read them in the background."""
        n_files = len(self._folder.files)
        chosen = self.random.permutation(n_files)[: len(self.tiles)].tolist()
        is_started = self.slot.start(
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

    def _show(self, events: tuple[Progress, ...]) -> None:
        for event in events:
            self._tile_of[event.index].show_picture(event.picture)
