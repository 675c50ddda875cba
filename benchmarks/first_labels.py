"""How well first labels find cells with the settings that the image suggests: object F1 at IoU 0.5.

Run it with the folder of real images in ``NAPARI_CONVNET_DATA`` (only the samples without it)::

    NAPARI_CONVNET_DATA=/data python benchmarks/first_labels.py

The last column is the time for one image: suggesting settings, measuring the level, finding cells.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from napari_convnet.first_labels import (
    find_cells,
    measure_level,
    read_block,
    sample_image,
    suggest_settings,
)
from napari_convnet.folders import read_array
from napari_convnet.sample_data import read_sample
from napari_convnet.scores import match_objects

#: Sets of image and mask files in the data folder, and how many images of each to take.
_SETS = {
    "bbbc039": ("images", "masks", 20),
    "bacteria_colicoords": ("fluorescence", "masks", 5),
    "dsb2018": ("fluo/images", "fluo/masks", 20),
}


def pairs(name: str) -> Iterator[tuple[np.ndarray, np.ndarray, float]]:
    """Yield images, their true labels and the distance of planes in pixels."""
    if name not in _SETS:
        sample = read_sample(name)
        image = sample.image[0] if sample.axes == "CYX" else sample.image
        yield image, sample.labels, sample.scale[0] / sample.scale[-1]
        return
    images, masks, limit = _SETS[name]
    folder = Path(os.environ["NAPARI_CONVNET_DATA"], name)
    for path in sorted((folder / images).iterdir())[:limit]:
        mask = next((folder / masks).glob(path.stem + ".*"))
        yield read_array(path)[0], read_array(mask)[0], 1.0


def measure(name: str) -> str:
    """Return a line with counts and F1 of one set."""
    found = missed = wrong = n_images = 0
    start = time.perf_counter()
    for image, truth, z_step in pairs(name):
        is_colour = image.ndim == truth.ndim + 1
        region = (slice(None),) if truth.ndim == 3 else ()
        sample = sample_image(image, region, is_colour, name)
        settings = replace(suggest_settings(sample), z_step=z_step)
        pixels = read_block(image, (*region, slice(None), slice(None)), is_colour, name)
        cells = find_cells(pixels, settings, measure_level(sample, settings))
        matches = match_objects(truth, cells)
        found += matches.true_positives
        wrong += matches.false_positives
        missed += matches.false_negatives
        n_images += 1
    f1 = 2 * found / (2 * found + wrong + missed)
    seconds = (time.perf_counter() - start) / n_images
    return (
        f"{name:<20} F1 {f1:.3f}   found {found:5}   missed {missed:5}   wrong {wrong:5}   "
        f"{n_images:3} images   {1000 * seconds:6.0f} ms"
    )


def main() -> None:
    """Measure the samples, and the real images where they are."""
    names = ["blood_smear_1", "blood_smear_2", "nuclei_1", "nuclei_2", "bacteria_1", "nuclei_stack"]
    if os.environ.get("NAPARI_CONVNET_DATA"):
        names += list(_SETS)
    for name in names:
        print(measure(name), flush=True)


if __name__ == "__main__":
    main()
