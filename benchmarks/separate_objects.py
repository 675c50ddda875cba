"""How well touching objects are told apart by the shape of a perfect mask: average precision at IoU 0.5.

The true objects of bbbc039 are merged to one mask; the strength of the separation is chosen on every second
image and scored on the others. Run it with the folder of real images::

    NAPARI_CONVNET_DATA=/data python benchmarks/separate_objects.py

bacteria_phase and dsb2018 (fluorescence) are scored with the same strengths and choose nothing. AP is true positives
over true positives, false positives and false negatives, as the mean over images, and over all objects.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from napari_convnet import run
from napari_convnet.folders import read_labels
from napari_convnet.prediction import separate_objects
from napari_convnet.scores import ObjectMatches, match_objects
from napari_convnet.settings import ObjectSettings

_STRENGTHS = (0, 20, 40, 50, 60, 80, 100)
_SETS = {"bbbc039": "masks", "bacteria_phase": "masks", "dsb2018 (fluorescence)": "fluo/masks"}
_MOST_IMAGES = 30


def read_truths(name: str) -> list[np.ndarray]:
    """Return the true objects of images; connected pieces of objects that the file numbers once stay one."""
    folder = Path(os.environ["NAPARI_CONVNET_DATA"], name.split()[0], _SETS[name])
    return [read_labels(path) for path in sorted(folder.iterdir())[:_MOST_IMAGES]]


def score(truth: np.ndarray, settings: ObjectSettings) -> ObjectMatches:
    """Separate the mask of true objects and match what comes out."""
    classes = np.where(truth > 0, 2, 1).astype(np.uint8)
    return match_objects(truth, run(separate_objects(classes, 1, settings))[0])


def summary(matches: Sequence[ObjectMatches]) -> tuple[float, float]:
    """Return the mean over images and the figure over all objects."""
    per_image = [match.average_precision for match in matches]
    hits = sum(match.true_positives for match in matches)
    wrong = sum(match.false_positives + match.false_negatives for match in matches)
    return float(np.nanmean(per_image)), hits / (hits + wrong)


def report(name: str, truths: Sequence[np.ndarray]) -> None:
    """Print a line for each setting."""
    n_objects = sum(len(np.unique(truth)) - 1 for truth in truths)
    print(f"\n{name}: {len(truths)} images, {n_objects:,} objects")
    choices = [("off", ObjectSettings(touching="off"))]
    choices += [(f"strength {s}", ObjectSettings(strength=s)) for s in _STRENGTHS]
    for text, settings in choices:
        mean, together = summary([score(truth, settings) for truth in truths])
        mark = "   the default" if settings == ObjectSettings() else ""
        print(f"  {text:<14} AP {mean:.4f} (all objects {together:.4f}){mark}")


def main() -> None:
    """Choose on one half of bbbc039, score on the other half and on other kinds of cells."""
    truths = read_truths("bbbc039")
    report("bbbc039, the half to choose from", truths[::2])
    report("bbbc039, the other half", truths[1::2])
    for name in list(_SETS)[1:]:
        report(name, read_truths(name))


if __name__ == "__main__":
    main()
