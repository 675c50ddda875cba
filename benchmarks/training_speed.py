"""How fast the training loop is beside the shortest loop in plain torch.

Run ``python benchmarks/training_speed.py``. Both train the same network on patches of the same number and size
with the same number of threads, in one process, by turns; nothing is held out. The plain loop has all patches in
one tensor; ours cuts those of a UNet out of annotated images as it goes. Augmentation is off in both; the columns
after the ratio are our loop with augmentation: its images per second, and the share of its time that it waited
for them.
"""

from __future__ import annotations

import argparse
import platform
import time

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from napari_convnet import TrainingSettings, make_classes
from napari_convnet.devices import choose_device, use_all_cores
from napari_convnet.images import CleanImage, Normalisation
from napari_convnet.networks import build_network, network_entry
from napari_convnet.samples import (
    AnnotatedPixels,
    ClassificationSet,
    SegmentationSet,
    TrainingSet,
    split_by_sample,
)
from napari_convnet.training import BatchFinished, train

#: Side of the pictures, and how many of them keep two cores busy for some seconds.
CASES = {
    "convnet": (64, 640),
    "rbc_convnet": (50, 640),
    "resnet18": (96, 160),
    "mobilenet_v2": (96, 160),
    "unet": (64, 320),
}


def make_samples(network: str, size: int, n: int) -> TrainingSet:
    """Make a training set of noise: time does not depend on what a picture shows."""
    random, classes = np.random.default_rng(0), make_classes(("a", "b"))
    if network_entry(network).task == "segment":
        # One image whose annotated squares are as many as the patches of an epoch.
        side = size // 2 * int(np.sqrt(n))
        image = CleanImage(random.normal(size=(3, side, side)).astype(np.float32), None, "noise")
        labels = random.integers(1, 3, (side, side))
        part = AnnotatedPixels(image, labels)
        return SegmentationSet.from_annotations(
            [part], classes, patch_size=size, validation_fraction=0.0
        )
    targets = np.arange(n) % 2
    patches = random.normal(size=(n, 3, size, size)).astype(np.float32)
    return ClassificationSet(
        torch.from_numpy(patches),
        torch.from_numpy(targets),
        classes,
        split_by_sample(targets, 0.0, 0),
        ("red", "green", "blue"),
        Normalisation("unit"),
        None,
    )


def count_images(samples: TrainingSet, settings: TrainingSettings) -> int:
    """Return the number of pictures of an epoch."""
    if isinstance(samples, ClassificationSet):
        return samples.n_training
    return samples.batches_per_epoch(settings.batch_size) * settings.batch_size


def as_tensors(samples: TrainingSet, settings: TrainingSettings) -> tuple[Tensor, Tensor]:
    """Return an epoch's pictures and what they show."""
    if isinstance(samples, ClassificationSet):
        return samples.patches, samples.targets
    batches = samples.training_batches(
        settings.batch_size, torch.Generator().manual_seed(0), augment=None
    )
    pictures, targets = zip(*batches, strict=True)
    return torch.cat(pictures), torch.cat(targets)


def time_plain_loop(
    pictures: Tensor, targets: Tensor, network: str, settings: TrainingSettings
) -> float:
    """Return images per second of the shortest loop."""
    device = choose_device(settings.device)
    pictures, targets = pictures.to(device), targets.long().to(device)
    module = build_network(network, 3, 2).to(device).train()
    optimiser = torch.optim.AdamW(module.parameters(), lr=settings.learning_rate)
    start = time.perf_counter()
    for _ in range(settings.epochs):
        for chosen in torch.randperm(len(pictures), device=device).split(settings.batch_size):
            loss = F.cross_entropy(module(pictures[chosen]), targets[chosen], ignore_index=-1)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    loss.item()  # waits for the device
    return settings.epochs * len(pictures) / (time.perf_counter() - start)


def time_our_loop(
    samples: TrainingSet, network: str, settings: TrainingSettings
) -> tuple[float, float]:
    """Return images per second from the first step's start to the last step's end, and the share of waiting."""
    steps = train(samples, network, settings)
    next(steps)  # everything is built
    start = end = time.perf_counter()
    while True:
        try:
            event = next(steps)
        except StopIteration as ended:
            waiting = ended.value.card.scores["waiting_for_data"]
            return settings.epochs * count_images(samples, settings) / (end - start), waiting
        if isinstance(event, BatchFinished):
            end = time.perf_counter()


def measure(network: str, size: int, n: int, options: argparse.Namespace) -> None:
    """Time one network and print its row."""
    samples = make_samples(network, size, n)
    batch = min(options.batch, 8) if samples.task == "segment" else options.batch
    common = {"epochs": 1, "batch_size": batch, "device": options.device}
    bare = TrainingSettings(augment=False, **common)
    augmented = TrainingSettings(augment=True, **common)
    pictures, targets = as_tensors(samples, bare)
    rows = []
    for _ in range(options.repeats + 1):
        plain = time_plain_loop(pictures, targets, network, bare)
        rows.append(
            (
                plain,
                time_our_loop(samples, network, bare)[0],
                *time_our_loop(samples, network, augmented),
            )
        )
    # The first round warms up; ratios are taken round by round, as the machine may change pace.
    plain, ours, with_augmentation, waiting = (
        np.array(column) for column in zip(*rows[1:], strict=True)
    )
    print(
        f"{network:14}{size:5}{len(pictures):8}{np.median(plain):13.1f}{np.median(ours):12.1f}"
        f"{np.median(ours / plain):7.2f}{np.median(with_augmentation):11.1f}{np.median(waiting):9.1%}",
        flush=True,
    )


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--batch", type=int, default=32, help="segmentations take at most 8")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    use_all_cores()
    device = choose_device(options.device)
    graphics = f", {torch.cuda.get_device_name()}" if device.type == "cuda" else ""
    print(f"{platform.platform()}, {platform.processor() or platform.machine()}{graphics}")
    print(f"torch {torch.__version__} on {device}, {torch.get_num_threads()} threads")
    print(f"batches of {options.batch}, median of {options.repeats} runs")
    print(
        f"{'network':14}{'size':>5}{'images':>8}{'plain img/s':>13}{'ours img/s':>12}{'ratio':>7}"
        f"{'augmented':>11}{'waiting':>9}"
    )
    for network in options.networks:
        measure(network, *CASES[network], options)


if __name__ == "__main__":
    main()
