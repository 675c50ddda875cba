"""Make the sample images: simulated microscopy with its truth, the same files on every run.

Run ``python make_sample_images.py [--out DIR]``. Needs numpy, scipy, tifffile and Pillow.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image
from simulated_bacteria import bacteria
from simulated_bead import bead_film
from simulated_blood import blood_smear
from simulated_microscope import Picture
from simulated_nuclei import nuclei, nuclei_stack


def write_tiff(
    path: Path, array: np.ndarray, axes: str, pixel_um: float, z_um: float = 0.0
) -> None:
    """Write a compressed ImageJ TIFF that carries its axes and pixel size."""
    metadata = {"axes": axes, "unit": "um", **({"spacing": z_um} if z_um else {})}
    tifffile.imwrite(
        path, array, imagej=True, compression="zlib", compressionargs={"level": 9},
        resolution=(1 / pixel_um, 1 / pixel_um), metadata=metadata,
    )  # fmt: skip


def write_table(path: Path, header: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Write a CSV file with Unix line ends."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def write_truth(
    folder: Path, name: str, picture: Picture, axes: str, pixel_um: float, z_um: float = 0.0
) -> None:
    """Write the labels and, where there are some, the classes of those labels."""
    write_tiff(folder / f"{name}_cells.tif", picture.labels, axes, pixel_um, z_um)
    if picture.classes:
        kept = np.unique(picture.labels)  # the image's edge may leave nothing of a cell
        rows = [(k, c) for k, c in picture.classes.items() if k in kept]
        write_table(folder / f"{name}_classes.csv", ("label", "class"), rows)


def make_blood_smears(folder: Path) -> None:
    """Make two smears of different stain and lamp."""
    for name, seed, stain, lamp in (
        ("blood_smear_1", 11, 1.0, (196, 210, 198)),
        ("blood_smear_2", 12, 0.92, (205, 204, 202)),
    ):
        picture = blood_smear(seed, stain, lamp)
        Image.fromarray(picture.image).save(folder / f"{name}.png", optimize=True)
        write_truth(folder, name, picture, "YX", 0.2)


def make_nuclei(folder: Path) -> None:
    """Make two fields of nuclei of different haze, and the stack."""
    for name, seed, haze in (("nuclei_1", 21, 0.20), ("nuclei_2", 22, 0.26)):
        picture = nuclei(seed, haze)
        write_tiff(folder / f"{name}.tif", picture.image, "CYX", 0.325)
        write_truth(folder, name, picture, "YX", 0.325)
    picture = nuclei_stack(51)
    write_tiff(folder / "nuclei_stack.tif", picture.image, "ZYX", 0.25, 1.0)
    write_truth(folder, "nuclei_stack", picture, "ZYX", 0.25, 1.0)


def make_bacteria(folder: Path) -> None:
    """Make two fields of rods."""
    for name, seed, count in (("bacteria_1", 31, 130), ("bacteria_2", 32, 145)):
        picture = bacteria(seed, count)
        write_tiff(folder / f"{name}.tif", picture.image, "YX", 0.08)
        write_truth(folder, name, picture, "YX", 0.08)


def make_bead_film(folder: Path) -> None:
    """Make the film and its table of positions."""
    picture, positions = bead_film(41)
    write_tiff(folder / "bead_film.tif", picture.image, "TYX", 0.1)
    rows = [(frame, f"{y:.3f}", f"{x:.3f}") for frame, (y, x) in enumerate(positions)]
    write_table(folder / "bead_film_positions.csv", ("frame", "y", "x"), rows)


def main() -> None:
    """Make every sample image in the folder asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent, help="folder to write to"
    )
    folder = parser.parse_args().out
    folder.mkdir(parents=True, exist_ok=True)
    for make in (make_blood_smears, make_nuclei, make_bacteria, make_bead_film):
        make(folder)


if __name__ == "__main__":
    main()
