"""A window with the annotations that are probably wrong; a click on one goes to its cell."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDialog, QProgressBar, QVBoxLayout, QWidget

from napari_convnet.progress import Progress, format_seconds
from napari_convnet.widgets.background import JobResult
from napari_convnet.widgets.controls import push_button, row, text_line
from napari_convnet.widgets.folder_job import FolderRequest, read_folder_set
from napari_convnet.widgets.job_slot import JobSlot
from napari_convnet.widgets.looking import look_at
from napari_convnet.widgets.result_table import ResultTable
from napari_convnet.widgets.session import Session
from napari_convnet.widgets.source import find_by_id
from napari_convnet.widgets.training_job import TrainingRequest, build_set
from napari_convnet.widgets.training_worker import choose_settings, first_weights

if TYPE_CHECKING:
    from napari_convnet.evaluation import Suspects

_SIZE = (620, 360)
#: A cell fills about this share of the view, so that there is no doubt which one is meant.
_SHARE = 0.35
_FOLDS = 5
_WHAT = (
    f"{_FOLDS} networks are trained as the Train dock says, each without a part of the annotations, and judge the part "
    "that they never saw."
)


@dataclass(frozen=True)
class Spot:
    """Where an annotation is: its image, the place in it, and how large it is, in pixels."""

    image_id: int
    name: str
    place: tuple[float, ...] = ()
    size: float = 0.0


@dataclass(frozen=True, eq=False)
class Judged:
    """What the judges said, and where the suspected annotations are."""

    suspects: Suspects
    spots: tuple[Spot, ...]
    names: tuple[str, ...]


class SuspectLabels(QDialog):
    """Trains the judges in the background and lists what they doubt, the most doubtful first.

    Parameters
    ----------
    parent
        The dock that it belongs to.
    session
        Its viewer shows the cells.
    request
        What is annotated, and how it would be trained.
    """

    def __init__(
        self, parent: QWidget, session: Session, request: TrainingRequest | FolderRequest
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle("Annotations that are probably wrong")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.resize(*_SIZE)
        self._session, self._request = session, request
        self._spots: tuple[Spot, ...] = ()
        self._began = 0.0
        self.slot = JobSlot(self)
        self.status = text_line("How far it is, and what it came to")
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setAccessibleName("Progress of the judges")
        self.table = ResultTable()
        self.table.hide()  # until there is something in it
        self.table.chosen.connect(self.show_spot)
        self.where = text_line("Where the chosen annotation is")
        self.stop_button = push_button("Stop", "Stop; nothing was changed.", self.stop)
        self.close_button = push_button("Close", "Close this window; the work ends.", self.close)
        buttons = row(self.stop_button, self.close_button)
        buttons.insertStretch(0)
        layout = QVBoxLayout(self)
        for widget in (self.status, self.bar, self.table, self.where):
            layout.addWidget(widget)
        layout.addStretch()
        layout.addLayout(buttons)

    def start(self) -> None:
        """Begin to train the judges."""
        self._began = time.monotonic()
        self.bar.setRange(0, 0)
        self.status.setText(_WHAT)
        self.slot.start(
            lambda stop: suspect_steps(self._request, stop), description="Suspect labels",
            on_progress=self._on_progress, on_done=self._on_done,
        )  # fmt: skip

    def stop(self) -> None:
        """End the work."""
        self.slot.request_stop()
        self.status.setText("Stopping after this step…")

    def done(self, result: int) -> None:
        """Stop the work when the window is closed."""
        self.slot.request_stop()
        super().done(result)

    def show_spot(self, number: int) -> None:
        """Go to an annotation, if its image is open."""
        spot = self._spots[number]
        if not spot.place:
            self.where.setText(f"File '{spot.name}'.")
            return
        opened = [o for o in self._session.open_images.values() if o.image_id == spot.image_id]
        layers = [find_by_id(self._session.viewer, o.source.image_ids[0]) for o in opened]
        layer = next((layer for layer in layers if layer is not None), None)
        if layer is None:
            self.where.setText(f"'{spot.name}' is not open. Open it to look at this cell.")
            return
        self.where.setText(f"In '{spot.name}'. If the annotation is wrong, click the cell anew.")
        look_at(self._session.viewer, layer, spot.place, spot.size, _SHARE)

    def _on_progress(self, events: tuple[Progress, ...]) -> None:
        last = events[-1]
        self.bar.setRange(0, last.total)
        self.bar.setValue(last.done)
        if last.share:
            left = (time.monotonic() - self._began) * (1 - last.share) / last.share
            self.status.setText(f"{_WHAT}\n{last.text}, about {format_seconds(left)} left")

    def _on_done(self, result: JobResult) -> None:
        self.bar.hide()
        self.stop_button.setEnabled(False)
        judged = result.value
        if judged is None:
            self.status.setText(result.error_text or "Stopped. Nothing was changed.")
            return
        self._spots = judged.spots
        n, n_samples = len(judged.spots), judged.suspects.n_samples
        self.status.setText(
            f"{n:,} of {n_samples:,} annotations are doubted by networks that never saw them. They may be wrong, or "
            "hard: look at each. A click on a row goes there."
            if n
            else f"None of {n_samples:,} annotations is doubted by networks that never saw them."
        )
        if n:
            self.table.show_table(as_table(judged))
            self.table.show()


def as_table(judged: Judged) -> pd.DataFrame:
    """Return the suspected annotations as rows, the most doubtful first."""
    suspects, names = judged.suspects, judged.names
    rows = suspects.probabilities[suspects.indices]
    numbers = range(len(suspects.indices))
    return pd.DataFrame({
        "annotated as": [names[k] for k in suspects.given],
        "probability": [round(float(rows[i, suspects.given[i]]), 3) for i in numbers],
        "probably": [names[k] for k in suspects.suggested],
        "its probability": [round(float(rows[i, suspects.suggested[i]]), 3) for i in numbers],
        "image": [spot.name for spot in judged.spots],
    })  # fmt: skip


def suspect_steps(
    request: TrainingRequest | FolderRequest, stop: threading.Event
) -> Generator[Progress, None, Judged | None]:
    """Train the judges on what a request would train on; runs in the worker. None after a stop."""
    yield Progress(done=0, total=0, text="reading the data")
    from napari_convnet.evaluation import find_suspects

    if isinstance(request, FolderRequest):
        found = yield from read_folder_set(request, stop)
        if found is None:
            return None
        samples = found[0]
        spots: Sequence[Spot] = [Spot(0, str(name)) for name in samples.split.places]
    else:
        samples, _ = build_set(request)
        spots = _spots(request, samples.patch_size)
    settings, _ = choose_settings(samples, request)
    suspects = yield from find_suspects(
        samples, request.network, settings, network_settings=request.network_settings,
        initial_weights=first_weights(request, is_resumed=False), n_folds=_FOLDS,
        has_epochs="epochs" not in request.automatic, stop=stop,
    )  # fmt: skip
    if suspects is None:
        return None
    names = tuple(info.name for info in samples.classes)
    return Judged(suspects, tuple(spots[k] for k in suspects.indices), names)


def _spots(request: TrainingRequest, size: int) -> list[Spot]:
    """Return where the samples of a request are, in their order."""
    return [
        Spot(plane.image_id, plane.image_name, (*plane.arrays.plane, *map(float, centre)), size)
        for plane in request.planes
        for centre in plane.centres
    ]
