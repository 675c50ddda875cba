"""A bead spinning on a bacterial motor, located in frames that training never saw; the true positions are known.

Run ``python benchmarks/locate_bead.py``. Films are simulated as the sample film is (sample_images/simulated_bead.py),
with other seeds and more frames. The first frames of a film are annotated, with their true positions or as by a
person whose clicks miss them; after a gap, all later frames are measured. The bias by sub-pixel phase is the
largest mean error, along an axis, of the frames whose true position lies in one tenth of a pixel.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np

from napari_convnet import TrainingSettings, run, train
from napari_convnet.model_file import Model
from napari_convnet.networks import network_entry
from napari_convnet.prediction import locate_in_frames
from napari_convnet.samples import AnnotatedFrames, Film, PositionSet
from napari_convnet.training import suggest_epochs

sys.path.insert(0, str(Path(__file__).parents[1] / "sample_images"))
from simulated_bead import bead_film

GAP, MEASURED = 10, 300


def root_mean_square(errors: np.ndarray) -> float:
    """Return the root mean square distance of errors ``(N, 2)``."""
    return float(np.sqrt((errors**2).sum(1).mean()))


def largest_bias(errors: np.ndarray, truth: np.ndarray) -> float:
    """Return the largest mean error of a tenth of a pixel, of those with 10 frames or more."""
    tenth = np.floor(10 * (truth - np.floor(truth))).astype(int)
    means = [
        abs(errors[tenth[:, axis] == k, axis].mean())
        for axis in (0, 1)
        for k in range(10)
        if (tenth[:, axis] == k).sum() >= 10
    ]
    return max(means)


def one_look(model: Model) -> Model:
    """Return the model as it is without looking at a frame in several orientations."""
    locate = model.card.locate.model_copy(update={"orientations": 1})
    return Model(
        model.card.model_copy(update={"locate": locate}), model.network, model.sample_input
    )


def measure(n_annotated: int, click_error: float, seed: int, options: argparse.Namespace) -> None:
    """Simulate a film, train on its beginning and print the errors in the rest."""
    picture, truth = bead_film(100 + seed, n_annotated + GAP + MEASURED)
    film = Film(picture.image, "TYX")
    missed = np.random.default_rng(seed).normal(0, click_error, truth.shape)
    annotated = AnnotatedFrames(film[:n_annotated], (truth + missed)[:n_annotated])
    samples = PositionSet.from_frames([annotated], seed=seed)
    settings = TrainingSettings(
        batch_size=16,
        seed=seed,
        epochs=options.epochs or suggest_epochs(samples, 16),
        learning_rate=network_entry("position_convnet").learning_rate,
        device=options.device,
    )
    start = time.perf_counter()
    model = run(train(samples, settings=settings))
    trained = time.perf_counter() - start
    unseen = slice(n_annotated + GAP, None)
    start = time.perf_counter()
    errors = (
        run(locate_in_frames(model, film[unseen], device=options.device)).positions - truth[unseen]
    )
    per_frame = 1000 * (time.perf_counter() - start) / MEASURED
    single = run(locate_in_frames(one_look(model), film[unseen], device=options.device))
    print(
        f"{seed:4} {n_annotated:9} {click_error:8.2f} {root_mean_square(errors):9.3f} "
        f"{root_mean_square(single.positions - truth[unseen]):9.3f} "
        f"{largest_bias(errors, truth[unseen]):9.3f} {np.abs(errors).max():9.3f} "
        f"{trained:8.0f} s {per_frame:7.1f} ms",
        flush=True,
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--annotated", type=int, nargs="+", default=[150])
    parser.add_argument("--click-errors", type=float, nargs="+", default=[0.0, 0.3])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=0, help="0 = chosen from the set's size")
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    print(f"pixels; {MEASURED} frames measured that training did not see")
    print("seed annotated  clicks +-  RMS err  one look  worst bias  largest  training  a frame")
    for n_annotated in options.annotated:
        for click_error in options.click_errors:
            for seed in range(options.seeds):
                measure(n_annotated, click_error, seed, options)


if __name__ == "__main__":
    main()
