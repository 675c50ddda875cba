"""For which images and classes a network is looked at: as the project has them, and as a person tries."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QSpinBox, QWidget

from napari_convnet.images import is_lazy
from napari_convnet.networks.entry import Task
from napari_convnet.widgets.layers import image_data
from napari_convnet.widgets.session import Session
from napari_convnet.widgets.source import find_by_id
from napari_convnet.widgets.training_job import patch_size_of_areas

#: Sides in pixels of the part of a label image in which cells are measured, and the largest label there.
_LOOKED_AT = 1024
_LARGEST_LABEL = 1_000_000


@dataclass(frozen=True)
class NetworkInput:
    """Task, channels and side in pixels of the images, and the number of classes."""

    task: Task
    channels: int
    size: int
    classes: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """``(C, Y, X)``."""
        return self.channels, self.size, self.size

    @property
    def outputs(self) -> int:
        """Number of outputs that mean "one for each class"; a position is row and column."""
        return 2 if self.task == "locate" else self.classes


def input_of(
    session: Session, size: int, n_classes: int = 0, task: Task | None = None
) -> NetworkInput:
    """Return what the session's networks are for; ``n_classes`` 0: the session's."""
    layers = [find_by_id(session.viewer, key) for key in session.source.image_ids]
    channels = sum(3 if layer.rgb else 1 for layer in layers if layer is not None)
    return NetworkInput(
        task or session.task, channels or 3, size, n_classes or max(1, len(session.classes))
    )


def typical_patch_size(session: Session) -> int:
    """Return the side of the picked patches, or one that shows a typical cell of a part of the image."""
    project = session.project
    images = project.images() if project else ()
    sizes = [patch.size for image in images for patch in project.patches(image.id)]
    if sizes:
        return int(np.median(sizes))
    layer = (
        find_by_id(session.viewer, session.source.labels_id) if session.source.labels_id else None
    )
    array = image_data(layer).array if layer is not None else None
    if array is None or is_lazy(array):
        return 0
    part = np.asarray(array[(0,) * (array.ndim - 2)][:_LOOKED_AT, :_LOOKED_AT])
    if not 0 <= part.min(initial=0) <= part.max(initial=0) <= _LARGEST_LABEL:
        return 0
    areas = np.bincount(part.ravel())[1:]
    return patch_size_of_areas(areas[areas > 0]) if areas.any() else 0


class InputBar(QWidget):
    """Three numbers in a row; `changed` tells of other ones."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._task: Task = "classify"
        self.channels = _number("Channels", "Channels of the image; a colour image has 3.", 256)
        self.size = _number("Side in pixels", "Side of the square that the network sees.", 1024)
        self.classes = _number("Classes", "Number of classes.", 255)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for label, box in (
            ("Channels", self.channels), ("Side", self.size), ("Classes", self.classes),
        ):  # fmt: skip
            layout.addWidget(QLabel(label))
            layout.addWidget(box)
            box.valueChanged.connect(lambda _value: self.changed.emit())
        self.size.setSuffix(" px")
        layout.addStretch()

    def value(self) -> NetworkInput:
        """Return the numbers of now."""
        return NetworkInput(
            self._task, self.channels.value(), self.size.value(), self.classes.value()
        )

    def set_value(self, value: NetworkInput) -> None:
        """Show other numbers, without telling."""
        self._task = value.task
        for box, number in (
            (self.channels, value.channels), (self.size, value.size), (self.classes, value.classes),
        ):  # fmt: skip
            with QSignalBlocker(box):
                box.setValue(number)


def _number(name: str, tooltip: str, most: int) -> QSpinBox:
    box = QSpinBox()
    box.setRange(1, most)
    box.setAccessibleName(name)
    box.setToolTip(f"{tooltip} It is the project's; try others here.")
    return box
