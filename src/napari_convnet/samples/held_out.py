"""Which samples are held out, as one hash: scores may be compared only where it is the same."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from napari_convnet.samples.annotated_positions import points_inside
from napari_convnet.samples.classification import ClassificationSet
from napari_convnet.samples.heat_maps import HeatMapSet
from napari_convnet.samples.segmentation import SegmentationSet

if TYPE_CHECKING:
    from napari_convnet.samples import TrainingSet


def held_out_sha256(samples: TrainingSet) -> str:
    """Return a SHA-256 of where the held-out samples are and what they were said to be.

    It depends neither on their order nor on network, patch size or normalisation: two runs with the same hash
    were measured on the same places with the same classes. "" where nothing is held out.
    """
    found = sorted(_held_out(samples))
    if not found:
        return ""
    return hashlib.sha256(b"".join([samples.task.encode(), *found])).hexdigest()


def _held_out(samples: TrainingSet) -> Iterator[bytes]:
    """Yield 32 bytes for each held-out sample, or area of an image."""
    names = [info.name for info in samples.classes]
    if isinstance(samples, SegmentationSet):
        for index, rows, columns in samples.areas.validation:
            truth = samples.targets[index][..., rows, columns].astype(np.int16)
            yield _digest(names, (rows, columns), truth)
    elif isinstance(samples, HeatMapSet):
        for area in samples.areas.validation:
            index, rows, columns = area
            inside = points_inside(samples.points[index], rows, columns)
            points, values = samples.points[index][inside], samples.values[index][inside]
            yield _digest(names, (rows, columns), points, values)
    else:
        is_class, places = isinstance(samples, ClassificationSet), samples.split.places
        for k in samples.split.validation:
            truth = names[samples.targets[k]] if is_class else names
            if places is not None:
                yield _digest(truth, str(places[k]))
            else:  # a set that was put together by hand
                yield _digest(truth, samples.targets[k].numpy(), samples.patches[k].numpy())


def _digest(*parts: object) -> bytes:
    digest = hashlib.sha256()
    for part in parts:
        is_array = isinstance(part, np.ndarray)
        digest.update(np.ascontiguousarray(part).tobytes() if is_array else repr(part).encode())
        digest.update(repr(part.shape).encode() if is_array else b"\0")
    return digest.digest()
