"""Training sets of the classify tasks: patches around annotated objects, or whole image files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from napari_convnet.classes import ClassInfo
from napari_convnet.images import (
    CleanImage,
    Normalisation,
    NormalisationMode,
    cut_patch,
    repeat_grey,
)
from napari_convnet.samples.augmentation import AugmentationSettings, augment_batch
from napari_convnet.samples.checks import (
    check_channels,
    check_images,
    check_targets,
    default_channels,
)
from napari_convnet.samples.kinds_of_sets import PatchSet
from napari_convnet.samples.object_split import split_annotated
from napari_convnet.samples.patches import resize_patch, resize_patches
from napari_convnet.samples.split import Split, image_names


@dataclass(frozen=True)
class AnnotatedObjects:
    """Annotated positions of one image.

    Parameters
    ----------
    image
        The image.
    centres
        ``(N, 2)`` rows and columns in pixels.
    values
        ``(N,)`` class values, k = k-th class.
    """

    image: CleanImage
    centres: np.ndarray
    values: np.ndarray


@dataclass(frozen=True)
class ClassificationSet(PatchSet):
    """Patches with one class each, split into training and validation.

    Parameters
    ----------
    patches
        ``(N, C, Y, X)`` float32, normalised.
    targets
        ``(N,)`` int64, class indices from 0.
    classes
        Names and colours.
    split
        Which samples train and which are held out.
    channels
        Names of the channels.
    normalisation
        What was applied to the images.
    patch_size
        Side in image pixels of the square cut around an object, or None where whole images were resized.
    """

    patches: Tensor
    targets: Tensor
    classes: tuple[ClassInfo, ...]
    split: Split
    channels: tuple[str, ...]
    normalisation: Normalisation
    patch_size: int | None
    task: str = "classify"

    @classmethod
    def from_objects(
        cls,
        annotated: Sequence[AnnotatedObjects],
        classes: tuple[ClassInfo, ...],
        *,
        patch_size: int,
        input_size: int | None = None,
        validation_fraction: float = 0.2,
        channels: tuple[str, ...] | None = None,
        normalisation: NormalisationMode = "per_image",
        seed: int = 0,
        is_validation: Sequence[bool] | None = None,
        always_train: Sequence[bool] | None = None,
        stacks: Sequence | None = None,
    ) -> ClassificationSet:
        """Cut patches around annotated objects of one or several images.

        Held out are the images for which ``is_validation`` says so; without it whole images where there are
        several, else a region of each image with a gap of one patch, else single objects with a warning.
        Nothing is held out of the images that ``always_train`` names. Images of one name in ``stacks`` are planes of
        one stack or film, which stay together.

        Raises
        ------
        UserError
            Without annotations (CN-621), with one class (CN-622), other channels (CN-623), or all images tiny (CN-628).
        """
        flags = [
            None
            if given is None
            else [g for g, a in zip(given, annotated, strict=True) if len(a.values)]
            for given in (is_validation, always_train, stacks)
        ]
        annotated = [a for a in annotated if len(a.values)]
        targets = np.concatenate(
            [np.asarray(a.values, np.int64) - 1 for a in annotated] or [np.empty(0, np.int64)]
        )
        check_targets(targets, classes, "Click cells of")
        check_images([a.image for a in annotated])
        image_index = np.repeat(np.arange(len(annotated)), [len(a.values) for a in annotated])
        images = [(np.asarray(a.centres), a.image.pixels.shape[1:]) for a in annotated]
        split = split_annotated(images, targets, patch_size, validation_fraction, seed, *flags)
        check_targets(targets[split.training], classes, "Click cells of")
        names, groups = image_names([part.image.name for part in annotated]), image_index
        if flags[2] is not None:  # planes of one stack are one image for what is said of several
            _, first, group = np.unique(flags[2], return_index=True, return_inverse=True)
            groups = first[group][image_index]
        centres = np.concatenate([np.asarray(part.centres, np.float64) for part in annotated])
        places = [
            f"{name} {y:.3f} {x:.3f}"
            for name, (y, x) in zip(names[image_index], centres, strict=True)
        ]
        split = replace(split, groups=names[groups], group_kind="images", places=np.array(places))
        is_training = np.isin(np.arange(len(targets)), split.training)
        seen = (
            cut_patch(part.image.pixels, centre, patch_size)
            for index, part in enumerate(annotated)
            for centre in np.asarray(part.centres)[is_training[image_index == index]]
        )
        fitted = Normalisation.fit(normalisation, seen)
        size = input_size or patch_size
        patches = np.concatenate([_cut(part, fitted, patch_size, size) for part in annotated])
        return cls(
            torch.from_numpy(patches), torch.from_numpy(targets), classes, split,
            channels or default_channels(annotated[0].image), fitted, patch_size,
        )  # fmt: skip

    @classmethod
    def from_images(
        cls,
        read: Callable[[int], CleanImage],
        targets: np.ndarray,
        classes: tuple[ClassInfo, ...],
        split: Split,
        *,
        input_size: int,
        normalisation: NormalisationMode = "training_set",
    ) -> ClassificationSet:
        """Take one sample per image file, resized to the network's input.

        Parameters
        ----------
        read
            Returns the image of a sample index.
        targets
            ``(N,)`` class indices from 0.
        """
        check_targets(targets, classes, "Add images to")
        images = [_resized(read(index), input_size) for index in range(len(targets))]
        n_channels = max(image.n_channels for image in images)
        images = [repeat_grey(image, n_channels) for image in images]
        check_channels(images)
        split = replace(split, places=np.array([image.name for image in images]))
        patches = np.stack([image.pixels for image in images])
        fitted = Normalisation.fit(normalisation, (patches[i] for i in split.training))
        for patch in patches:
            patch[:] = fitted.apply(patch)
        return cls(
            torch.from_numpy(patches),
            torch.from_numpy(targets),
            classes,
            split,
            default_channels(images[0]),
            fitted,
            None,
        )

    def validation_spots(self) -> np.ndarray:
        """Return the number of held-out samples of each class."""
        held = self.targets[self.split.validation].numpy()
        return np.bincount(held, minlength=len(self.classes))

    def class_counts(self) -> np.ndarray:
        """Return the number of training samples of each class."""
        return np.bincount(self.targets[self.split.training].numpy(), minlength=len(self.classes))

    def batches_per_epoch(self, batch_size: int) -> int:
        """Return the number of training steps in one epoch."""
        return -(-self.n_training // batch_size)

    def training_batches(
        self,
        batch_size: int,
        random: torch.Generator,
        *,
        augment: AugmentationSettings | None,
        shuffle: str = "every_epoch",
        balanced: bool = False,
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the training samples once as inputs ``(N, C, Y, X)`` and targets ``(N,)``.

        Parameters
        ----------
        batch_size
            At most so many samples in a batch.
        random
            CPU generator that everything is drawn from.
        augment
            How much pictures may change; None for not at all.
        shuffle
            ``"every_epoch"``, ``"once"`` (always the order that the generator's seed gives) or
            ``"never"``.
        balanced
            Draw as many samples as there are, with repetition, from all classes equally often.
        """
        indices = self._order(random, shuffle, balanced)
        # Equal batches: a last batch of one or two samples would give batch norm a useless mean.
        for chosen in torch.tensor_split(indices, self.batches_per_epoch(batch_size)):
            inputs = self.patches[chosen]
            yield (
                (augment_batch(inputs, None, random, augment)[0] if augment else inputs),
                self.targets[chosen],
            )

    def _order(self, random: torch.Generator, shuffle: str, balanced: bool) -> Tensor:
        """Return the indices of an epoch's samples, in order."""
        indices = torch.from_numpy(self.split.training)
        if shuffle == "once":
            random = torch.Generator().manual_seed(random.initial_seed())
        if balanced:
            chances = torch.from_numpy(1 / np.maximum(1, self.class_counts()))
            chances = chances[self.targets[indices]]
            drawn = torch.multinomial(chances, len(indices), replacement=True, generator=random)
            return indices[drawn.sort().values if shuffle == "never" else drawn]
        if shuffle == "never":
            return indices
        return indices[torch.randperm(len(indices), generator=random)]


def _resized(image: CleanImage, size: int) -> CleanImage:
    return CleanImage(resize_patch(image.pixels, size), None, image.name)


def _cut(
    part: AnnotatedObjects, normalisation: Normalisation, patch_size: int, input_size: int
) -> np.ndarray:
    pixels = normalisation.apply(part.image.pixels)
    patches = np.stack([cut_patch(pixels, centre, patch_size) for centre in part.centres])
    return resize_patches(patches, input_size)
