"""Results of the courses, on the same kind of data: each set with three seeds, median and range in one table.

Run ``NAPARI_CONVNET_DATA=FOLDER python benchmarks/course_results.py -o RESULTS/``; ``--only NAME --seeds 0`` runs
a part, and what lies in the results' folder already is not run again. ``--list`` tells what there is.

The best epoch and the temperature are chosen on a validation part; the figure is measured once, after that, on
a test part that nothing was chosen on. The settings of a recipe below are fixed here, before its test part is seen.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_convnet import (
    AnnotatedObjects,
    ClassificationSet,
    TrainingSettings,
    make_classes,
    run,
    train,
)
from napari_convnet.evaluation import evaluate_objects, score_classification
from napari_convnet.folders import ClassFolder, group_names, read_class_folder, read_image
from napari_convnet.model_file import Model, read_weights
from napari_convnet.samples import (
    Split,
    choose_folds,
    read_image_files,
    split_by_sample,
    split_class_folder,
    split_two_folders,
)
from napari_convnet.samples.folder_split import Copies
from napari_convnet.scores import measure_classifier

#: Share of the training part that chooses the best epoch.
VALIDATION = 0.15
PATIENT = r"^(C\d+)"
#: ImageNet weights that lie beside the data, by network.
WEIGHTS = {
    "mobilenet_v2": "mobilenet_v2_imagenet.safetensors",
    "squeezenet1_1": "squeezenet1_1_imagenet.safetensors",
}


@dataclass(frozen=True)
class Recipe:
    """What is trained on a set: a network with settings, and how its data are divided."""

    measure: Callable[[Recipe, Path, int], dict[str, Any]]
    folder: str
    network: str
    size: int
    epochs: int
    target: str
    is_pretrained: bool = False
    batch_size: int = 32
    learning_rate: float = 2e-3
    backbone: float = 1.0
    network_settings: dict[str, Any] = field(default_factory=dict)
    normalisation: str = "training_set"
    augmentation: dict[str, Any] = field(default_factory=dict)
    mixed_precision: str = "auto"
    balance: str = "weighted_loss"
    orientations: int = 1
    groups: str = ""

    def train(self, samples: ClassificationSet, data: Path, seed: int) -> Model:
        """Train with this recipe."""
        settings = TrainingSettings(
            epochs=self.epochs, batch_size=self.batch_size, learning_rate=self.learning_rate,
            backbone_learning_rate_factor=self.backbone, seed=seed, device=DEVICE,
            mixed_precision=self.mixed_precision, balance=self.balance, **self.augmentation,
        )  # fmt: skip
        weights = None
        if self.is_pretrained:
            weights = read_weights(str(data / "weights" / WEIGHTS[self.network]))
        steps = train(
            samples, self.network, settings, network_settings=self.network_settings,
            initial_weights=weights, name="course",
        )  # fmt: skip
        return run(steps)

    def samples(self, folder: ClassFolder, split: Split) -> ClassificationSet:
        """Read a folder's images."""
        files = run(read_image_files(folder, self.size))
        return ClassificationSet.from_images(
            files.images.__getitem__, folder.targets, make_classes(folder.class_names), split,
            input_size=self.size, normalisation=self.normalisation,
        )  # fmt: skip

    def seen_and_scored(
        self, training: ClassFolder, split: Split, test: ClassFolder, data: Path, seed: int
    ) -> dict[str, Any]:
        """Train on what is no copy of a test image, then score the test part once."""
        numbers = Copies.of(training.joined(test)).numbers
        n_seen = len(training.files)
        kept = np.flatnonzero(~np.isin(numbers[:n_seen], numbers[n_seen:]))
        training, split = training.subset(kept), split.subset(kept)
        model = self.train(self.samples(training, split), data, seed)
        steps = score_classification(model, test, orientations=self.orientations, device=DEVICE)
        return run(steps).as_dict()


DEVICE = "cpu"


def two_folders(recipe: Recipe, data: Path, seed: int) -> dict[str, Any]:
    """Train on ``train/`` and score ``test/``."""
    training = read_class_folder(data / recipe.folder / "train")
    test = read_class_folder(data / recipe.folder / "test", training.class_names)
    split = split_class_folder(training, VALIDATION, seed)
    return recipe.seen_and_scored(training, split, test, data, seed)


def montpellier(recipe: Recipe, data: Path, seed: int) -> dict[str, Any]:
    """Train on the course's training folder; half of its validation folder chooses, the other half is scored."""
    training = read_class_folder(data / recipe.folder / "train")
    others = read_class_folder(data / recipe.folder / "validation", training.class_names)
    # The same halves for every seed, so that no seed chooses on what another one is scored on.
    halves = split_by_sample(others.targets, 0.5, 0)
    choosing, test = others.subset(halves.training), others.subset(halves.validation)
    both, split = split_two_folders(training, choosing, "half of the validation folder")
    return recipe.seen_and_scored(both, split, test, data, seed)


def five_folds(recipe: Recipe, data: Path, seed: int) -> dict[str, Any]:
    """Predict every image once, by a model that saw neither it nor its patient."""
    folder = read_class_folder(data / recipe.folder)
    groups = np.array(group_names(folder.files, recipe.groups)) if recipe.groups else None
    # Small sets have few copies; without groups, an image and its copy stand together.
    units = Copies.of(folder).numbers if groups is None else groups
    folds = choose_folds(folder.targets, 5, seed, units)
    probabilities = np.zeros((len(folds), len(folder.class_names)))
    for number in range(5):
        others, held = np.flatnonzero(folds != number), np.flatnonzero(folds == number)
        rest = folder.subset(others)
        names = None if groups is None else [str(name) for name in groups[others]]
        split = split_class_folder(rest, VALIDATION, seed, names)
        model = recipe.train(recipe.samples(rest, split), data, seed)
        scored = run(
            score_classification(
                model, folder, held, orientations=recipe.orientations, device=DEVICE
            )
        )
        probabilities[held] = scored.probabilities
        print(f"    fold {number + 1} of 5: {scored.scores.accuracy:.4f}", flush=True)
    return measure_classifier(
        folder.targets, probabilities, folder.class_names, groups, "patients"
    ).as_dict()


def points(recipe: Recipe, data: Path, seed: int) -> dict[str, Any]:
    """Cells around points, by image: a quarter of the images is scored."""
    parts, names = _read_points(data / recipe.folder)
    order = np.random.default_rng(seed).permutation(len(parts))
    n_test = max(1, len(parts) // 4)
    test, training = [parts[i] for i in order[:n_test]], [parts[i] for i in order[n_test:]]
    known = {int(value) for part in training for value in np.unique(part.values)}
    test = [_only(part, known) for part in test]
    samples = ClassificationSet.from_objects(
        training, make_classes(names), patch_size=80, input_size=recipe.size,
        validation_fraction=VALIDATION, seed=seed, normalisation=recipe.normalisation,
    )  # fmt: skip
    return run(evaluate_objects(recipe.train(samples, data, seed), test, device=DEVICE))


def _only(part: AnnotatedObjects, known: set[int]) -> AnnotatedObjects:
    kept = np.isin(part.values, list(known))
    return replace(part, centres=part.centres[kept], values=part.values[kept])


def _read_points(folder: Path) -> tuple[list[AnnotatedObjects], list[str]]:
    """Read images with the points and classes of their cells; classes without any point are left out."""
    found = []
    for table in sorted((folder / "points").glob("*.csv")):
        with table.open(newline="") as file:
            rows = list(csv.DictReader(file))
        image = read_image(next((folder / "images").glob(f"{table.stem}.*")))
        centres = np.array([[float(row["y"]), float(row["x"])] for row in rows])
        found.append((image, centres, np.array([int(row["cls"]) for row in rows])))
    numbers = np.unique(np.concatenate([values for _, _, values in found]))
    parts = [AnnotatedObjects(i, c, np.searchsorted(numbers, v) + 1) for i, c, v in found]
    return parts, [f"type {number}" for number in numbers]


#: What has an upper side must not be turned around; digits must not be mirrored, either.
_UPRIGHT = {"augmentation": {"rotation_min": -10.0, "rotation_max": 10.0}}
_DIGITS = {"augmentation": _UPRIGHT["augmentation"] | {"flip_x": False}}
#: bfloat16 is up to twice as fast on processors that know it; others take float32.
_FINE = {
    "is_pretrained": True, "learning_rate": 1e-3, "backbone": 0.3, "mixed_precision": "on"
}  # fmt: skip
#: Cells on a slide have no upper side.
_CELLS = {**_FINE, "orientations": 8}

RECIPES: dict[str, Recipe] = {
    "mnist": Recipe(two_folders, "mnist", "digits_convnet", 28, 30, ">= 0.98", **_DIGITS),
    "cifar10_mlp": Recipe(two_folders, "cifar10", "mlp", 32, 30, "course: 0.4007 (all data)", **_UPRIGHT),
    "cifar10_convnet": Recipe(
        two_folders, "cifar10", "cifar_convnet", 32, 60, "course: 0.7108 (all data)",
        network_settings={"batch_norm": False}, **_UPRIGHT,
    ),
    "cifar10_convnet_bn": Recipe(
        two_folders, "cifar10", "cifar_convnet", 32, 60, "course: 0.7494 (all data)",
        network_settings={"batch_norm": True}, **_UPRIGHT,
    ),
    "cifar10_fine_tuned": Recipe(
        two_folders, "cifar10", "mobilenet_v2", 96, 12, "above both", **_FINE, **_UPRIGHT
    ),
    "rbc_montpellier": Recipe(
        # Plain accuracy is wanted, and the classes are as frequent in both folders.
        montpellier, "rbc_montpellier", "mobilenet_v2", 128, 8, ">= 0.92", balance="off", **_CELLS
    ),
    "malaria": Recipe(
        five_folds, "malaria", "mobilenet_v2", 96, 8, ">= 0.97", groups=PATIENT, **_CELLS
    ),
    "pbc_blood_cells": Recipe(
        five_folds, "pbc_blood_cells", "mobilenet_v2", 128, 20, "reported", **_CELLS
    ),
    "pollen_bees": Recipe(five_folds, "pollen_bees", "mobilenet_v2", 128, 20, "reported", **_FINE),
    "flowers5": Recipe(five_folds, "flowers5", "mobilenet_v2", 128, 15, "reported", **_FINE, **_UPRIGHT),
    "chula_rbc12": Recipe(points, "chula_rbc12", "mobilenet_v2", 96, 20, "reported", **_FINE),
}  # fmt: skip


def measure(name: str, seed: int, data: Path, output: Path) -> dict[str, Any]:
    """Run one recipe with one seed, or read what an earlier run with the same recipe wrote."""
    recipe = RECIPES[name]
    what = {k: v for k, v in vars(recipe).items() if k not in ("measure", "target")}
    path = output / f"{name}_{seed}.json"
    if path.exists():
        kept = json.loads(path.read_text())
        if kept["recipe"] == what:
            return kept
    print(f"{name}, seed {seed} ...", flush=True)
    started = time.perf_counter()
    scores = recipe.measure(recipe, data, seed)
    result = {
        "recipe": what,
        "seed": seed,
        "seconds": time.perf_counter() - started,
        "scores": scores,
    }
    temporary = path.with_suffix(".part")
    temporary.write_text(json.dumps(result, indent=1))
    temporary.replace(path)
    return result


def print_rows(results: dict[str, list[dict[str, Any]]]) -> None:
    """Print median and range over the seeds, and the widest interval of a single seed."""
    print(
        f"\n{'set':20} {'network':14} seeds {'accuracy: median':>17} {'range':>16} "
        f"{'95 % of one seed':>18} {'balanced':>9} {'samples':>8} {'s':>6}  wanted"
    )
    for name, runs in results.items():
        accuracies = [r["scores"]["accuracy"] for r in runs]
        ends = [r["scores"]["accuracy_interval"] for r in runs]
        widest = max(ends, key=lambda pair: pair[1] - pair[0])
        balanced = np.median([r["scores"]["balanced_accuracy"] for r in runs])
        print(
            f"{name:20} {RECIPES[name].network:14} {len(runs):5} {np.median(accuracies):17.4f} "
            f"{min(accuracies):7.4f}..{max(accuracies):.4f} {widest[0]:9.4f}..{widest[1]:.4f} "
            f"{balanced:9.4f} {runs[0]['scores']['n']:8} {np.median([r['seconds'] for r in runs]):6.0f}  "
            f"{RECIPES[name].target}"
        )


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, default=Path("course_results"))
    parser.add_argument("--only", nargs="+", choices=RECIPES, default=list(RECIPES))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--list", action="store_true", help="say what there is and leave")
    options = parser.parse_args(arguments)
    if options.list:
        print("\n".join(f"{name:20} {r.network:14} {r.target}" for name, r in RECIPES.items()))
        return
    if "NAPARI_CONVNET_DATA" not in os.environ:
        sys.exit("Set NAPARI_CONVNET_DATA to the folder of the data sets.")
    data = Path(os.environ["NAPARI_CONVNET_DATA"])
    options.output.mkdir(parents=True, exist_ok=True)
    results = {
        name: [measure(name, seed, data, options.output) for seed in options.seeds]
        for name in options.only
    }
    print_rows(results)


if __name__ == "__main__":
    main()
