"""How fast the training loop is beside the shortest loop in plain torch.

Run ``python benchmarks/training_speed.py``. Both train the same network on the same batches with the same
number of threads, in one process, by turns; nothing is held out. Augmentation is off in both; the last
column is our loop with augmentation.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time

import numpy as np
import torch
import torch.nn.functional as F

from napari_convnet import TrainingSettings, make_classes
from napari_convnet.devices import choose_device, use_all_cores
from napari_convnet.images import Normalisation
from napari_convnet.networks import build_network, network_entry
from napari_convnet.samples import ClassificationSet, split_by_sample
from napari_convnet.training import BatchFinished, train


def make_samples(size: int, n: int) -> ClassificationSet:
    """Make a training set of noise: time does not depend on what a picture shows."""
    targets = np.arange(n) % 2
    patches = np.random.default_rng(0).normal(size=(n, 3, size, size)).astype(np.float32)
    return ClassificationSet(
        torch.from_numpy(patches),
        torch.from_numpy(targets),
        make_classes(("a", "b")),
        split_by_sample(targets, 0.0, 0),
        ("red", "green", "blue"),
        Normalisation("unit"),
        None,
    )


def time_plain_loop(samples: ClassificationSet, network: str, settings: TrainingSettings) -> float:
    """Return images per second of the shortest loop."""
    device = choose_device(settings.device)
    inputs, targets = samples.patches.to(device), samples.targets.to(device)
    module = build_network(network, 3, 2).to(device).train()
    optimiser = torch.optim.AdamW(module.parameters(), lr=settings.learning_rate)
    start = time.perf_counter()
    for _ in range(settings.epochs):
        for chosen in torch.randperm(len(inputs), device=device).split(settings.batch_size):
            loss = F.cross_entropy(module(inputs[chosen]), targets[chosen])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    loss.item()  # waits for the device
    return settings.epochs * len(inputs) / (time.perf_counter() - start)


def time_our_loop(samples: ClassificationSet, network: str, settings: TrainingSettings) -> float:
    """Return images per second from the first step's start to the last step's end."""
    steps = train(samples, network, settings)
    next(steps)  # everything is built
    start = end = time.perf_counter()
    for event in steps:
        if isinstance(event, BatchFinished):
            end = time.perf_counter()
    return settings.epochs * len(samples.targets) / (end - start)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", default="convnet,mobilenet_v2")
    parser.add_argument("--images", type=int, default=640)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    use_all_cores()
    device = choose_device(options.device)
    graphics = f", {torch.cuda.get_device_name()}" if device.type == "cuda" else ""
    print(f"{platform.platform()}, {platform.processor() or platform.machine()}{graphics}")
    print(f"torch {torch.__version__} on {device}, {torch.get_num_threads()} threads")
    print(f"{options.images} images, batches of {options.batch}, median of {options.repeats} runs")
    print(
        f"{'network':14}{'size':>5}{'plain img/s':>13}{'ours img/s':>12}{'ratio':>7}{'augmented':>11}"
    )
    for network in options.networks.split(","):
        size = network_entry(network, "classify").input_size
        samples = make_samples(size, options.images)
        common = {"epochs": 1, "batch_size": options.batch, "device": options.device}
        bare = TrainingSettings(augment=False, **common)
        augmented = TrainingSettings(augment=True, **common)
        rows = []
        for _ in range(options.repeats + 1):
            rows.append(
                (
                    time_plain_loop(samples, network, bare),
                    time_our_loop(samples, network, bare),
                    time_our_loop(samples, network, augmented),
                )
            )
        # The first round warms up; ratios are taken round by round, as the machine may change pace.
        plain, ours, with_augmentation = zip(*rows[1:], strict=True)
        ratio = statistics.median(b / a for a, b in zip(plain, ours, strict=True))
        median = [statistics.median(column) for column in (plain, ours, with_augmentation)]
        print(
            f"{network:14}{size:5}{median[0]:13.0f}{median[1]:12.0f}{ratio:7.2f}{median[2]:11.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
