"""Features that were computed are kept, so that another stroke or a look back costs next to nothing."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from napari_convnet.images import CleanImage
from napari_convnet.instant.classifier import (
    PIXELS_PER_CLASS,
    PaintedPixels,
    PixelClassifier,
    number_strokes,
)
from napari_convnet.instant.features import ReadableImage, Scale, measure_scale, read_features

#: Side of the tiles that features are computed in, in pixels.
TILE = 256
#: Features that are kept, in bytes: about 50 tiles of one channel.
_MOST_BYTES = 400 * 2**20
#: Features of painted pixels that are kept, in bytes: about 600 tiles full of one class, of one channel.
_MOST_PAINTED_BYTES = 200 * 2**20
#: Tiles whose classes are kept, 64 KB each.
_MOST_CLASSIFIED = 1000
#: Strokes that lie in fewer pixels of a tile get their features alone, for the first answer to come sooner.
_LARGEST_BOX = TILE * TILE // 4


@dataclass(frozen=True, eq=False)
class PaintedPart:
    """Painted pixels of one tile of a plane.

    Parameters
    ----------
    image
        Which plane of which image; the key of `PreviewRequest.images`.
    origin
        Row and column where the tile begins, multiples of `TILE`.
    labels
        ``(Y, X)`` uint8, at most `TILE` a side: 0 = not painted, k = class k.
    """

    image: Hashable
    origin: tuple[int, int]
    labels: np.ndarray

    @cached_property
    def key(self) -> tuple[Hashable, ...]:
        """What is the same only for the same strokes on the same pixels."""
        return self.image, self.origin, hashlib.blake2b(np.ascontiguousarray(self.labels)).digest()

    @cached_property
    def values(self) -> frozenset[int]:
        """The class values that are painted in it."""
        return frozenset(np.unique(self.labels).tolist()) - {0}


def split_strokes(image: Hashable, labels: np.ndarray) -> list[PaintedPart]:
    """Cut painted pixels ``(Y, X)`` of a plane into tiles; those without any are left out."""
    starts = [range(0, size, TILE) for size in labels.shape]
    tiles = [
        PaintedPart(image, (row, column), labels[row : row + TILE, column : column + TILE])
        for row in starts[0]
        for column in starts[1]
    ]
    return [tile for tile in tiles if tile.labels.any()]


class _OneAtATime:
    """An image that several threads read: one after the other, as a lazy one keeps blocks that it has read."""

    def __init__(self, image: ReadableImage) -> None:
        self._image, self._lock = image, threading.Lock()
        self.name, self.n_channels, self.shape = image.name, image.n_channels, image.shape

    def read(self, rows: slice, columns: slice) -> CleanImage:
        with self._lock:
            return self._image.read(rows, columns)


class FeatureStore:
    """Features of tiles and of painted pixels, by image; its memory is bounded.

    It belongs to one job at a time, whose threads may all use it.

    Parameters
    ----------
    most_bytes, most_painted_bytes
        What the features of tiles and of painted pixels may take. Of a class that fills a tile, no more pixels are
        kept than can be learned from; of very many tiles, fewer of each.
    """

    def __init__(
        self, most_bytes: int = _MOST_BYTES, most_painted_bytes: int = _MOST_PAINTED_BYTES
    ) -> None:
        self._most_bytes, self._most_painted_bytes = most_bytes, most_painted_bytes
        self._lock = threading.Lock()
        self._images: dict[Hashable, tuple[ReadableImage, Scale]] = {}
        self._tiles: OrderedDict[tuple, np.ndarray] = OrderedDict()
        self._channels: dict[Hashable, tuple[str, int]] = {}
        #: Why an image could not be read, for those that are not to be opened in vain each time.
        self.refusals: dict[Hashable, str] = {}
        self._painted: dict[tuple, PaintedPixels] = {}
        self._painted_bytes, self._per_class = 0, PIXELS_PER_CLASS
        self._classifier: tuple[object, PixelClassifier] | None = None
        self._classified: dict[tuple, np.ndarray] = {}

    @property
    def n_bytes(self) -> int:
        """How much memory the features of tiles take."""
        return sum(tile.nbytes for tile in self._tiles.values())

    @property
    def n_painted_bytes(self) -> int:
        """How much memory the features of painted pixels take."""
        return self._painted_bytes

    def image(
        self, key: Hashable, open_image: Callable[[], ReadableImage]
    ) -> tuple[ReadableImage, Scale]:
        """Return an image with its scale, opened and measured when first asked for."""
        if key not in self._images:
            image = _OneAtATime(open_image())
            self._channels[key] = image.name, image.n_channels
            self._images[key] = image, measure_scale(image)
        return self._images[key]

    def name_and_channels(
        self, key: Hashable, open_image: Callable[[], ReadableImage]
    ) -> tuple[str, int]:
        """Return the name and the number of channels of an image, opened only if it never was."""
        if key not in self._channels:
            self.image(key, open_image)
        return self._channels[key]

    def is_open(self, key: Hashable) -> bool:
        """Return whether the pixels of an image can be read now."""
        return key in self._images

    def close_images(self, kept: Hashable) -> None:
        """Let go of the pixels of all images but one."""
        self._images = {key: found for key, found in self._images.items() if key == kept}

    def tile(self, key: Hashable, row: int, column: int, step: int = 1) -> np.ndarray:
        """Return the features ``(Y, X, F)`` of a tile of an image that is open.

        With a ``step``, of squares of pixels, or of one pixel in each where all are known; these are not kept.
        """
        place = (key, row, column)
        with self._lock:
            found = self._tiles.get(place)
            if found is not None:
                self._tiles.move_to_end(place)
                return found[::step, ::step]
        image, scale = self._images[key]
        rows, columns = (
            slice(start, min(start + TILE, size))
            for start, size in zip((row, column), image.shape, strict=True)
        )
        found = read_features(image, scale, rows, columns, step)
        if step == 1:
            with self._lock:
                self._tiles[place] = found
                while len(self._tiles) > 1 and self.n_bytes > self._most_bytes:
                    self._tiles.popitem(last=False)
        return found

    def is_known(self, part: PaintedPart) -> bool:
        """Return whether the features of these strokes are there."""
        return part.key in self._painted

    def painted(self, part: PaintedPart) -> PaintedPixels:
        """Return features, classes and strokes of painted pixels, of an image that is open if they are not known."""
        key = part.key
        if key not in self._painted:
            found = self._read_painted(part).thinned(self._per_class)
            with self._lock:
                self._painted[key] = found
                self._painted_bytes += found.n_bytes
                while self._painted_bytes > self._most_painted_bytes and self._per_class > 1:
                    self._per_class //= 2
                    self._keep(
                        {k: each.thinned(self._per_class) for k, each in self._painted.items()}
                    )
        return self._painted[key]

    def _keep(self, painted: dict[tuple, PaintedPixels]) -> None:
        self._painted = painted
        self._painted_bytes = sum(found.n_bytes for found in painted.values())

    def _read_painted(self, part: PaintedPart) -> PaintedPixels:
        image, scale = self._images[part.image]
        # What is painted beside the image teaches nothing.
        labels = part.labels[
            tuple(
                slice(0, max(0, size - o)) for o, size in zip(part.origin, image.shape, strict=True)
            )
        ]
        box = _box(labels > 0)
        rows, columns = (
            slice(o + s.start, o + s.stop) for o, s in zip(part.origin, box, strict=True)
        )
        labels = labels[box]
        invalid = image.read(rows, columns).invalid if labels.size else None
        is_used = (labels > 0) if invalid is None else (labels > 0) & ~invalid
        if (part.image, *part.origin) in self._tiles or labels.size > _LARGEST_BOX:
            features = self.tile(part.image, *part.origin)[box]
        else:
            features = read_features(image, scale, rows, columns)
        strokes = number_strokes(labels)[is_used] - 1
        return PaintedPixels(features[is_used], labels[is_used], strokes)

    def keep_painted(self, parts: list[PaintedPart]) -> None:
        """Forget the features of strokes that are not among these."""
        keys = {part.key for part in parts}
        self._keep({key: found for key, found in self._painted.items() if key in keys})
        # With room again, strokes that were thinned for others are read anew the next time.
        if (
            self._per_class < PIXELS_PER_CLASS
            and 4 * self._painted_bytes < self._most_painted_bytes
        ):
            self._keep({})
            self._per_class = PIXELS_PER_CLASS

    def is_fitted_to(self, key: object) -> bool:
        """Return whether the classifier is the one of these strokes."""
        return self._classifier is not None and self._classifier[0] == key

    def classifier(self, key: object, fit: Callable[[], PixelClassifier]) -> PixelClassifier:
        """Return the classifier of these strokes, fitted only if they are others than the last time."""
        if not self.is_fitted_to(key):
            self._classifier = key, fit()
            self._classified = {}
        return self._classifier[1]

    def classes(self, key: Hashable, row: int, column: int, step: int = 1) -> np.ndarray:
        """Return what the classifier says of a tile, ``(Y, X)`` uint8, or of every square of it."""
        place = (key, row, column)
        known = self._classified.get(place)
        if known is None:
            found = self._classifier[1].classes(self.tile(key, row, column, step))
            if step > 1:
                return found
            if len(self._classified) >= _MOST_CLASSIFIED:
                self._classified.clear()
            self._classified[place] = known = found
        return known[::step, ::step]

    def is_classified(self, key: Hashable, row: int, column: int) -> bool:
        """Return whether the classifier has said all of a tile."""
        return (key, row, column) in self._classified


def _box(mask: np.ndarray) -> tuple[slice, slice]:
    """Return the rows and columns that hold all of a mask."""
    spans = []
    for axis in (1, 0):
        found = np.flatnonzero(mask.any(axis=axis))
        spans.append(slice(int(found[0]), int(found[-1]) + 1) if found.size else slice(0, 0))
    return spans[0], spans[1]
