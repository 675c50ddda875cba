"""What live training makes of a few strokes, seconds after the last one, beside scikit-image's trainable segmentation.

Run ``NAPARI_CONVNET_DATA=FOLDER python benchmarks/live_label_economy.py``, where the folder holds ``dsb2018/fluo``
(or another set with ``images`` and instance labels in ``masks``, by ``--set``). The painter of `sparse_strokes` paints
three images one after the other while the network trains, and it is scored on 40 images that nobody painted; the
clock stands still for scoring. Put no other work on the machine: the seconds are those of a wall clock. ``--steps``
counts steps instead, which any machine repeats.
"""

from __future__ import annotations

import argparse
import os
import threading
import time
from collections.abc import Generator
from pathlib import Path

import numpy as np
import torch
from instant_preview import iou, score_scikit_image
from sparse_strokes import CLASSES, draw_strokes

from napari_convnet.folders import pair_images
from napari_convnet.images import CleanImage
from napari_convnet.instant import split_strokes
from napari_convnet.live import InView, LiveStrokes
from napari_convnet.live.crops import OpenPlane
from napari_convnet.live.looking import look_at, tiles_in_view
from napari_convnet.live.network import LiveRequest
from napari_convnet.live.training import train_live
from napari_convnet.model_file import Model
from napari_convnet.settings import TrainingSettings

TRAINING_IMAGES, SCORED_IMAGES = 3, 40
#: Steps or seconds between two images being painted.
BETWEEN_IMAGES = {"seconds": 3, "steps": 10}


class Painter:
    """Strokes on one image after the other; the last one is looked at."""

    def __init__(self, images: list[CleanImage], strokes: list[np.ndarray]) -> None:
        self._images, self._strokes, self.n_painted = images, strokes, 1

    @property
    def version(self) -> int:
        """How many images are painted."""
        return self.n_painted

    @property
    def view(self) -> InView | None:
        """Nothing is looked at: all time goes into training."""
        return None

    def read(self) -> LiveStrokes:
        """Return what is painted."""
        known = range(self.n_painted)
        opening = {k: lambda k=k: self._images[k] for k in known}
        return LiveStrokes(
            opening, [p for k in known for p in split_strokes(k, self._strokes[k])], CLASSES
        )


def score(model: Model, held_out: list) -> float:
    """Return the mean IoU of the nuclei over unseen images."""
    found = []
    for image, instances in held_out:
        plane = OpenPlane(image, LiveRequest("unet", TrainingSettings(), (), 0).normalisation)
        classes = np.zeros(image.shape, np.uint8)
        whole = (slice(0, image.shape[0]), slice(0, image.shape[1]))
        for tile in tiles_in_view(plane.shape, whole, model.network):
            classes[tile.write] = look_at(model.network, plane, tile, torch.device("cpu"))[0]
        found.append(iou(instances, classes))
    return float(np.mean(found))


def measure(
    training: list, held_out: list, strokes: list, seed: int, marks: list[int], unit: str
) -> list[float]:
    """Train live and return the score at each mark after the last stroke."""
    painter, stop = Painter([image for image, _ in training], strokes), threading.Event()
    settings = TrainingSettings(batch_size=8, seed=seed, device="cpu")
    channels = tuple(f"channel {k}" for k in range(training[0][0].n_channels))
    steps: Generator = train_live(painter, LiveRequest("unet", settings, channels, 64), stop=stop)
    began, scored_for, last, scores = time.monotonic(), 0.0, None, []
    for event in steps:
        now = event.done if unit == "steps" else time.monotonic() - began - scored_for
        if painter.n_painted < len(training):
            painter.n_painted = min(len(training), 1 + int(now // BETWEEN_IMAGES[unit]))
            last = now
        elif marks[len(scores)] <= now - last:
            paused = time.monotonic()
            network = steps.gi_frame.f_locals["trainer"].network  # as it would be shown now
            scores.append(score(network.model({}), held_out))
            scored_for += time.monotonic() - paused
            if len(scores) == len(marks):
                break
    steps.close()
    return scores


def main() -> None:
    """Measure with every seed and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--set", default="dsb2018/fluo")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--marks", type=int, nargs="+", default=[1, 10, 30, 120])
    parser.add_argument("--steps", action="store_true", help="marks are steps, not seconds")
    options = parser.parse_args()
    unit = "steps" if options.steps else "seconds"
    folder = Path(os.environ["NAPARI_CONVNET_DATA"], options.set)
    pairs = pair_images(folder / "images", folder / "masks")
    heads = "".join(f"{f'{mark} {unit}':>13}" for mark in options.marks)
    print(f"seed{heads}   scikit-image's forest")
    rows = []
    for seed in options.seeds:
        order = np.random.default_rng(seed).permutation(len(pairs))
        read = [pairs[i].read() for i in order[: TRAINING_IMAGES + SCORED_IMAGES]]
        training, held_out = read[:TRAINING_IMAGES], read[TRAINING_IMAGES:]
        random = np.random.default_rng(seed)
        strokes = [draw_strokes(instances, random) for _, instances in training]
        found = measure(training, held_out, strokes, seed, options.marks, unit)
        rows.append([*found, score_scikit_image(training, held_out, strokes, seed)])
        print(
            f"{seed:4}" + "".join(f"{v:13.3f}" for v in rows[-1][:-1]) + f"{rows[-1][-1]:24.3f}",
            flush=True,
        )
    means = np.mean(rows, axis=0)
    print("mean" + "".join(f"{value:13.3f}" for value in means[:-1]) + f"{means[-1]:24.3f}")


if __name__ == "__main__":
    main()
