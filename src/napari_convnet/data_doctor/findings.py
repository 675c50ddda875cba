"""What is examined, and what may be found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from napari_convnet.images import CleanImage

if TYPE_CHECKING:
    from napari_convnet.samples import TrainingSet

#: Each check by its name, and what it looks for.
CHECKS = {
    "classes": "classes with few samples beside others with many",
    "size": "patches that are too small or too large for the objects",
    "saturation": "images whose bright parts are cut off",
    "brightness": "images that are much brighter, darker, flatter or harder than the others, or drift",
    "channels": "images whose channels are in another order",
    "copies": "held-out samples that look like training samples",
}
_MOST_NAMES = 3


@dataclass(frozen=True, eq=False)
class Evidence:
    """What the doctor examines.

    Parameters
    ----------
    samples
        Training set, with what is held out.
    images
        Where the samples are from, with the values that were measured; of a `SegmentationSet` in its order.
    diameters
        ``(N,)`` of objects in pixels, as far as they are known.
    """

    samples: TrainingSet
    images: Sequence[CleanImage]
    diameters: np.ndarray = field(default_factory=lambda: np.empty(0))


@dataclass(frozen=True)
class Finding:
    """Something that may spoil a training or its score.

    Parameters
    ----------
    check
        Name of the check.
    what
        What was found, with figures.
    advice
        What to do.
    names
        Images that it was found in.
    """

    check: str
    what: str
    advice: str
    names: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.what} {self.advice}"


def object_diameters(labels: Sequence[np.ndarray]) -> np.ndarray:
    """Return the diameters of circles as large as the objects of label images ``(Y, X)``, in pixels."""
    areas = [np.unique(each[each > 0], return_counts=True)[1] for each in labels]
    return 2 * np.sqrt(np.concatenate([*areas, np.empty(0)]) / np.pi)


def name_some(names: Sequence[str]) -> str:
    """Return names for a sentence: the first ones, and how many more there are."""
    told = ", ".join(f"'{name}'" for name in names[:_MOST_NAMES])
    more = len(names) - _MOST_NAMES
    return told + f" and {more:,} more" * (more > 0)


def describe_findings(findings: Sequence[Finding]) -> str:
    """Return what was found as lines, or that there was nothing and what was looked for."""
    if findings:
        return "\n".join(f"- {finding}" for finding in findings)
    return f"Nothing found. Looked for: {'; '.join(CHECKS.values())}."
