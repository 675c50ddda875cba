"""An image as a model wants it, part by part; and what is left of a prediction whose image cannot be read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from napari_convnet.errors import UserError
from napari_convnet.images import CleanImage, ImageNote, LazyImage, patch_pixels
from napari_convnet.images.notes import invalid_pixels
from napari_convnet.model_file import Model
from napari_convnet.prediction.fitting import normalisation_of
from napari_convnet.prediction.tiles import Tile


class PredictionInterrupted(UserError):  # noqa: N818 - named as `TrainingInterrupted`
    """An image could not be read to its end.

    Parameters
    ----------
    cause
        Which part cannot be read.
    result
        What was predicted before, as a stopped prediction returns it.
    """

    def __init__(self, cause: UserError, result: Any) -> None:
        kept = "What was predicted before is kept."
        message = cause.message.replace("Your annotations are safe.", kept)
        super().__init__(cause.code, message, cause.details)
        self.result = result


class NormalisedImage:
    """An image whose parts are read normalised for a model.

    A lazy image is normalised by what a sample of it tells, the same for all parts.
    """

    def __init__(self, model: Model, image: CleanImage | LazyImage) -> None:
        self._normalisation = normalisation_of(model)
        self._image = image
        self._n_invalid = 0
        self._said: dict[str, ImageNote] = {}
        if isinstance(image, CleanImage):
            self._pixels = self._normalisation.apply(image.pixels)
        else:
            self._pixels = None
            self._normalisation = image.fit(self._normalisation)

    @property
    def notes(self) -> tuple[ImageNote, ...]:
        """What a person should know about the image, as far as it was read."""
        notes = (*self._image.notes, *self._said.values())
        if self._n_invalid:
            notes += (ImageNote(self._image.name, invalid_pixels(self._n_invalid)),)
        return notes

    def note(self, about: str, text: str) -> None:
        """Add what a person should know of how it was predicted; the last word about something counts."""
        self._said[about] = ImageNote(self._image.name, text)

    def read_tile(self, tile: Tile) -> np.ndarray:
        """Return what a tile reads, ``(C, Y, X)`` float32."""
        part = self._read(*tile.read)
        if part.invalid is not None:
            self._n_invalid += int(part.invalid[tile.within].sum())
        return part.pixels

    def cut_patch(self, centre: Sequence[float], size: int) -> np.ndarray:
        """Cut a patch ``(C, size, size)`` as `napari_convnet.images.cut_patch`, reading no more than it shows."""
        rows, columns = patch_pixels(self._image.shape, centre, size)
        window = (slice(int(found[0]), int(found[-1]) + 1) for found in (rows, columns))
        part = self._read(*window)
        return part.pixels[:, (rows - rows[0])[:, None], columns - columns[0]]

    def _read(self, rows: slice, columns: slice) -> CleanImage:
        if self._pixels is not None:
            found = np.ascontiguousarray(self._pixels[:, rows, columns])
            return CleanImage(found, None, self._image.name)
        part = self._image.read(rows, columns)
        return replace(part, pixels=self._normalisation.apply(part.pixels))
