"""All cells of an image located by a heat map: precision, recall, exactness and count on images not trained on.

Run ``NAPARI_CONVNET_DATA=FOLDER python benchmarks/locate_cells.py``, where the folder holds ``vgg_cells/images`` and
``vgg_cells/points`` (a CSV with y and x for each image). Half of the images are trained on (a part of them is
held out to choose threshold and epoch), the other half is measured.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import numpy as np

from napari_convnet import TrainingSettings, run, train
from napari_convnet.folders import list_images, read_image
from napari_convnet.prediction import locate_positions
from napari_convnet.samples import AnnotatedPositions, HeatMapSet
from napari_convnet.scores import PositionMatches, match_positions
from napari_convnet.training import suggest_epochs


def read_annotated(folder: Path) -> list[AnnotatedPositions]:
    """Read images and their points."""
    return [
        AnnotatedPositions(
            read_image(path),
            np.loadtxt(folder / "points" / f"{path.stem}.csv", delimiter=",", skiprows=1, ndmin=2),
        )
        for path in list_images(folder / "images")
    ]


def measure(
    training: list[AnnotatedPositions], held_out: list[AnnotatedPositions], seed: int,
    options: argparse.Namespace,
) -> None:  # fmt: skip
    """Train, locate, compare and print one line of the table."""
    samples = HeatMapSet.from_images(training, sigma=options.sigma, seed=seed)
    epochs = options.epochs or suggest_epochs(samples, 8)
    settings = TrainingSettings(batch_size=8, seed=seed, epochs=epochs, device=options.device)
    start = time.perf_counter()
    model = run(train(samples, settings=settings))
    trained = time.perf_counter() - start
    start = time.perf_counter()
    matches = [
        match_positions(
            part.centres,
            run(locate_positions(model, part.image, device=options.device)).positions,
            options.tolerance,
        )
        for part in held_out
    ]
    seconds = (time.perf_counter() - start) / len(held_out)
    total = PositionMatches.together(matches)
    off = np.mean([abs(m.n_found - m.n_true) for m in matches])
    print(
        f"{seed:4} {model.card.locate.threshold:9.2f} {total.precision:10.3f} {total.recall:7.3f} "
        f"{total.f1:6.3f} {total.root_mean_square_error:7.2f} px {off:8.1f} "
        f"{total.n_true / len(held_out):7.0f} {trained:8.0f} s {seconds:7.2f} s   {len(training)}/{len(held_out)}",
        flush=True,
    )


def main() -> None:
    """Measure with every seed and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--sigma", type=float, default=1.5)
    parser.add_argument("--tolerance", type=float, default=4.0, help="pixels; cells are 10 wide")
    parser.add_argument("--epochs", type=int, default=0, help="0 = chosen from the set's size")
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    parts = read_annotated(Path(os.environ["NAPARI_CONVNET_DATA"], "vgg_cells"))
    print(f"vgg_cells, found within {options.tolerance:g} px")
    print(
        "seed threshold  precision  recall     F1     error  count +-   cells  training  an image   images"
    )
    for seed in range(options.seeds):
        order = np.random.default_rng(seed).permutation(len(parts))
        half = len(parts) // 2
        training, held_out = ([parts[i] for i in side] for side in (order[:half], order[half:]))
        measure(training, held_out, seed, options)


if __name__ == "__main__":
    main()
