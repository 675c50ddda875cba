"""What is held out of annotated objects: images chosen by a person, else images, else a region, else single ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from napari_convnet.samples.split import (
    SMALLEST_TRAINING_SHARE,
    Split,
    cut_by_region,
    split_by_group,
    split_by_sample,
    split_given,
    too_small,
)

#: Of each image: ``(N, 2)`` rows and columns of its objects, and its ``(Y, X)``.
Image = tuple[np.ndarray, tuple[int, int]]


def split_annotated(
    images: Sequence[Image],
    targets: np.ndarray,
    patch_size: int,
    fraction: float,
    seed: int,
    is_validation: Sequence[bool] | None = None,
    always_train: Sequence[bool] | None = None,
    stacks: Sequence | None = None,
) -> Split:
    """Hold out objects as a person chose, else as `split_objects` does.

    Parameters
    ----------
    images
        Centres and shape of each.
    targets
        Class indices of all objects, image by image.
    is_validation, always_train
        One value an image. Where some are validation images, all others train; else nothing is held
        out of the images that always train.
    stacks
        As for `split_objects`.
    """
    image_of = np.repeat(np.arange(len(images)), [len(centres) for centres, _ in images])
    held = np.zeros(len(images), bool) if is_validation is None else np.asarray(is_validation, bool)
    if held.any():
        return split_given(targets, held[image_of], f"{held.sum()} images chosen by you")
    fixed = np.zeros(len(images), bool) if always_train is None else np.asarray(always_train, bool)
    members = np.flatnonzero(~fixed[image_of])
    if not fixed.any() or not len(members):
        share = 0 if fixed.any() else fraction
        found = split_objects(images, targets, patch_size, share, seed, stacks)
        if fixed.any():
            found = replace(found, warning=f"All images are set to training. {found.warning}")
        return found
    free = [image for image, is_fixed in zip(images, fixed, strict=True) if not is_fixed]
    names = (
        None
        if stacks is None
        else [s for s, is_fixed in zip(stacks, fixed, strict=True) if not is_fixed]
    )
    inner = split_objects(free, targets[members], patch_size, fraction, seed, names)
    training = np.sort(np.concatenate([members[inner.training], np.flatnonzero(fixed[image_of])]))
    description = f"{inner.description}; nothing of the {fixed.sum()} images set to training"
    return replace(
        inner, training=training, validation=members[inner.validation], description=description
    )


def split_objects(
    images: Sequence[Image],
    targets: np.ndarray,
    patch_size: int,
    fraction: float,
    seed: int,
    stacks: Sequence | None = None,
) -> Split:
    """Hold out objects so that no held-out patch shares a pixel with a training patch, if possible.

    Parameters
    ----------
    images
        Centres and shape of each.
    targets
        Class indices of all objects, image by image.
    patch_size
        Side in pixels of the patches around the centres.
    stacks
        One name an image: those of one name are planes of one stack or film, with one shape, and stay together.
    """
    if fraction <= 0:
        return split_by_sample(targets, 0, seed)
    number_of = np.unique(range(len(images)) if stacks is None else stacks, return_inverse=True)[1]
    image_index = np.repeat(number_of, [len(centres) for centres, _ in images])
    all_positions = np.concatenate([centres for centres, _ in images])
    by_image = split_by_group(targets, image_index, fraction, seed)
    if by_image is not None:
        words = by_image.description.replace("groups", "images")
        warning = by_image.warning.replace("one group", "one image")
        return replace(by_image, description=words, warning=warning, group_kind="images")
    is_training = np.ones(len(targets), bool)
    is_held = np.zeros(len(targets), bool)
    for index in np.unique(image_index):
        members = np.flatnonzero(image_index == index)
        positions, shape = all_positions[members], images[int(np.argmax(number_of == index))][1]
        cut = cut_by_region(positions, targets[members], shape, patch_size, fraction)
        if cut is not None:
            is_training[members], is_held[members] = cut.sides(positions)
    training, held = np.flatnonzero(is_training), np.flatnonzero(is_held)
    if np.unique(targets[held]).size < 2 or len(training) < SMALLEST_TRAINING_SHARE * len(targets):
        return split_by_sample(
            targets,
            fraction,
            seed,
            "Held-out objects lie between training objects, so patches may share pixels and the score "
            "may flatter. Annotate a second image or a larger area.",
        )
    description = (
        f"a region of the image with {len(held)} objects held out; "
        f"{len(targets) - len(training) - len(held)} in the gap of {patch_size} px beside it are not used"
    )
    return Split(training, held, description, too_small(targets, held))
