"""A network shown an image tile by tile: one loop for every task whose answer is an image."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator

import torch
from torch import Tensor, nn

from napari_convnet.devices import choose_device, memory_layout, use_all_cores
from napari_convnet.images import UnreadableError
from napari_convnet.memory import free_memory, is_out_of_memory
from napari_convnet.model_file import Model
from napari_convnet.prediction.reading import NormalisedImage
from napari_convnet.prediction.tiles import Tile, cut_tiles, nearest_first, suggest_tile_size
from napari_convnet.progress import Progress

#: Side in pixels below which tiles are not halved when memory runs out.
SMALLEST_TILE = 64


def predict_tiles(
    model: Model,
    pixels: NormalisedImage,
    shape: tuple[int, int],
    keep: Callable[[Tile, Tensor], None],
    *,
    tile_size: int | None,
    device: str,
    stop: threading.Event | None,
    centre: tuple[float, float] | None = None,
) -> Generator[Progress, None, UnreadableError | None]:
    """Show every tile of an image to a network.

    When memory runs out, the tiles that are left are halved, down to `SMALLEST_TILE`; if that is too much for a
    graphics card, the rest is done on the CPU. ``pixels`` gets a note of either.

    Parameters
    ----------
    shape
        ``(Y, X)`` of the image.
    keep
        Takes a tile and the network's outputs ``(K, Y, X)`` for what the tile reads, on the device.
    tile_size
        Side in pixels of the tiles; None for what suits the network.
    stop
        Looked at after every tile.
    centre
        Row and column of the place whose tiles come first; None for one row after the other.

    Returns
    -------
    problem
        Why the image could not be read to its end; None if it was, or the prediction was stopped.
    """
    use_all_cores()
    size = tile_size or suggest_tile_size(model.network)
    runner = _Runner(model.network, choose_device(device), size)
    wholes = list(cut_tiles(shape, size, model.network))
    if centre is not None and wholes:
        wholes = nearest_first(wholes, centre, size, model.network, shape)
    for done, whole in enumerate(wholes, start=1):
        parts = deque(runner.cut(whole, shape))
        while parts:
            try:
                inputs = pixels.read_tile(parts[0])
            except UnreadableError as error:
                return error
            if not runner.show(torch.from_numpy(inputs), parts[0], keep):
                runner.take_less(pixels)
                parts = deque(part for tile in parts for part in runner.cut(tile, shape))
                continue
            parts.popleft()
            if parts:
                yield Progress(
                    done=done - 1, total=len(wholes), text="a tile in parts, to save memory"
                )
            if stop is not None and stop.is_set():
                return None
        text = f"tile {done:,} of {len(wholes):,}"
        yield Progress(done=done, total=len(wholes), text=text)
        if stop is not None and stop.is_set():
            return None
    return None


class _Runner:
    """A network on a device, and what it does when the memory there runs out."""

    def __init__(self, network: nn.Module, device: torch.device, tile_size: int) -> None:
        self._network, self._first_size, self._size = network.eval(), tile_size, tile_size
        self._use(device)

    def _use(self, device: torch.device) -> None:
        self._device = device
        self._layout = memory_layout(device, self._network)
        self._network.to(device, memory_format=self._layout)

    @property
    def _smallest(self) -> int:
        return max(SMALLEST_TILE, int(self._network.multiple))

    def cut(self, tile: Tile, shape: tuple[int, int]) -> Iterator[Tile]:
        """Cut a tile into parts of the size that goes."""
        return cut_tiles(shape, self._size, self._network, tile.write)

    def show(self, inputs: Tensor, tile: Tile, keep: Callable[[Tile, Tensor], None]) -> bool:
        """Show a tile to the network; return False when memory ran out and less of it would do."""
        try:
            with torch.inference_mode():
                batch = inputs[None].to(self._device, memory_format=self._layout)
                keep(tile, self._network(batch)[0])
        except (RuntimeError, MemoryError) as error:
            is_last = self._size <= self._smallest and self._device.type == "cpu"
            if is_last or not is_out_of_memory(error):
                raise
            return False
        return True

    def take_less(self, pixels: NormalisedImage) -> None:
        """Halve the tiles; where they are as small as can be, go to the CPU."""
        free_memory(self._device)
        is_cpu = self._device.type == "cpu"
        if self._size > self._smallest:
            multiple = int(self._network.multiple)
            self._size = max(self._smallest, self._size // 2 // multiple * multiple)
            where = "" if is_cpu else " of the graphics card"
            size = f"{self._size} x {self._size} pixels"
            pixels.note(
                "memory", f"memory{where} ran short, so it was predicted in tiles of {size}"
            )
            return
        self._use(torch.device("cpu"))
        self._size = self._first_size
        pixels.note("memory", "the graphics card ran out of memory, so it was predicted on the CPU")
