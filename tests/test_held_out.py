"""The hash of what is held out: the same for the same places and classes, whatever the settings are."""

from dataclasses import replace

import numpy as np
import pytest

from napari_convnet.classes import make_classes
from napari_convnet.images import CleanImage
from napari_convnet.samples import (
    AnnotatedFrames,
    AnnotatedObjects,
    AnnotatedPixels,
    AnnotatedPositions,
    ClassificationSet,
    HeatMapSet,
    PositionSet,
    SegmentationSet,
    held_out_sha256,
)

CLASSES = make_classes(("a", "b"))


def images(n: int = 3) -> list[CleanImage]:
    random = np.random.default_rng(0)
    return [
        CleanImage(random.random((1, 64, 64)).astype(np.float32), None, f"image {k}")
        for k in range(n)
    ]


def objects(patch_size: int = 16, value: int = 1, fraction: float = 0.3) -> ClassificationSet:
    centres = np.array([(10.0 + 4 * k, 12.0 + 3 * k) for k in range(10)])
    values = np.array([1, 2] * 5)
    parts = [AnnotatedObjects(image, centres, values.copy()) for image in images()]
    for part in parts:
        part.values[0] = value
    return ClassificationSet.from_objects(
        parts, CLASSES, patch_size=patch_size, validation_fraction=fraction
    )


def painted(row: int = 20) -> SegmentationSet:
    labels = np.zeros((64, 64), np.uint8)
    labels[:10], labels[row : row + 20] = 1, 2
    parts = [AnnotatedPixels(image, labels) for image in images()]
    return SegmentationSet.from_annotations(parts[:2], CLASSES, patch_size=16, validation=parts[2:])


def marked(x: float = 30.0) -> HeatMapSet:
    parts = [AnnotatedPositions(image, np.array([(20.0, x)]), np.array([1])) for image in images()]
    return HeatMapSet.from_images(parts[:2], CLASSES, patch_size=16, validation=parts[2:])


def frames(x: float = 30.0, patch_size: int | None = None) -> PositionSet:
    film = AnnotatedFrames(images(60), np.tile((20.0, x), (60, 1)))
    return PositionSet.from_frames([film], patch_size=patch_size)


@pytest.mark.parametrize("make", [objects, painted, marked, frames])
def test_the_same_samples_have_the_same_hash(make):
    assert len(held_out_sha256(make())) == 64
    assert held_out_sha256(make()) == held_out_sha256(make())


def test_settings_do_not_change_it_but_samples_do():
    assert held_out_sha256(objects(16)) == held_out_sha256(objects(24))
    assert held_out_sha256(frames(patch_size=64)) == held_out_sha256(frames(patch_size=49))
    assert held_out_sha256(objects(value=1)) != held_out_sha256(objects(value=2))
    assert held_out_sha256(painted(20)) != held_out_sha256(painted(21))
    assert held_out_sha256(marked(30.0)) != held_out_sha256(marked(31.0))
    assert held_out_sha256(frames(30.0)) != held_out_sha256(frames(31.0))


def test_the_order_does_not_change_it():
    samples = objects()
    turned = replace(samples.split, validation=samples.split.validation[::-1])
    assert held_out_sha256(replace(samples, split=turned)) == held_out_sha256(samples)


def test_nothing_held_out_has_no_hash():
    assert held_out_sha256(objects(fraction=0)) == ""
