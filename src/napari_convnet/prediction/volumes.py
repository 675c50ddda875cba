"""Classes of voxels: a stack shown to a network of three dimensions, block by block."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Generator, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from napari_convnet.devices import choose_device, use_all_cores
from napari_convnet.errors import UserError
from napari_convnet.images import CleanImage, ImageNote, LazyImage, UnreadableError
from napari_convnet.images.notes import invalid_pixels
from napari_convnet.memory import available_memory, free_memory, is_out_of_memory
from napari_convnet.model_file import Model
from napari_convnet.prediction.blocks import Block, cut_blocks
from napari_convnet.prediction.fitting import check_model_fits, normalisation_of
from napari_convnet.progress import Progress, told_as

#: Side in the plane, in pixels, and slices of the blocks that are predicted at once; and the least of both.
_BLOCK, _SMALLEST_BLOCK = (64, 256, 256), (16, 64, 64)
#: Bytes that a voxel takes at most: what was read and its normalised copy for each channel, and its class.
_BYTES_PER_CHANNEL, _BYTES_KEPT = 8, 1


def predict_volume(
    model: Model,
    planes: Sequence[CleanImage | LazyImage],
    classes: np.ndarray,
    *,
    sides: Sequence[int] | None = None,
    device: str = "auto",
    stop: threading.Event | None = None,
) -> Generator[Progress, None, tuple[ImageNote, ...]]:
    """Give every voxel of a stack a class.

    The stack is normalised as a whole. When memory runs out, blocks are halved, down to a smallest one; if that is too
    much for a graphics card, the rest is done on the CPU.

    Parameters
    ----------
    planes
        Slices from first to last.
    classes
        ``(Z, Y, X)`` uint8 zeros, filled block by block with k = k-th class.
    sides
        Of the blocks along Z, Y and X in pixels; the result does not depend on it.
    stop
        Looked at after every slice and block; voxels that were not reached stay 0.

    Returns
    -------
    notes
        What a person should know about the stack.

    Raises
    ------
    UserError
        CN-106 when the model does not fit, CN-605 when the stack does not fit into the memory, CN-604 when a slice
        cannot be read.
    """
    use_all_cores()
    pixels, notes = yield from _read_stack(model, planes, classes.shape, stop)
    if pixels is None:  # stopped before all of it was read
        return ()
    runner = _Runner(model.network, choose_device(device), sides or _BLOCK)
    blocks = list(cut_blocks(classes.shape, runner.sides, model.network))
    done = 0
    while blocks:
        try:
            classes[blocks[0].write] = runner.classify(pixels, blocks[0], len(model.card.classes))
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error) or not runner.take_less():
                raise
            # What is done is done again: blocks of another size do not begin where these do.
            blocks, done = list(cut_blocks(classes.shape, runner.sides, model.network)), 0
            continue
        blocks.pop(0)
        done += 1
        total = done + len(blocks)
        yield Progress(done=done, total=total, text=f"block {done:,} of {total:,}")
        if stop is not None and stop.is_set():
            break
    return (*notes, *(ImageNote(_name_of(planes), text) for text in runner.remarks))


def predict_volumes(
    model: Model,
    planes: Sequence[CleanImage | LazyImage],
    classes: np.ndarray,
    depth_axis: int | None,
    *,
    device: str = "auto",
    stop: threading.Event | None = None,
) -> Generator[Progress, None, tuple[tuple[ImageNote, ...], UserError | None]]:
    """Give every voxel of one or several stacks, such as those of a film, a class.

    Parameters
    ----------
    planes
        The last of the axes before Y and X fastest.
    classes
        ``(..., Y, X)`` uint8 zeros, filled with k = k-th class.
    depth_axis
        Which of the axes is depth.
    device, stop
        As for `predict_volume`.

    Returns
    -------
    notes, problem
        What a person should know, and why the last stacks are missing, or None.

    Raises
    ------
    UserError
        CN-675 without an axis of depth; else as `predict_volume`.
    """
    leading = classes.shape[:-2]
    if depth_axis is None:
        raise UserError(
            "CN-675",
            f"Model '{model.card.name}' was trained on z-stacks, and no axis of the image is known to be depth. "
            "Nothing was changed. Name the axis z, or use a model of single images.",
        )
    numbers = np.moveaxis(np.arange(math.prod(leading)).reshape(leading), depth_axis, -1)
    depth_first = np.moveaxis(classes, depth_axis, -3)
    notes: list[ImageNote] = []
    total = math.prod(numbers.shape[:-1])
    for count, index in enumerate(np.ndindex(*numbers.shape[:-1])):
        slices = _Slices(planes, numbers[index])
        steps = predict_volume(model, slices, depth_first[index], device=device, stop=stop)
        try:
            found = yield from told_as(steps, _teller(count, total))
        except UnreadableError as problem:
            return tuple(dict.fromkeys(notes)), problem
        notes += found
        if stop is not None and stop.is_set():
            break
    return tuple(dict.fromkeys(notes)), None


class _Slices(Sequence):
    """Some of the planes of an image, read when they are asked for."""

    def __init__(self, planes: Sequence[CleanImage | LazyImage], numbers: np.ndarray) -> None:
        self._planes, self._numbers = planes, numbers
        self.name = _name_of(planes)

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, number: Any) -> CleanImage | LazyImage:
        return self._planes[int(self._numbers[number])]


def _teller(count: int, total: int) -> Callable[[Progress], Progress]:
    def tell(event: Progress) -> Progress:
        text = event.text if total == 1 else f"stack {count + 1:,} of {total:,}: {event.text}"
        if event.text.startswith("reading"):  # a part of its own
            return Progress(done=event.done, total=event.total, text=text)
        return Progress(done=round(1000 * (count + event.share)), total=1000 * total, text=text)

    return tell


def _read_stack(
    model: Model,
    planes: Sequence[CleanImage | LazyImage],
    shape: tuple[int, ...],
    stop: threading.Event | None,
) -> Generator[Progress, None, tuple[np.ndarray | None, tuple[ImageNote, ...]]]:
    """Read all slices and normalise them together, ``(C, Z, Y, X)`` float32; None when stopped."""
    n_channels = len(model.card.channels)
    _check_memory(shape, n_channels, _name_of(planes))
    pixels: np.ndarray | None = None
    notes: list[ImageNote] = []
    n_invalid = 0
    for number in range(len(planes)):
        plane = planes[number]
        check_model_fits(model, "segment", plane)
        if isinstance(plane, LazyImage):
            plane = plane.read(slice(0, shape[1]), slice(0, shape[2]))
            n_invalid += 0 if plane.invalid is None else int(plane.invalid.sum())
        if pixels is None:
            pixels = np.empty((n_channels, *shape), np.float32)
        pixels[:, number] = plane.pixels
        notes += plane.notes
        yield Progress(
            done=number + 1,
            total=len(planes),
            text=f"reading slice {number + 1:,} of {len(planes):,}",
        )
        if stop is not None and stop.is_set():
            return None, ()
    if n_invalid:
        notes.append(ImageNote(_name_of(planes), invalid_pixels(n_invalid)))
    flat = pixels.reshape(n_channels, -1, shape[-1])
    normalised = normalisation_of(model).apply(flat).reshape(pixels.shape)
    return normalised, tuple(dict.fromkeys(notes))


def _name_of(planes: Sequence[CleanImage | LazyImage]) -> str:
    return getattr(planes, "name", "stack")


def _check_memory(shape: tuple[int, ...], n_channels: int, name: str) -> None:
    """Refuse a stack that does not fit into the memory that is free, where that is known."""
    needed = math.prod(shape) * (n_channels * _BYTES_PER_CHANNEL + _BYTES_KEPT)
    free = available_memory(torch.device("cpu"))
    if free is not None and needed > free:
        size = " x ".join(f"{side:,}" for side in shape)
        raise UserError(
            "CN-605",
            f"Stack '{name[:60]}' has {size} voxels; a model of stacks needs about {needed / 1e9:.1f} GB of memory for "
            f"it, and {free / 1e9:.1f} GB are free. Nothing was changed. Crop the stack, or use a model of images, "
            "which takes one slice after the other.",
        )


class _Runner:
    """A network on a device, and what it does when the memory there runs out."""

    def __init__(self, network: nn.Module, device: torch.device, sides: Sequence[int]) -> None:
        self._network, self._first_sides = network.eval(), tuple(sides)
        self.sides, self.remarks = self._first_sides, []
        self._use(device)

    def _use(self, device: torch.device) -> None:
        self._device = device
        self._network.to(device)

    def classify(self, pixels: np.ndarray, block: Block, n_classes: int) -> np.ndarray:
        """Return the class values of what a block writes."""
        shown = torch.from_numpy(np.ascontiguousarray(pixels[:, *block.read]))
        with torch.inference_mode():
            outputs = self._network(shown[None].to(self._device))[0, :n_classes]
            best = outputs[:, *block.within].argmax(0)
        return best.to(torch.uint8).cpu().numpy() + 1

    def take_less(self) -> bool:
        """Halve the blocks; where they are as small as can be, go to the CPU. False where nothing is left to do."""
        free_memory(self._device)
        smaller = tuple(
            max(least, side // 2) for side, least in zip(self.sides, _SMALLEST_BLOCK, strict=True)
        )
        if smaller != self.sides:
            self.sides = smaller
            size = " x ".join(map(str, smaller))
            self.remarks = [f"memory ran short, so it was predicted in blocks of {size} voxels"]
            return True
        if self._device.type == "cpu":
            return False
        self._use(torch.device("cpu"))
        self.sides = self._first_sides
        self.remarks = ["the graphics card ran out of memory, so it was predicted on the CPU"]
        return True
