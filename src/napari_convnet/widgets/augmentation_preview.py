"""A window with samples of the project as they are and, below each, as training would see it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtWidgets import QWidget

from napari_convnet.progress import Progress
from napari_convnet.settings import TrainingSettings
from napari_convnet.widgets.background import JobResult
from napari_convnet.widgets.folder_job import FolderRequest, read_samples
from napari_convnet.widgets.picture_grid import PictureGrid
from napari_convnet.widgets.training_job import TrainingRequest, build_samples

if TYPE_CHECKING:
    from napari_convnet.samples import TrainingSet

_PAIRS, _PER_ROW = 10, 5
_OFF = "Augmentation is off: training sees the samples as they are."


@dataclass(frozen=True, kw_only=True, eq=False)
class PairMade(Progress):
    """A sample, as it is and augmented: both ``(Y, X, 3)`` uint8."""

    number: int
    original: np.ndarray
    augmented: np.ndarray


class AugmentationPreview(PictureGrid):
    """Ten random samples, each above its augmented copy; a button draws others with the settings of then.

    Parameters
    ----------
    parent
        The dock that it belongs to.
    request
        What would be trained on.
    settings
        Returns how much pictures may change now.
    """

    def __init__(
        self,
        parent: QWidget,
        request: TrainingRequest | FolderRequest,
        settings: Callable[[], TrainingSettings],
    ) -> None:
        others = "Draw other samples, with the options as they are now."
        super().__init__(parent, "Augmentation of your samples", 2 * _PAIRS, others)
        self._request, self._settings = request, settings
        self._samples: TrainingSet | None = None
        for number, tile in enumerate(self.tiles):
            name = "augmented" if number // _PER_ROW % 2 else "as it is"
            tile.show_name(name, f"Sample {number % _PER_ROW + 1}, {name}")

    def draw(self) -> None:
        """Draw samples in the background; the first time, the training set is made."""
        settings, seed = self._settings(), int(self.random.integers(2**31))
        is_started = self.slot.start(
            lambda stop: self._steps(settings, seed, stop),
            description="Augmentation preview",
            on_progress=self._show,
            on_done=lambda result: self._end(result, settings),
        )
        if is_started:
            self.status.setText("Drawing samples…")

    def _steps(
        self, settings: TrainingSettings, seed: int, stop: threading.Event
    ) -> Generator[Progress, None, int]:
        yield Progress(done=0, total=0, text="preparing the samples")
        from napari_convnet.samples import AugmentationSettings, augmented_samples

        if self._samples is None:
            if isinstance(self._request, FolderRequest):
                self._samples = yield from read_samples(self._request, stop)
            else:
                self._samples, _ = build_samples(self._request)
        if self._samples is None or stop.is_set():
            return 0
        how = AugmentationSettings.of(settings)
        originals, augmented = augmented_samples(self._samples, _PAIRS, seed, how)
        for number in range(_PAIRS):
            original = originals[number].numpy()
            changed = augmented[number].numpy() if how else original
            pair = pictures_alike(original, changed)
            yield PairMade(
                done=number + 1, total=_PAIRS, text="drawing", number=number,
                original=pair[0], augmented=pair[1],
            )  # fmt: skip
        return self._samples.n_training

    def _show(self, events: tuple[Progress, ...]) -> None:
        for event in events:
            if isinstance(event, PairMade):
                line, column = divmod(event.number, _PER_ROW)
                place = 2 * line * _PER_ROW + column
                self.tiles[place].show_picture(event.original)
                self.tiles[place + _PER_ROW].show_picture(event.augmented)

    def _end(self, result: JobResult, settings: TrainingSettings) -> None:
        if result.outcome == "failed":
            self.status.setText(result.error_text)
            return
        text = f"{_PAIRS} of {result.value or 0:,} training samples, each above its augmented copy."
        self.status.setText(text if settings.augment else _OFF)


def pictures_alike(*arrays: np.ndarray) -> list[np.ndarray]:
    """Return pictures ``(Y, X, 3)`` uint8 of arrays ``(C, Y, X)``, all as bright as suits the first one."""
    low, high = np.percentile(arrays[0], (1, 99.5))
    pictures = []
    for array in arrays:
        scaled = ((array - low) / max(1e-9, high - low) * 255).clip(0, 255).astype(np.uint8)
        if len(scaled) == 2:  # red and green
            scaled = np.concatenate([scaled, np.zeros_like(scaled[:1])])
        colours = scaled[:3] if len(scaled) > 2 else np.repeat(scaled[:1], 3, axis=0)
        pictures.append(np.ascontiguousarray(np.moveaxis(colours, 0, -1)))
    return pictures
