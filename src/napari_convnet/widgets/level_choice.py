"""A line that says which resolution of a multiscale image is worked on, and where another is chosen."""

from __future__ import annotations

from collections.abc import Sequence

from napari.components import ViewerModel
from napari.layers import Image
from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import QComboBox

from napari_convnet.widgets.levels import level_of, level_text, level_texts, show_level, whole_of


class LevelChoice(QComboBox):
    """Levels of the image that is worked on; `chosen` brings the layers of another one."""

    chosen = Signal(list)

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__()
        self._viewer = viewer
        self._wholes: list[Image] = []
        self.setAccessibleName("Resolution level")
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.activated.connect(self._choose)

    def show_levels(self, images: Sequence[Image]) -> bool:
        """Show the level of the images that are worked on; return whether they have one."""
        wholes = [whole_of(self._viewer, image) for image in images]
        is_one_image = None not in wholes and len({len(whole.data) for whole in wholes}) == 1
        self._wholes = wholes if is_one_image else []
        # The level of an image whose other levels were removed is shown all the same.
        alone = level_text(images[0]) if images else ""
        texts = level_texts(wholes[0]) if is_one_image else [alone] * bool(alone)
        with QSignalBlocker(self):
            self.clear()
            self.addItems(texts)
            self.setCurrentIndex(level_of(images[0]) if is_one_image else 0)
        self.setEnabled(is_one_image)
        self.setToolTip(
            f"You annotate, and the network sees, level {self.currentText()}. Another level becomes a layer of its "
            "own, with annotations of its own."
        )
        return bool(texts)

    def _choose(self, number: int) -> None:
        self.chosen.emit(show_level(self._viewer, self._wholes, number))
