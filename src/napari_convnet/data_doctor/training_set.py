"""What a training set says of itself: how many samples classes have, and whether patches fit the objects."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from napari_convnet.data_doctor.findings import Evidence, Finding

#: A class with so many times the samples of another one outweighs it; painted pixels are alike, so more of them do.
_OUTWEIGHED = {"classify": 10, "segment": 100}
#: With fewer training samples, chance decides what is learned of a class.
_FEW = 10
#: Sides of patches, in diameters of a typical object.
_SMALLEST, _LARGEST = 0.9, 5.0


def check_classes(evidence: Evidence) -> Iterator[Finding]:
    """Look for classes without samples, with few, and with far fewer than another one."""
    samples = evidence.samples
    if samples.task not in _OUTWEIGHED:
        return
    unit = "samples" if samples.task == "classify" else "painted pixels"
    counts = np.asarray(samples.class_counts())
    names = [info.name for info in samples.classes]
    empty = [name for name, n in zip(names, counts, strict=True) if not n]
    if empty:
        yield Finding(
            "classes", f"No {unit} to train on: {', '.join(empty)}.",
            "Annotate some, or remove the class.",
        )  # fmt: skip
    few = [f"{name} ({n})" for name, n in zip(names, counts, strict=True) if 0 < n < _FEW]
    if few and samples.task == "classify":
        yield Finding(
            "classes", f"Fewer than {_FEW} samples to train on: {', '.join(few)}.",
            "Annotate more of them: from a handful, a network learns these cells, not their class.",
        )  # fmt: skip
    known = counts[counts > 0]
    if len(known) and known.max() >= _OUTWEIGHED[samples.task] * known.min():
        most, least = int(counts.argmax()), int(np.where(counts > 0, counts, counts.max()).argmin())
        yield Finding(
            "classes",
            f"'{names[most]}' has {counts[most]:,} {unit}, '{names[least]}' {counts[least]:,}: "
            f"{counts[most] / counts[least]:.0f} times fewer.",
            "Annotate more of the rare class. 'Balance classes' (More options) lets it count more until then; look at "
            "the score of each class, not at the accuracy.",
        )  # fmt: skip


def check_size(evidence: Evidence) -> Iterator[Finding]:
    """Look for patches that cut typical objects off, or show mostly what is around them."""
    side = evidence.samples.patch_size
    if not len(evidence.diameters) or not side:
        return
    diameter = float(np.median(evidence.diameters))
    sizes = f"Patches have {side} pixels a side, typical objects are {diameter:.0f} pixels wide"
    if side < _SMALLEST * diameter:
        yield Finding(
            "size", f"{sizes}: they do not fit in.",
            f"Set the patch size to {round(1.4 * diameter / 8) * 8} pixels or more.",
        )  # fmt: skip
    elif side > _LARGEST * diameter and evidence.samples.task == "classify":
        yield Finding(
            "size", f"{sizes}: a patch shows mostly what is around them.",
            f"Set the patch size to about {max(16, round(1.4 * diameter / 8) * 8)} pixels, unless the surroundings "
            "tell the class.",
        )  # fmt: skip
