"""Several images as one job and one figure: progress over all, means over images and how sure these are."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any, TypeVar

import numpy as np

from napari_convnet.progress import Progress, told_as
from napari_convnet.scores import interval_of_mean

Result = TypeVar("Result")
#: Steps that the progress of one image is told in.
_STEPS = 1000


def as_part(
    steps: Generator[Progress, None, Result], number: int, total: int
) -> Generator[Progress, None, Result]:
    """Tell the progress of image ``number`` (from 0) as a part of that of all; returns what its steps return."""

    def tell(event: Progress) -> Progress:
        done = round(_STEPS * (number + event.share))
        text = f"{number + (event.share == 1.0)} of {total} images evaluated"
        return Progress(done=done, total=_STEPS * total, text=text)

    return told_as(steps, tell)


def mean_of(values: Sequence[float]) -> float | None:
    """Return the mean of the values that are known, None without any."""
    known = [value for value in values if not np.isnan(value)]
    return round(float(np.mean(known)), 6) if known else None


def interval_over_images(values: Sequence[float]) -> list[float] | None:
    """Return the interval of a mean over images; a single one says nothing of how images differ."""
    known = np.array([value for value in values if not np.isnan(value)])
    return [round(end, 6) for end in interval_of_mean(known)] if len(known) > 1 else None


def measured_images(names: Sequence[str]) -> dict[str, Any]:
    """Say which images a mean over images is of."""
    return {"images": len(names), "names": list(names), "intervals": "95 %, bootstrap over images"}
