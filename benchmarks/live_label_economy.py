"""What live training makes of a few strokes, seconds after the last one, and of none at all, beside other tools.

Run ``NAPARI_CONVNET_DATA=FOLDER python benchmarks/live_label_economy.py``, where the folder holds ``dsb2018/fluo``
(or another set with ``images`` and instance labels in ``masks``, by ``--set``). The painter of `sparse_strokes` paints
three images one after the other while the network trains, and it is scored on 40 images that nobody painted; the
clock stands still for scoring. Painted and scored are only images that no starter weights have seen
(``starter_weights/kept_out.txt``), others with another seed. The rows: from scratch; ``--without FILE``, starter
weights that saw no image of the set, as ``starter_weights/make_starter_weights.py`` makes
them; the shipped ones. Put no other work on the machine: the seconds are those of a wall clock. ``--steps`` counts
steps instead, which any machine repeats. ``--apoc PYTHON`` is the Python of an environment with APOC, see
`apoc_pixels`.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from instant_preview import iou, score_scikit_image
from sparse_strokes import CLASSES, draw_strokes, pairs_of
from torch import Tensor, nn

from napari_convnet.classes import background_index
from napari_convnet.folders import ImagePair
from napari_convnet.images import CleanImage, Normalisation
from napari_convnet.instant import split_strokes
from napari_convnet.live import InView, LiveStrokes
from napari_convnet.live.crops import OpenPlane
from napari_convnet.live.looking import look_at, tiles_in_view
from napari_convnet.live.network import LiveRequest
from napari_convnet.live.training import train_live
from napari_convnet.networks import (
    adapt_weights,
    begin_head,
    build_network,
    has_starter_weights,
    read_starter_weights,
)
from napari_convnet.settings import TrainingSettings

TRAINING_IMAGES, SCORED_IMAGES = 3, 40
ROWS = ("from scratch", "starter without the set", "shipped starter")
FOREST = "scikit-image's forest"
Weights = Mapping[str, Tensor] | None
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


def score(network: nn.Module, held_out: list) -> float:
    """Return the mean IoU of the nuclei over unseen images."""
    found = []
    for image, instances in held_out:
        plane = OpenPlane(image, Normalisation("percentiles"))
        classes = np.zeros(image.shape, np.uint8)
        whole = (slice(0, image.shape[0]), slice(0, image.shape[1]))
        for tile in tiles_in_view(plane.shape, whole, network):
            classes[tile.write] = look_at(network, plane, tile, torch.device("cpu"))[0]
        found.append(iou(instances, classes))
    return float(np.mean(found))


def score_without_strokes(weights: Weights, n_channels: int, held_out: list) -> float:
    """Return the score of the starter weights' own idea of objects; NaN from scratch, where there is none."""
    if weights is None:
        return float("nan")
    network = build_network("unet", n_channels, len(CLASSES)).eval()
    adapt_weights(network, weights)
    begin_head(network, weights, len(CLASSES), background_index(CLASSES))
    return score(network, held_out)


@dataclass(frozen=True)
class Task:
    """Painted and scored images of one seed."""

    seed: int
    training: list
    held_out: list
    strokes: list[np.ndarray]


def read_task(pairs: Sequence[ImagePair], seed: int, n_scored: int) -> Task:
    """Choose images and paint three of them."""
    order = np.random.default_rng(seed).permutation(len(pairs))
    read = [pairs[i].read() for i in order[: TRAINING_IMAGES + n_scored]]
    random = np.random.default_rng(seed)
    training = read[:TRAINING_IMAGES]
    strokes = [draw_strokes(instances, random) for _, instances in training]
    return Task(seed, training, read[TRAINING_IMAGES:], strokes)


def score_apoc(task: Task, python: Path) -> dict[str, float]:
    """Return what APOC scores with its own settings, and with trees as deep as those of scikit-image's forest."""
    with tempfile.TemporaryDirectory() as folder:
        asked, found = Path(folder, "task.npz"), Path(folder, "found.npz")
        arrays = {f"strokes_{k}": strokes for k, strokes in enumerate(task.strokes)}
        for name, part in (("training", task.training), ("held", task.held_out)):
            arrays |= {f"{name}_{k}": _by_percentiles(image) for k, (image, _) in enumerate(part)}
        np.savez(asked, **arrays)
        script = Path(__file__).with_name("apoc_pixels.py")
        subprocess.run([python, script, asked, found], check=True, stdout=subprocess.DEVNULL)
        classes = np.load(found)
        return {
            f"APOC, {way}": float(
                np.mean([iou(true, classes[f"{way}_{k}"]) for k, (_, true) in enumerate(task.held_out)])
            )
            for way in ("default", "deep")
        }  # fmt: skip


def _by_percentiles(image: CleanImage) -> np.ndarray:
    low, high = np.percentile(image.pixels[0], (1, 99.8))
    return ((image.pixels[0] - low) / max(high - low, 1e-6)).astype(np.float32)


def measure(task: Task, weights: Weights, marks: list[int], unit: str) -> list[float]:
    """Train live and return the score without strokes and at each mark after the last stroke."""
    painter = Painter([image for image, _ in task.training], task.strokes)
    settings = TrainingSettings(batch_size=8, seed=task.seed, device="cpu")
    channels = tuple(f"channel {k}" for k in range(task.training[0][0].n_channels))
    request = LiveRequest("unet", settings, channels, 64, initial_weights=weights)
    scores = [score_without_strokes(weights, len(channels), task.held_out)]
    steps: Generator = train_live(painter, request, stop=threading.Event())
    began, scored_for, last = time.monotonic(), 0.0, None
    for event in steps:
        now = event.done if unit == "steps" else time.monotonic() - began - scored_for
        if painter.n_painted < len(task.training):
            painter.n_painted = min(len(task.training), 1 + int(now // BETWEEN_IMAGES[unit]))
            last = now
        elif marks[len(scores) - 1] <= now - last:
            paused = time.monotonic()
            network = steps.gi_frame.f_locals["trainer"].network  # as it would be shown now
            scores.append(score(network.snapshot().cpu(), task.held_out))
            scored_for += time.monotonic() - paused
            if len(scores) > len(marks):
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
    parser.add_argument("--scored", type=int, default=SCORED_IMAGES, help="unseen images, at most")
    parser.add_argument("--without", type=Path, help="starter weights that saw no image of the set")
    parser.add_argument("--rows", nargs="*", choices=ROWS, default=ROWS)
    parser.add_argument("--apoc", type=Path, help="Python of an environment with APOC")
    parser.add_argument("--no-forest", action="store_true", help="leave scikit-image's forest out")
    options = parser.parse_args()
    unit = "steps" if options.steps else "seconds"
    pairs = pairs_of(Path(os.environ["NAPARI_CONVNET_DATA"]), options.set)
    starts: dict[str, Weights] = {ROWS[0]: None}
    if options.without is not None:
        starts[ROWS[1]] = read_starter_weights(options.without)
    if has_starter_weights("unet"):
        starts[ROWS[2]] = read_starter_weights()
    starts = {name: weights for name, weights in starts.items() if name in options.rows}
    heads = ["no stroke", *(f"{mark} {unit}" for mark in options.marks)]
    print(f"{options.set}: {TRAINING_IMAGES} images painted of {len(pairs)}; {hardware()}")
    print(f"{'':28}seed" + "".join(f"{head:>13}" for head in heads))
    table: dict[str, list[list[float]]] = {}
    for seed in options.seeds:
        task = read_task(pairs, seed, options.scored)
        for name, weights in starts.items():
            table.setdefault(name, []).append(measure(task, weights, options.marks, unit))
            show(name, seed, table[name][-1])
        if not options.no_forest:
            forest = score_scikit_image(task.training, task.held_out, task.strokes, seed)
            table.setdefault(FOREST, []).append([float("nan"), forest])
            show(FOREST, seed, table[FOREST][-1])
        if options.apoc is not None:
            for name, value in score_apoc(task, options.apoc).items():
                table.setdefault(name, []).append([float("nan"), value])
                show(name, seed, table[name][-1])
    for name, rows in table.items():
        show(name, "mean", np.mean(rows, axis=0))
    print(hardware())


def show(name: str, seed: object, values: Sequence[float]) -> None:
    """Print a line of the table; what is not possible is a dash."""
    cells = "".join(f"{'-':>13}" if np.isnan(value) else f"{value:13.3f}" for value in values)
    print(f"{name:28}{seed!s:>4}{cells}", flush=True)


def hardware() -> str:
    """Return how busy the machine is."""
    return (
        f"load {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores, {torch.get_num_threads()} threads"
    )


if __name__ == "__main__":
    main()
