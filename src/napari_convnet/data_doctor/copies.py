"""Held-out samples that look like training samples, so that a score would be of what was learned by heart."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np

from napari_convnet.data_doctor.findings import Evidence, Finding, name_some
from napari_convnet.samples import ClassificationSet, SegmentationSet

#: Samples are compared at this size.
_SIDE = 24
#: Copies are nearer to each other than this share of the usual distance between samples.
_NEAR = 0.1
#: So many training samples are compared at once.
_AT_ONCE = 1024


def find_copies(evidence: Evidence, stop: threading.Event | None = None) -> list[Finding] | None:
    """Look for held-out samples, or whole images, that are nearly the same as one of training; None after a stop.

    Brightness and contrast of a whole sample do not count, turned and mirrored copies are not found.
    """
    samples = evidence.samples
    if isinstance(samples, ClassificationSet):
        return _of_patches(samples, stop)
    if isinstance(samples, SegmentationSet):
        return _of_images(evidence, stop)
    return []


def _of_patches(samples: ClassificationSet, stop: threading.Event | None) -> list[Finding] | None:
    split = samples.split
    found = _copies(samples.patches, split.training, split.validation, stop)
    if not found:
        return found
    targets = samples.targets.numpy()
    n_torn = sum(int(targets[held] != targets[seen]) for held, seen in found)
    names = [] if split.places is None else [str(split.places[held]) for held, _ in found]
    torn = f" {n_torn:,} of these pairs have different classes, so one of each is wrong." * bool(
        n_torn
    )
    return [
        Finding(
            "copies",
            f"{len(found):,} of {len(split.validation):,} held-out samples look the same as a training sample"
            f"{f' ({name_some(names)})' * bool(names)}: the score flatters.{torn}",
            "Remove the copies, or keep them together: images of one patient, slide or well on the same side.",
            tuple(names),
        )
    ]


def _of_images(evidence: Evidence, stop: threading.Event | None) -> list[Finding] | None:
    areas = evidence.samples.areas
    held = sorted({area[0] for area in areas.validation})
    seen = sorted({area[0] for area in areas.training} - set(held))
    found = _copies([image.pixels for image in evidence.images], seen, held, stop)
    if not found:
        return found
    names = tuple(evidence.images[k].name for k, _ in found)
    return [
        Finding(
            "copies",
            f"{len(found):,} of {len(held):,} held-out images ({name_some(names)}) look the same as a training image: "
            "the score flatters.",
            "Remove the copies, or set both to the same part (Images, in the Annotate dock).",
            names,
        )
    ]


def _copies(
    pictures: Sequence, seen: Sequence[int], held: Sequence[int], stop: threading.Event | None
) -> list[tuple[int, int]] | None:
    """Return the held-out pictures that are nearly the same as one of training, each with that one."""
    if not len(seen) or not len(held):
        return []
    ours = np.stack([_look(pictures[int(k)]) for k in held])
    nearest, which, usual = np.full(len(held), np.inf), np.zeros(len(held), int), []
    for start in range(0, len(seen), _AT_ONCE):
        if stop is not None and stop.is_set():
            return None
        part = np.asarray(seen[start : start + _AT_ONCE])
        looks = np.stack([_look(pictures[int(k)]) for k in part])
        apart = np.sqrt(np.clip(2 - 2 * ours @ looks.T, 0, None))
        usual.append(np.median(apart))
        best = apart.argmin(1)
        distance = apart[np.arange(len(held)), best]
        which = np.where(distance < nearest, part[best], which)
        nearest = np.minimum(nearest, distance)
    is_copy = nearest < _NEAR * np.median(usual)
    return [(int(held[k]), int(which[k])) for k in np.flatnonzero(is_copy)]


def _look(picture: np.ndarray) -> np.ndarray:
    """Return a picture ``(C, Y, X)``, small, without its channels' brightness and its contrast: of length 1, or 0."""
    import torch
    import torch.nn.functional as F

    small = F.interpolate(
        torch.as_tensor(picture, dtype=torch.float32)[None], (_SIDE, _SIDE), mode="area"
    )
    vector = (small - small.mean(dim=(2, 3), keepdim=True)).numpy().ravel()
    return vector / max(float(np.linalg.norm(vector)), 1e-6)
