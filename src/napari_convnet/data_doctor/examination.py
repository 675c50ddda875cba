"""All checks of a training set, one after the other."""

from __future__ import annotations

import threading
from collections.abc import Generator

from napari_convnet.data_doctor.copies import find_copies
from napari_convnet.data_doctor.findings import CHECKS, Evidence, Finding
from napari_convnet.data_doctor.intensities import ImageFacts, check_intensities, measure_image
from napari_convnet.data_doctor.training_set import check_classes, check_size
from napari_convnet.progress import Progress


def examine(
    evidence: Evidence, stop: threading.Event | None = None
) -> Generator[Progress, None, tuple[Finding, ...] | None]:
    """Look for what may spoil a training or its score.

    Parameters
    ----------
    evidence
        Training set and its images.
    stop
        Ends it, with None as the result.

    Yields
    ------
    Progress
        Images and checks done.

    Returns
    -------
    tuple of Finding
        In the order of `CHECKS`; none of a clean set.
    """
    total = len(evidence.images) + 2
    facts: list[ImageFacts] = []
    for done, image in enumerate(evidence.images):
        if stop is not None and stop.is_set():
            return None
        yield Progress(done=done, total=total, text=f"measuring {image.name}")
        facts.append(measure_image(image))
    found = [*check_classes(evidence), *check_size(evidence)]
    found += check_intensities(facts, evidence.samples.normalisation)
    yield Progress(done=total - 1, total=total, text="comparing held-out samples with the others")
    copies = find_copies(evidence, stop)
    if copies is None:
        return None
    order = list(CHECKS)
    return tuple(sorted([*found, *copies], key=lambda finding: order.index(finding.check)))
