"""Where each object of a label image is: a click then touches its box, not the whole image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

# `find_objects` makes a list as long as the largest label.
_LARGEST_DIRECT_LABEL = 1_000_000
# So many objects are quicker looked up voxel by voxel than box by box.
_MANY = 500


@dataclass(frozen=True, eq=False)
class ObjectIndex:
    """The labels of an image and the box of each.

    Parameters
    ----------
    labels
        Shape ``(N,)``, int64, ascending; 0 and negative values are no objects.
    starts, stops
        Shape ``(N, n)``, int64: first voxel of each box and first beyond it, in axis order.
    """

    labels: np.ndarray
    starts: np.ndarray
    stops: np.ndarray

    @classmethod
    def of(cls, image: np.ndarray) -> ObjectIndex:
        """Look at a label image of any dimension and integer type; meant for a worker's thread.

        Raises
        ------
        TypeError
            If the values are not whole numbers.
        """
        if not np.issubdtype(image.dtype, np.integer):
            raise TypeError(f"a label image has whole numbers, not {image.dtype}")
        numbers, labels = _small_numbers(image)
        found = [
            (label, [part.start for part in box], [part.stop for part in box])
            for label, box in zip(labels, ndimage.find_objects(numbers), strict=False)
            if box is not None
        ]
        return cls(
            np.array([label for label, _, _ in found], np.int64),
            np.array([start for _, start, _ in found], np.int64).reshape(-1, image.ndim),
            np.array([stop for _, _, stop in found], np.int64).reshape(-1, image.ndim),
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __contains__(self, label: int) -> bool:
        row = np.searchsorted(self.labels, label)
        return bool(row < len(self.labels) and self.labels[row] == label)

    def box(self, label: int) -> tuple[slice, ...]:
        """Return the bounding box of an object; KeyError if there is none with this label."""
        row = self._row(label)
        return tuple(map(slice, self.starts[row], self.stops[row]))

    def centre(self, label: int) -> tuple[float, ...]:
        """Return the centre of an object's box in voxels, where a view of it should look."""
        row = self._row(label)
        return tuple(float(x) for x in (self.starts[row] + self.stops[row] - 1) / 2)

    def pixels(self, label: int, image: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return the object's voxels as one index array for each axis of ``image``."""
        box = self.box(label)
        inside = np.nonzero(np.asarray(image[box]) == label)
        return tuple(index + part.start for index, part in zip(inside, box, strict=True))

    def class_map(self, values: Mapping[int, int], image: np.ndarray) -> np.ndarray:
        """Return the class value (by label) of each voxel of ``image``, uint8, 0 for none; for any thread."""
        class_map = np.zeros(image.shape, np.uint8)
        largest = _LARGEST_DIRECT_LABEL if len(values) < _MANY else int(image.max(initial=0))
        if largest >= _LARGEST_DIRECT_LABEL or int(image.min(initial=0)) < 0:
            for label, value in values.items():
                class_map[self.pixels(label, image)] = value
            return class_map
        table = np.zeros(_LARGEST_DIRECT_LABEL, np.uint8)
        table[list(values)] = list(values.values())
        for row in range(len(image)):  # in parts, as it may run beside the GUI thread
            class_map[row] = table[image[row]]
        return class_map

    def _row(self, label: int) -> int:
        if label not in self:
            raise KeyError(label)
        return int(np.searchsorted(self.labels, label))


def _small_numbers(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return an image of numbers 1..M (0: no object) and the label that each number stands for."""
    largest = int(image.max(initial=0))
    if largest <= _LARGEST_DIRECT_LABEL:
        return image, np.arange(1, largest + 1)
    values, numbers = np.unique(image, return_inverse=True)
    n_not_objects = int(np.count_nonzero(values <= 0))
    numbers = np.maximum(numbers.reshape(image.shape) - n_not_objects + 1, 0)
    return numbers, values[n_not_objects:]
