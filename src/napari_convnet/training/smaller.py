"""Asking less of the memory after it ran out: half of the batch, then half of the patch."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from napari_convnet.errors import UserError
from napari_convnet.memory import is_out_of_memory
from napari_convnet.samples import HeatMapSet, SegmentationSet, TrainingSet
from napari_convnet.training.events import BatchSizeReduced, PatchSizeReduced

if TYPE_CHECKING:
    from napari_convnet.training.loop import TrainingLoop


def can_take_less(loop: TrainingLoop, error: BaseException) -> bool:
    """Return whether an exception says that memory ran out, and less of it would do."""
    if not loop.settings.reduce_batch_on_out_of_memory or not is_out_of_memory(error):
        return False
    return _at_once(loop) > 1 or has_patches(loop.samples)


def take_less(loop: TrainingLoop, reason: str) -> BatchSizeReduced | PatchSizeReduced | None:
    """Take half of the samples at once, or one that is smaller, and begin the epoch again; None if neither can be."""
    loop.stepper.recover()
    is_measuring, n = loop.examiner.is_measuring, _at_once(loop)
    if n > 1 and is_measuring:
        loop.examiner.halve()  # and measure again
    elif n > 1:
        loop.use_batches_of(loop.batch_size // 2)
        _begin_epoch_again(loop)
    else:
        loop.examiner.is_measuring = False
        size = smaller_patch(loop.module, loop.samples, loop.smallest_patch, loop.device)
        if not size:
            return None
        loop.use_patches_of(size)
        _begin_epoch_again(loop)
        where = loop.where(loop.epochs_trained + 1, ", with smaller patches")
        return PatchSizeReduced(**where, patch_size=size, reason=reason)
    where = loop.where(loop.epochs_trained + 1, ", with smaller batches")
    return BatchSizeReduced(**where, batch_size=loop.batch_size, reason=reason)


def has_patches(samples: TrainingSet) -> bool:
    """Return whether samples are patches of any size, cut out of images as they are needed."""
    return isinstance(samples, SegmentationSet | HeatMapSet)


def smaller_patch(
    module: nn.Module, samples: TrainingSet, smallest: int, device: torch.device
) -> int:
    """Return half of the side of a patch, as a multiple of the network's stride; 0 if that is none for it.

    Parameters
    ----------
    smallest
        Smallest side in pixels that the network accepts.

    Notes
    -----
    The stride is how much smaller than the input the network's smallest map is, as a power of two; maps of one pixel
    do not count, as they may be means over the whole patch.
    """
    half = samples.patch_size // 2
    sides = _sides_of_maps(module, samples.in_channels, half, device) if half > 1 else []
    stride = 2 ** math.ceil(math.log2(half / min(sides))) if sides else 1
    size = half // stride * stride
    if size < max(smallest, 2 * stride):  # a batch norm cannot learn from a single pixel
        return 0
    found = _sides_of_maps(module, samples.in_channels, size, device)
    return size if found and found[-1] == size else 0  # the last one is the output


def _sides_of_maps(module: nn.Module, channels: int, side: int, device: torch.device) -> list[int]:
    """Return the sides of the maps that an input gives, that of the whole network last; none if it does not fit."""
    sides: list[int] = []

    def note(_layer: nn.Module, _given: object, output: object) -> None:
        if isinstance(output, Tensor) and output.ndim == 4 and output.shape[-1] > 1:
            sides.append(output.shape[-1])

    hooks = [layer.register_forward_hook(note) for layer in module.modules()]
    was_training = module.training
    try:
        with torch.inference_mode():
            module.eval()(torch.zeros(1, channels, side, side, device=device))
    except (RuntimeError, ValueError, UserError):  # too small for its layers
        return []
    finally:
        module.train(was_training)
        for hook in hooks:
            hook.remove()
    return sides


def _begin_epoch_again(loop: TrainingLoop) -> None:
    """Go back to before the epoch's first batch; weights stay as they are."""
    loop.step = loop.epochs_trained * loop.steps_per_epoch
    loop.batch, loop.tally = 0, [0.0, 0.0, 0.0]


def _at_once(loop: TrainingLoop) -> int:
    return loop.examiner.at_once if loop.examiner.is_measuring else loop.batch_size
