"""The batches of each epoch: drawn repeatably, ready before they are needed, resumable in between."""

from __future__ import annotations

import time
from collections.abc import Iterator

import torch
from torch import Tensor

from napari_convnet.samples import AugmentationSettings, TrainingSet
from napari_convnet.settings import TrainingSettings
from napari_convnet.training.prefetch import prefetched


class Feeder:
    """Draws an epoch's batches; on a graphics card a thread makes them while the card computes.

    Parameters
    ----------
    epoch_random
        State of the generator at the beginning of the epoch, ``(bytes,)`` uint8.
    waiting_seconds
        How long training has waited for data.
    """

    def __init__(
        self, samples: TrainingSet, settings: TrainingSettings, device: torch.device
    ) -> None:
        self.samples, self._settings, self._device = samples, settings, device
        self.augmentation = AugmentationSettings.of(settings)
        self._random = torch.Generator().manual_seed(settings.seed)
        self.epoch_random = self._random.get_state()
        self.waiting_seconds = 0.0

    def batches(self, batch_size: int, skip: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the epoch's batches from number ``skip`` on; the ones before are drawn, too."""
        self._random.set_state(self.epoch_random)
        batches = self.samples.training_batches(
            batch_size,
            self._random,
            augment=self.augmentation,
            shuffle=self._settings.shuffle,
            balanced=self._settings.balance == "balanced_sampling",
        )
        batches = iter(batches if self._device.type == "cpu" else prefetched(batches))
        try:
            for number in range(self.samples.batches_per_epoch(batch_size)):
                began = time.monotonic()
                batch = next(batches, None)
                self.waiting_seconds += time.monotonic() - began
                if batch is None:
                    return
                if number >= skip:
                    yield batch
        finally:
            batches.close()

    def end_epoch(self) -> None:
        """Let the next epoch begin where this one's draws ended."""
        self.epoch_random = self._random.get_state()

    def measuring_batches(self, batch_size: int) -> Iterator[Tensor]:
        """Yield inputs with draws of their own, so that measuring does not change what comes next."""
        random = torch.Generator().manual_seed(self._settings.seed)
        for inputs, _ in self.samples.training_batches(
            batch_size, random, augment=self.augmentation
        ):
            yield inputs
