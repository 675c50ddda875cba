"""Annotations flipped on purpose, and how many of them are found: precision and recall of the suspects.

Run ``NAPARI_CONVNET_DATA=FOLDER python benchmarks/suspect_labels.py``. Of each set one image in twenty gets another
class, drawn by chance; five networks judge what they never saw. Sets have wrong labels of their own, which count as
false alarms here.
"""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from napari_convnet import ClassificationSet, TrainingSettings, make_classes, run
from napari_convnet.evaluation import find_suspects
from napari_convnet.folders import read_class_folder
from napari_convnet.model_file import read_weights
from napari_convnet.networks import network_entry
from napari_convnet.samples import read_image_files, split_by_sample

SETS = {"pbc_blood_cells": 0, "rbc_montpellier/train": 600, "pollen_bees": 0}
JUDGES = {"convnet": None, "mobilenet_v2": "weights/mobilenet_v2_imagenet.safetensors"}


def measure(name: str, network: str, options: argparse.Namespace) -> None:
    """Flip labels of a set, find them, and print a row."""
    data = Path(os.environ["NAPARI_CONVNET_DATA"])
    random = np.random.default_rng(options.seed)
    folder = read_class_folder(data / name)
    if SETS[name]:
        folder = folder.subset(np.sort(random.permutation(len(folder.files))[: SETS[name]]))
    files = run(read_image_files(folder, 96))
    n, n_classes = len(folder.targets), len(folder.class_names)
    flipped = random.choice(n, round(options.share * n), replace=False)
    targets = folder.targets.copy()
    targets[flipped] = (targets[flipped] + random.integers(1, n_classes, len(flipped))) % n_classes
    samples = ClassificationSet.from_images(
        files.images.__getitem__, folder.targets, make_classes(folder.class_names),
        split_by_sample(targets, 0.0, 0), input_size=96,
    )  # fmt: skip
    samples = replace(samples, targets=torch.from_numpy(targets))
    weights = JUDGES[network] and read_weights(str(data / JUDGES[network]))
    settings = TrainingSettings(
        epochs=options.epochs, batch_size=16, seed=options.seed, device=options.device,
        learning_rate=network_entry(network).learning_rate,
        backbone_learning_rate_factor=0.3 if weights else 1.0,
    )  # fmt: skip
    began = time.monotonic()
    found = run(find_suspects(samples, network, settings, initial_weights=weights, has_epochs=True))
    hit = np.isin(found.indices, flipped)
    print(
        f"{name:24}{network:14}{n:6}{len(flipped):9}{len(hit):11}{hit.mean():11.2f}{hit.sum() / len(flipped):8.2f}"
        f"{hit[: len(flipped)].mean():12.2f}{time.monotonic() - began:8.0f} s",
        flush=True,
    )


def main() -> None:
    """Measure on every set with every judge."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--judges", nargs="+", choices=JUDGES, default=list(JUDGES))
    parser.add_argument("--share", type=float, default=0.05, help="of the labels that are flipped")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    print(
        f"{'set':24}{'judges':14}{'n':>6}{'flipped':>9}{'suspected':>11}{'precision':>11}{'recall':>8}{'as many':>12}"
        f"{'trained':>10}"
    )
    for name in options.sets:
        for network in options.judges:
            measure(name, network, options)


if __name__ == "__main__":
    main()
