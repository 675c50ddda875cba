"""What training sets have in common: patches that are cut already, or areas that patches are cut from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from napari_convnet.samples.areas import Areas
from napari_convnet.samples.split import Split

#: Patches of an epoch, at least and at most: every annotated spot about once, within what an epoch should last.
_FEWEST_PATCHES, _MOST_PATCHES = 16, 512


class PatchSet:
    """Samples ``patches`` ``(N, C, Y, X)`` with one of the ``targets`` each, of which a ``split`` holds some out."""

    patches: Tensor
    targets: Tensor
    split: Split

    @property
    def in_channels(self) -> int:
        """Number of channels."""
        return self.patches.shape[1]

    @property
    def input_size(self) -> tuple[int, int]:
        """Height and width of the network's input in pixels."""
        return (self.patches.shape[2], self.patches.shape[3])

    @property
    def n_training(self) -> int:
        """Number of training samples."""
        return len(self.split.training)

    @property
    def n_validation(self) -> int:
        """Number of held-out samples."""
        return len(self.split.validation)

    @property
    def description(self) -> str:
        """What is held out, in plain words."""
        return self.split.description

    @property
    def warning(self) -> str:
        """Why the score may not mean much, or ""."""
        return self.split.warning

    def validation_batches(self, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the held-out samples in order."""
        for chosen in torch.from_numpy(self.split.validation).split(batch_size):
            yield self.patches[chosen], self.targets[chosen]

    def sample_input(self) -> np.ndarray:
        """Return one real training patch ``(C, Y, X)`` float32, normalised."""
        return self.patches[int(self.split.training[0])].numpy().copy()


class AreaSet(ABC):
    """Whole ``images`` ``(C, Y, X)``, of which some ``areas`` train and others are held out."""

    images: tuple[np.ndarray, ...]
    areas: Areas
    patch_size: int

    @property
    def in_channels(self) -> int:
        """Number of channels."""
        return self.images[0].shape[0]

    @property
    def input_size(self) -> tuple[int, int]:
        """Height and width of a training patch."""
        return (self.patch_size, self.patch_size)

    @property
    def n_training(self) -> int:
        """Number of annotated pixels or positions to train on."""
        return int(self.class_counts().sum())

    def batches_per_epoch(self, batch_size: int) -> int:
        """Return the number of training steps in one epoch: each annotated spot is seen about once."""
        return -(-self._patches_per_epoch // batch_size)

    @cached_property
    def _patches_per_epoch(self) -> int:
        return int(np.clip(self._n_spots(), _FEWEST_PATCHES, _MOST_PATCHES))

    @abstractmethod
    def class_counts(self) -> np.ndarray:
        """Return how much of each class there is to train on."""

    @abstractmethod
    def _n_spots(self) -> int:
        """Return the number of places, about half a patch apart, that show something annotated."""
