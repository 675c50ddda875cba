"""How annotations are learned where there are several ways.

Positions: one in each frame of a film, or any number in an image, chosen from the data. Painted areas: as pixels, or as
whole objects.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import QCheckBox, QFormLayout, QVBoxLayout, QWidget

from napari_convnet.networks import network_entry
from napari_convnet.networks.catalogue import LARGEST_FRAME
from napari_convnet.project import ImageRecord, MarkedPlane
from napari_convnet.widgets.controls import combo_box, text_line
from napari_convnet.widgets.session import Session

#: As in model files: the network gives one position a frame, or a map whose peaks are the positions.
Mode = Literal["patch", "heat_map"]
#: Painted areas are whole objects: touching ones are learned to be told apart. Else painted pixels are just pixels.
WHOLE_OBJECTS = "whole_objects"

_WHOLE_OBJECTS_TIP = (
    "Every connected area of a class is one object, drawn whole, and the background around it is painted, too: the "
    "network learns to tell touching objects apart. Leave a line of background between those that touch."
)
_LOOK_MILLISECONDS = 200
_COMPLETE = "Mark all of a plane: what is not marked counts as background."


@dataclass(frozen=True)
class LearnedAs:
    """A way to learn positions, and the sentence that says why it is taken."""

    mode: Mode
    reason: str


def choose_mode(
    marked: Sequence[MarkedPlane], images: Sequence[ImageRecord], wanted: Mode | None = None
) -> LearnedAs:
    """Choose from what is marked, unless the person did.

    Parameters
    ----------
    marked
        The planes with positions; those of the test set are not looked at.
    wanted
        What the person chose.
    """
    records = {image.id: image for image in images if image.split != "test"}
    planes = [plane for plane in marked if plane.image_id in records]
    if not planes:
        return LearnedAs(wanted or "heat_map", "")
    most = max(plane.n_positions for plane in planes)
    side = max(_side(records[plane.image_id], plane) for plane in planes)
    frames = f"each marked frame ({len(planes):,})"
    is_film = all(plane.plane for plane in planes)
    is_one_thing = len({value for plane in planes for value in plane.values}) == 1
    if wanted == "patch" or (
        wanted is None and is_film and most == 1 and is_one_thing and side <= LARGEST_FRAME
    ):
        return LearnedAs("patch", f"One position in {frames}: its row and column are learned.")
    what = f"Up to {most} positions in a plane" if most > 1 else "Positions of several classes"
    if most == 1 and is_one_thing:
        what = f"One position in {frames if is_film else 'an image'}"
        if is_film and side > LARGEST_FRAME:
            what += f" of {side:,} pixels, too large to be seen whole"
    return LearnedAs("heat_map", f"{what}: a map with a peak at each is learned. {_COMPLETE}")


def _side(image: ImageRecord, plane: MarkedPlane) -> int:
    start = len(plane.plane)
    return max(image.shape[start : start + 2])


class ModeForm(QWidget):
    """Says how the project's positions would be learned, and lets the person choose otherwise, also for areas."""

    mode_changed = Signal()

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._mode: Mode = "heat_map"
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(_LOOK_MILLISECONDS)
        self._soon.timeout.connect(self._look)
        self.choice = combo_box(
            "How positions are learned",
            "One in each frame: the network gives row and column, and a film becomes a track. Any number: it "
            "gives a map whose peaks are the positions. Automatic looks at what is marked.",
            [
                ("automatic", None),
                ("one position in each frame", "patch"),
                ("any number in an image", "heat_map"),
            ],
        )
        self.reason = text_line("Why positions are learned so")
        self.whole_objects = QCheckBox("Painted areas are whole objects")
        self.whole_objects.setToolTip(_WHOLE_OBJECTS_TIP)
        self.whole_objects.setChecked(session.learns_whole_objects)
        self.whole_objects.setAccessibleName(self.whole_objects.text())
        self.positions = QWidget()
        form = QFormLayout(self.positions)
        form.setContentsMargins(0, 0, 0, 0)
        form.addRow(self.reason)
        form.addRow("Learn", self.choice)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.positions)
        layout.addWidget(self.whole_objects)
        self.choice.currentIndexChanged.connect(self._look)
        self.whole_objects.toggled.connect(self._remember)
        session.annotations_changed.connect(self._soon.start)
        for signal in (session.task_changed, session.project_changed):
            signal.connect(self._look)
        self._look()

    def show_task(self, task: str) -> None:
        """Show what there is to choose for a task."""
        self.positions.setVisible(task == "locate")
        self.whole_objects.setVisible(task == "segment")

    def show_network(self, network_id: str) -> None:
        """Show what the network of now can learn: one of stacks learns voxels only."""
        is_able = network_entry(network_id).dimensions == 2
        self.whole_objects.setEnabled(is_able)
        self.whole_objects.setToolTip(
            _WHOLE_OBJECTS_TIP
            if is_able
            else f"Network '{network_id}' learns the classes of voxels; choose 'unet' to learn whole objects."
        )

    def _remember(self, is_whole: bool) -> None:
        self._session.learns_whole_objects = is_whole

    @property
    def mode(self) -> str:
        """How the positions that are marked now are learned, or what is painted; "" where there is one way only."""
        if self._session.task != "locate":
            box = self.whole_objects
            is_whole = self._session.task == "segment" and box.isEnabled() and box.isChecked()
            return WHOLE_OBJECTS if is_whole else ""
        if self._soon.isActive():
            self._look()
        return self._mode

    def _look(self, _index: int = 0) -> None:
        """Choose anew, once clicks rest: it takes 50 ms with 10,000 annotated frames."""
        self._soon.stop()
        if self._session.task != "locate":
            return
        project, before = self._session.project, self._mode
        marked, images = (project.marked_planes(), project.images()) if project else ((), ())
        chosen = choose_mode(marked, images, self.choice.currentData())
        self._mode = chosen.mode
        self.reason.setText(chosen.reason)
        self.reason.setVisible(bool(chosen.reason))
        if self._mode != before:
            self.mode_changed.emit()

    @property
    def network_task(self) -> str:
        """The task of the networks that can learn it: a map has a value a pixel, like a segmentation."""
        return "locate" if self.mode == "patch" else "segment"
