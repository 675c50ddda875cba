"""Training on stacks from the command line: files of slices, with labels in some of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from napari_convnet.cli.inputs import CheckedPair
from napari_convnet.cli.label_classes import classes_of_labels
from napari_convnet.errors import UserError
from napari_convnet.networks import NETWORKS
from napari_convnet.samples.stacks import AnnotatedStack, StackSet

#: Patches of a training step, unless the user says otherwise: each holds many voxels.
STACKS_A_STEP = 2


def stack_samples(
    pairs: Sequence[CheckedPair],
    class_names: str | None,
    others: Mapping[str, Any],
    patch_size: int | None,
    fraction: float,
    seed: int,
) -> StackSet:
    """Read stacks with their labels and return the training set; without names, classes are called by their numbers.

    ``others`` are options that are not known for stacks, and what was given for them.

    Raises
    ------
    UserError
        CN-506 when one of ``others`` was given; else as `read_stack` and `StackSet.from_annotations`.
    """
    wrong = ", ".join(f"--{name}" for name, value in others.items() if value)
    if wrong:
        raise UserError(
            "CN-506",
            f"{wrong} cannot be used with a network of stacks. Nothing was started. Leave it out; --validation takes a "
            "share.",
        )
    annotated = [AnnotatedStack.of_planes(*pair.read_stack()) for pair in pairs]
    classes = classes_of_labels([part.labels for part in annotated], class_names)
    side = patch_size or NETWORKS["unet3d"].input_size
    return StackSet.from_annotations(
        annotated, classes, patch_size=side, validation_fraction=fraction, seed=seed
    )
