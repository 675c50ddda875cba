"""Rods end to end, whose mask has no waist: what whole objects teach and strokes cannot."""

import numpy as np

from napari_convnet import TrainingSettings, make_classes, run, train
from napari_convnet.images import clean_image
from napari_convnet.samples import AnnotatedPixels, WholeObjectSet

CLASSES = make_classes(("background", "rod"))
UNET = {"width": 8, "levels": 2}


def draw_rods(seed, size=128, n=7):
    """Draw straight pairs of rods, end to end without any waist; only their brightness tells where one ends."""
    random = np.random.default_rng(seed)
    light, instances = np.zeros((size, size)), np.zeros((size, size), np.int32)
    for k in range(n):
        top = 4 + k * (size - 12) // n
        left = int(random.integers(4, size // 4))
        for half in (0, 1):
            length = int(random.integers(18, 30))
            across = np.arange(length) / (length - 1)
            light[top : top + 9, left : left + length] = 1 - 1.5 * abs(across - 0.5)
            instances[top : top + 9, left : left + length] = 2 * k + half + 1
            left += length
    image = 100 + 100 * light + random.normal(0, 3, light.shape)
    return clean_image(image.astype(np.float32), "YX", f"rods {seed}"), instances


def rods(seed):
    """Return rods annotated as one area of class 2 where they touch, and as whole objects."""
    image, instances = draw_rods(seed)
    return AnnotatedPixels(image, (instances > 0) + np.uint8(1), instances)


def rod_set(kind=WholeObjectSet):
    return kind.from_annotations([rods(seed) for seed in (1, 2, 3)], CLASSES, patch_size=64)


def train_objects():
    """Train a small UNet on whole rods, in seconds."""
    settings = TrainingSettings(epochs=25, batch_size=4, learning_rate=5e-3, device="cpu")
    return run(train(rod_set(), settings=settings, network_settings=UNET))
