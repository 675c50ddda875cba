"""Images that a person set to training: nothing of them is ever held out."""

from __future__ import annotations

import numpy as np
import pytest

from napari_convnet.classes import make_classes
from napari_convnet.images import clean_image
from napari_convnet.samples import (
    AnnotatedObjects,
    AnnotatedPixels,
    ClassificationSet,
    SegmentationSet,
)

CLASSES = make_classes(("low", "high"))


def annotated_objects(n_images: int) -> list[AnnotatedObjects]:
    """Images of 200 x 200 pixels with 16 objects of each class in two halves."""
    random = np.random.default_rng(0)
    places = np.stack(np.meshgrid(np.arange(20, 200, 24), np.arange(20, 200, 48)), -1).reshape(
        -1, 2
    )
    return [
        AnnotatedObjects(
            clean_image(random.normal(100, 9, (200, 200)), "YX", f"image {k}"),
            places, np.arange(len(places)) % 2 + 1,
        )
        for k in range(n_images)
    ]  # fmt: skip


def objects(flags, **options) -> ClassificationSet:
    parts = annotated_objects(len(flags))
    return ClassificationSet.from_objects(
        parts, CLASSES, patch_size=16, validation_fraction=0.3, always_train=flags, **options
    )


def held_out_images(samples: ClassificationSet) -> set[str]:
    return set(samples.split.groups[samples.split.validation])


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("flags", [(True, False, False, False), (False, True, True, False)])
def test_no_object_of_such_an_image_is_held_out_and_all_of_them_train(flags, seed):
    samples = objects(flags, seed=seed)
    fixed = {f"image {k}" for k, flag in enumerate(flags) if flag}
    assert samples.n_validation > 0
    assert not held_out_images(samples) & fixed
    of_fixed = np.isin(samples.split.groups, sorted(fixed))
    assert set(np.flatnonzero(of_fixed)) <= set(samples.split.training)
    assert not set(samples.split.training) & set(samples.split.validation)
    assert f"{len(fixed)} images set to training" in samples.description


def test_without_the_choice_any_image_may_be_held_out():
    seen = set().union(*(held_out_images(objects((False,) * 4, seed=s)) for s in range(12)))
    assert len(seen) == 4


def test_when_all_images_are_set_to_training_nothing_is_held_out_and_that_is_said():
    samples = objects((True, True))
    assert samples.n_validation == 0
    assert samples.n_training == 2 * len(annotated_objects(1)[0].values)
    assert "All images are set to training" in samples.warning


def test_images_chosen_for_validation_decide_alone():
    samples = objects((True, False, False), is_validation=(False, False, True))
    assert held_out_images(samples) == {"image 2"}


def annotated_pixels(n_images: int) -> list[AnnotatedPixels]:
    random = np.random.default_rng(1)
    labels = np.zeros((160, 160), np.uint8)
    labels[10:150:20, 10:150] = 1
    labels[20:150:20, 10:150] = 2
    return [
        AnnotatedPixels(clean_image(random.normal(100, 9, (160, 160)), "YX", f"image {k}"), labels)
        for k in range(n_images)
    ]


@pytest.mark.parametrize("flags", [(True, False, False, False), (True, False), (False, True, True)])
def test_no_stroke_of_such_an_image_is_held_out(flags):
    parts = annotated_pixels(len(flags))
    samples = SegmentationSet.from_annotations(parts, CLASSES, patch_size=32, always_train=flags)
    held = {index for index, _, _ in samples.validation_areas}
    assert held
    assert held <= {k for k, flag in enumerate(flags) if not flag}
    whole = {
        i for i, rows, columns in samples.training_areas if (rows.stop, columns.stop) == (160, 160)
    }
    assert {k for k, flag in enumerate(flags) if flag} <= whole


def test_strokes_of_images_that_all_train_give_no_score():
    samples = SegmentationSet.from_annotations(
        annotated_pixels(2), CLASSES, patch_size=32, always_train=(True, True)
    )
    assert samples.n_validation == 0
    assert "all images are set to training" in samples.warning
