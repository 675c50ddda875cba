"""What APOC makes of strokes; `live_label_economy` runs it with the Python of an environment that has APOC.

Run ``python apoc_pixels.py TASK.npz FOUND.npz``. The task holds ``training_K`` images, ``strokes_K`` on them and
``held_K`` images. Predicted classes are written as ``default_K`` (APOC's own depth of trees and smallest feature
set) and ``deep_K`` (features from 1 to 16 pixels and trees as deep as those of scikit-image's forest). APOC needs
OpenCL; for the CPU, ``apt-get install pocl-opencl-icd`` and ``pip install apoc``.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import apoc
import numpy as np

SIZES = (1, 2, 4, 8, 16)
KINDS = (
    "gaussian_blur",
    "difference_of_gaussian",
    "laplace_box_of_gaussian_blur",
    "sobel_of_gaussian_blur",
)
WAYS = {
    "default": (apoc.PredefinedFeatureSet.small_quick.value, 2),
    "deep": ("original " + " ".join(f"{kind}={size}" for kind in KINDS for size in SIZES), 10),
}


def main() -> None:
    """Train both ways and write what they find."""
    task = np.load(sys.argv[1])
    found: dict[str, np.ndarray] = {}
    for way, (features, depth) in WAYS.items():
        with tempfile.TemporaryDirectory() as folder:
            classifier = apoc.PixelClassifier(str(Path(folder, "forest.cl")), max_depth=depth)
            for k in range(sum(name.startswith("strokes_") for name in task)):
                classifier.train(
                    features, task[f"strokes_{k}"], task[f"training_{k}"], continue_training=k > 0
                )
            for k in range(sum(name.startswith("held_") for name in task)):
                classes = classifier.predict(image=task[f"held_{k}"])
                found[f"{way}_{k}"] = np.asarray(classes).astype(np.uint8)
    np.savez(sys.argv[2], **found)


if __name__ == "__main__":
    main()
