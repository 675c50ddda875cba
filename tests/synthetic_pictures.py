"""Pictures with a known answer: disks against squares, and bright blobs on noise."""

from pathlib import Path

import numpy as np
import tifffile
import torch

from napari_convnet import TrainingSettings, run, train
from napari_convnet.classes import make_classes
from napari_convnet.images import CleanImage, Normalisation, clean_image
from napari_convnet.samples import (
    AnnotatedPixels,
    ClassificationSet,
    SegmentationSet,
    split_by_sample,
)

SHAPE_CLASSES = make_classes(("disk", "square"))
BLOB_CLASSES = make_classes(("background", "blob"))


def draw_shape(is_square: bool, random: np.random.Generator, size: int = 24) -> np.ndarray:
    """Draw a disk or a square of about the same area on noise, ``(size, size)`` float32."""
    rows, columns = np.mgrid[:size, :size] - (size - 1) / 2 + random.uniform(-2, 2, (2, 1, 1))
    radius = random.uniform(5, 8)
    if is_square:
        shape = np.maximum(abs(rows), abs(columns)) < radius * 0.886
    else:
        shape = rows**2 + columns**2 < radius**2
    return (shape + random.normal(0, 0.1, shape.shape)).astype(np.float32)


def shape_set(
    n: int, seed: int = 0, validation_fraction: float = 0.25, share_of_squares: float = 0.5
) -> ClassificationSet:
    """Make a training set of ``n`` disks and squares."""
    random = np.random.default_rng(seed)
    targets = (np.arange(n) < n * share_of_squares).astype(np.int64)
    normalisation = Normalisation("per_image")
    patches = [normalisation.apply(draw_shape(bool(t), random)[np.newaxis]) for t in targets]
    split = split_by_sample(targets, validation_fraction, seed)
    return ClassificationSet(
        torch.from_numpy(np.stack(patches)),
        torch.from_numpy(targets),
        SHAPE_CLASSES,
        split,
        ("channel 1",),
        normalisation,
        24,
    )


def write_fields(folder: Path, n: int) -> Path:
    """Write so many fields of blobs, with pixels of a quarter of a micrometre, into a new folder."""
    folder.mkdir()
    for seed in range(n):
        tifffile.imwrite(
            folder / f"field_{seed}.tif", draw_blobs(seed)[0], imagej=True, resolution=(4, 4),
            metadata={"unit": "um"},
        )  # fmt: skip
    return folder


def draw_blobs(seed: int = 0, size: int = 96, n: int = 14) -> tuple[np.ndarray, np.ndarray]:
    """Draw bright disks on noise; returns the image ``(Y, X)`` float32 and where they are, bool."""
    random = np.random.default_rng(seed)
    rows, columns = np.ogrid[:size, :size]
    mask = np.zeros((size, size), bool)
    for row, column in random.integers(0, size, (n, 2)):
        mask |= (rows - row) ** 2 + (columns - column) ** 2 < 49
    image = 100 + 40 * mask + random.normal(0, 8, mask.shape)
    return image.astype(np.float32), mask


def blob_image(seed: int = 0) -> tuple[CleanImage, np.ndarray]:
    """Return the blobs in the core's form, and where they are."""
    image, mask = draw_blobs(seed)
    return clean_image(image, "YX", "blobs"), mask


def blob_set(seed: int = 0, whole: bool = False, invalid: bool = False) -> SegmentationSet:
    """Make a training set of blobs: a twentieth of the pixels annotated, or all of them."""
    image, mask = draw_blobs(seed)
    labels = (mask + 1).astype(np.uint8)
    if not whole:
        labels[np.random.default_rng(seed).random(mask.shape) > 0.05] = 0
    if invalid:
        image[10, 10], image[50, 50] = np.nan, np.inf
    annotated = AnnotatedPixels(clean_image(image, "YX", "blobs"), labels)
    return SegmentationSet.from_annotations([annotated], BLOB_CLASSES, patch_size=32)


def train_segmenter():
    """Train a small UNet on `blob_set`."""
    settings = TrainingSettings(epochs=6, batch_size=8, learning_rate=5e-3)
    return run(train(blob_set(), settings=settings, network_settings={"width": 8, "levels": 2}))


def train_classifier():
    """Train a small ConvNet on `shape_set`."""
    settings = TrainingSettings(epochs=8, batch_size=16, learning_rate=5e-3)
    return run(
        train(shape_set(240), settings=settings, network_settings={"width": 16, "blocks": 3})
    )
