"""What is held out of marked positions is said as it was decided: by the person, or by the program."""

from __future__ import annotations

import numpy as np
import pytest

from napari_convnet.classes import make_classes
from napari_convnet.widgets.closed_images import read_planes
from napari_convnet.widgets.position_training import position_set
from napari_convnet.widgets.source import PlaneArrays
from napari_convnet.widgets.training_data import AnnotatedPlane

#: Of images that are set to these, what is said of the held-out part.
CASES = {
    ("automatic", "training", "training"): "1 of 3 images held out, drawn by the program; nothing of the 2 images",
    ("automatic", "automatic", "training"): "1 of 3 images held out, drawn by the program; nothing of the 1 images",
    ("validation", "training", "automatic"): "chosen by you",
}  # fmt: skip


def planes_of(splits, n_frames: int) -> list[AnnotatedPlane]:
    random = np.random.default_rng(0)
    none = np.zeros(1, int)
    return [
        AnnotatedPlane(
            PlaneArrays(((random.normal(size=(40, 40)), "YX", f"image {image}"),), None, (t,)),
            none, random.uniform(15, 25, (1, 2)), none + 1, split=split, image_id=image,
        )
        for image, split in enumerate(splits) for t in range(n_frames)
    ]  # fmt: skip


@pytest.mark.parametrize("mode", ["patch", "heat_map"])
@pytest.mark.parametrize("splits", CASES)
def test_what_is_held_out_is_said_as_it_was_decided(splits, mode):
    planes = planes_of(splits, 6)
    images = read_planes([plane.arrays for plane in planes])
    classes = make_classes(("bead",))
    samples = position_set(
        planes, images, classes, mode, patch_size=32, validation_fraction=0.3, seed=0
    )
    assert CASES[splits] in samples.description
    assert ("chosen by you" in samples.description) == ("validation" in splits)
    if mode == "patch":
        held = {planes[k].split for k in samples.split.validation}
    else:  # what trains comes first
        order = sorted(planes, key=lambda plane: plane.image_id in held_images(planes, samples))
        held = {order[index].split for index, _, _ in samples.areas.validation}
    assert held == {"validation" if "validation" in splits else "automatic"}


def held_images(planes, samples) -> set[int]:
    """Return the images that are held out of heat maps, by the positions there."""
    held = {tuple(p) for i, _, _ in samples.areas.validation for p in samples.points[i]}
    return {plane.image_id for plane in planes if tuple(plane.centres[0]) in held}
