"""The parts of painted images that live training cuts its patches from, kept up with the strokes."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from napari_convnet.errors import UserError
from napari_convnet.images import CleanImage, Normalisation
from napari_convnet.instant import PaintedPart
from napari_convnet.instant.features import ReadableImage
from napari_convnet.live.events import LiveStrokes
from napari_convnet.samples import SegmentationSet
from napari_convnet.samples.areas import Areas

#: A plane of so many pixels is kept whole; of a larger one, what lies around its strokes.
_WHOLE = 1024**2
#: Painted tiles that are learned from, the first ones; of a large plane each keeps about 150,000 pixels.
_MOST_PARTS = 600

_Window = tuple[slice, slice]


class OpenPlane:
    """A plane of an image, read part by part and normalised.

    Parameters
    ----------
    image
        What is read.
    normalisation
        Where it goes by the image, all parts of a plane get the same.
    """

    def __init__(self, image: ReadableImage, normalisation: Normalisation) -> None:
        self.image, self._scale = image, image.fit(normalisation)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.image.shape

    def read(self, window: _Window) -> CleanImage:
        """Return a part, normalised."""
        part = self.image.read(*window)
        return replace(part, pixels=self._scale.apply(part.pixels))


@dataclass(frozen=True, eq=False)
class _Crop:
    window: _Window
    image: np.ndarray
    invalid: np.ndarray | None
    targets: np.ndarray


class PaintedCrops:
    """What is painted, as a training set that grows.

    Parameters
    ----------
    patch_size
        Side in pixels of training patches.
    channels
        Names of the channels; strokes on images with another number of them are left out.
    normalisation
        Of the images.
    """

    def __init__(
        self, patch_size: int, channels: tuple[str, ...], normalisation: Normalisation
    ) -> None:
        self._patch_size, self._channels = patch_size, channels
        self._normalisation = normalisation
        self._crops: dict[tuple[Hashable, int, int], _Crop] = {}
        self._shapes: dict[Hashable, tuple[int, int]] = {}
        self._known: dict[tuple[Hashable, tuple[int, int]], np.ndarray] = {}
        self.notes: tuple[str, ...] = ()
        self.n_planes = 0

    def update(self, strokes: LiveStrokes) -> list[PaintedPart]:
        """Take over the strokes of now; returns the pixels that are new, or have another class than before."""
        by_plane: dict[Hashable, list[PaintedPart]] = {}
        for part in strokes.painted[:_MOST_PARTS]:
            by_plane.setdefault(part.image, []).append(part)
        crops: dict[tuple[Hashable, int, int], _Crop] = {}
        notes: dict[Hashable, str] = {}
        for key, parts in by_plane.items():
            try:
                crops.update(self._crops_of(key, parts, strokes))
            except UserError as error:
                notes[key] = f"An image is left out: {error.message}"
        n_more = len(strokes.painted) - _MOST_PARTS
        if n_more > 0:
            notes[""] = f"{n_more:,} painted parts are left out: there are too many to keep."
        self._crops, self.notes = crops, tuple(notes.values())
        used = [p for p in strokes.painted[:_MOST_PARTS] if p.image not in notes]
        self.n_planes = len({part.image for part in used})
        return list(self._new_pixels(used, strokes.lasting))

    def samples(self, strokes: LiveStrokes) -> SegmentationSet | None:
        """Return what is painted as a training set, of which nothing is held out; None without two classes."""
        crops = list(self._crops.values())
        present = {int(value) for crop in crops for value in np.unique(crop.targets)} - {-1}
        if len(present) < 2:
            return None
        whole = tuple(
            (index, slice(0, crop.targets.shape[0]), slice(0, crop.targets.shape[1]))
            for index, crop in enumerate(crops)
        )
        description = "nothing is held out while training is live"
        return SegmentationSet(
            tuple(crop.image for crop in crops),
            tuple(crop.targets for crop in crops),
            strokes.classes,
            Areas(whole, (), description, "No score can be measured on held-out strokes."),
            self._channels,
            self._normalisation,
            self._patch_size,
        )

    def _crops_of(
        self, key: Hashable, parts: Sequence[PaintedPart], strokes: LiveStrokes
    ) -> dict[tuple[Hashable, int, int], _Crop]:
        """Return the crops of one plane; pixels that were read before are not read again."""
        plane: OpenPlane | None = None
        if key not in self._shapes:
            plane = self._open(key, strokes)
            self._shapes[key] = plane.shape
        found = {}
        for window in _windows(self._shapes[key], parts, self._patch_size):
            place = (key, window[0].start, window[1].start)
            before = self._crops.get(place)
            if before is None or before.window != window:
                plane = plane or self._open(key, strokes)
                read = plane.read(window)
                before = _Crop(window, read.pixels, read.invalid, np.empty((0, 0), np.int16))
            found[place] = replace(before, targets=_targets(before, parts))
        return found

    def _open(self, key: Hashable, strokes: LiveStrokes) -> OpenPlane:
        plane = OpenPlane(strokes.images[key](), self._normalisation)
        if plane.image.n_channels != len(self._channels):
            raise UserError(
                "CN-623",
                f"'{plane.image.name[:40]}' has {plane.image.n_channels} channels, not {len(self._channels)}.",
            )
        return plane

    def _new_pixels(
        self, parts: Sequence[PaintedPart], lasting: Mapping[Hashable, Hashable]
    ) -> Iterator[PaintedPart]:
        """Yield what differs from the last class that was learned there; what was rubbed out is not forgotten."""
        for part in parts:
            place = (lasting.get(part.image, part.image), part.origin)
            before = self._known.get(place, np.zeros_like(part.labels))
            is_new = (part.labels > 0) & (part.labels != before)
            if is_new.any():
                self._known[place] = np.where(part.labels > 0, part.labels, before)
                yield replace(part, labels=np.where(is_new, part.labels, 0))


def _windows(
    shape: tuple[int, int], parts: Sequence[PaintedPart], margin: int
) -> Iterator[_Window]:
    """Yield the windows of a plane that are kept: all of it, or each painted tile with a patch around it."""
    if shape[0] * shape[1] <= _WHOLE:
        yield slice(0, shape[0]), slice(0, shape[1])
        return
    for part in parts:
        rows, columns = (
            slice(max(0, start - margin), min(extent, start + length + margin))
            for start, length, extent in zip(part.origin, part.labels.shape, shape, strict=True)
        )
        yield rows, columns


def _targets(crop: _Crop, parts: Sequence[PaintedPart]) -> np.ndarray:
    """Return the class indices ``(Y, X)`` int16 of a crop, -1 = not painted."""
    targets = np.full(tuple(span.stop - span.start for span in crop.window), -1, np.int16)
    for part in parts:
        here, there = [], []
        for span, start, length in zip(crop.window, part.origin, part.labels.shape, strict=True):
            low, high = max(span.start, start), min(span.stop, start + length)
            here.append(slice(low - span.start, max(low, high) - span.start))
            there.append(slice(low - start, max(low, high) - start))
        targets[tuple(here)] = part.labels[tuple(there)].astype(np.int16) - 1
    if crop.invalid is not None:
        targets[crop.invalid] = -1
    return targets
