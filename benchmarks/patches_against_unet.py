"""The courses' comparison: a network slid over an image pixel by pixel, and a UNet, on the same strokes and images.

Run ``NAPARI_CONVNET_DATA=FOLDER python benchmarks/patches_against_unet.py``, where the folder holds ``dsb2018/fluo``.
Both networks learn from the same simulated strokes for the same time, and are scored on the same images that nobody
painted. Then each labels one image of ``--side`` pixels: the patch classifier in the documents' way, one patch for
every pixel (some rows are done, and the rest is reckoned from them); the same network with the same weights computed
for all pixels at once (`patch_segmenter`); and the UNet.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import numpy as np
import torch
from sparse_strokes import CLASSES, draw_strokes

from napari_convnet import TrainingSettings, run, train
from napari_convnet.devices import use_all_cores
from napari_convnet.evaluation import evaluate_segmentation
from napari_convnet.folders import ImagePair, pair_images
from napari_convnet.images import CleanImage
from napari_convnet.model_file import Model
from napari_convnet.networks.graph_network import GraphNetwork
from napari_convnet.networks.lecture import patch_classifier
from napari_convnet.networks.network_settings import PatchSegmenterSettings
from napari_convnet.prediction import segment_image
from napari_convnet.samples import AnnotatedPixels, SegmentationSet

PATCH = 32
TRAINING_IMAGES, SCORED_IMAGES = 10, 40


def learn(network: str, samples: SegmentationSet, seconds: float, seed: int) -> Model:
    """Train for some seconds."""
    settings = TrainingSettings(
        epochs=10_000, max_seconds=seconds, batch_size=8, seed=seed, device="cpu"
    )
    return run(train(samples, network, settings, name=network))


def slide(model: Model, pixels: np.ndarray, n_rows: int) -> float:
    """Classify the patch of every pixel of some rows; returns the seconds that the whole image would take."""
    graph = patch_classifier(len(CLASSES), PatchSegmenterSettings())
    sliding = GraphNetwork(graph, 1, len(CLASSES), (PATCH, PATCH)).eval()
    sliding.load_state_dict(model.network.state_dict())
    padded = np.pad(pixels, ((0, 0), (16, 15), (16, 15)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (PATCH, PATCH), axis=(1, 2))
    start = time.perf_counter()
    with torch.inference_mode():
        for row in range(n_rows):
            patches = np.ascontiguousarray(windows[:, row].transpose(1, 0, 2, 3))
            sliding(torch.from_numpy(patches)).argmax(1)
    return (time.perf_counter() - start) * pixels.shape[1] / n_rows


def main() -> None:
    """Train both, score both, and let each label one image."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60, help="of training, for each network")
    parser.add_argument("--side", type=int, default=1024, help="of the image that is labelled")
    parser.add_argument("--rows", type=int, default=16, help="that are done patch by patch")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    use_all_cores()
    folder = Path(os.environ["NAPARI_CONVNET_DATA"], "dsb2018", "fluo")
    pairs = pair_images(folder / "images", folder / "masks")
    order = np.random.default_rng(options.seed).permutation(len(pairs))
    chosen = [pairs[i] for i in order[: TRAINING_IMAGES + SCORED_IMAGES]]
    samples = read_strokes(chosen[:TRAINING_IMAGES], options.seed)
    pixels = np.random.default_rng(0).random((1, options.side, options.side), np.float32)
    image = CleanImage(pixels, None, "image")
    print(f"{'':34}{'IoU':>6} {'seconds for ' + f'{options.side} x {options.side}':>26}")
    for network in ("patch_segmenter", "unet"):
        model = learn(network, samples, options.seconds, options.seed)
        report = run(
            evaluate_segmentation(model, chosen[TRAINING_IMAGES:], instances=True, device="cpu")
        )
        score = report["classes"]["nucleus"]["iou"]
        if network == "patch_segmenter":
            print(
                f"{'a patch for every pixel':34}{score:6.3f} {slide(model, pixels, options.rows):26.1f}"
            )
        start = time.perf_counter()
        run(segment_image(model, image, device="cpu"))
        print(f"{network:34}{score:6.3f} {time.perf_counter() - start:26.1f}", flush=True)
    print(
        f"trained {options.seconds:.0f} s each with strokes on {TRAINING_IMAGES} images, IoU of nuclei on "
        f"{SCORED_IMAGES} others; {torch.get_num_threads()} threads"
    )


def read_strokes(pairs: list[ImagePair], seed: int) -> SegmentationSet:
    """Let the painter of `sparse_strokes` paint images."""
    random = np.random.default_rng(seed)
    painted = []
    for pair in pairs:
        image, instances = pair.read()
        painted.append(AnnotatedPixels(image, draw_strokes(instances, random)))
    return SegmentationSet.from_annotations(painted, CLASSES, seed=seed)


if __name__ == "__main__":
    main()
