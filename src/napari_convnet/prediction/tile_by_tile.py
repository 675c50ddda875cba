"""A network shown an image tile by tile: one loop for every task whose answer is an image."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator

import torch
from torch import Tensor

from napari_convnet.devices import choose_device, use_all_cores
from napari_convnet.images import UnreadableError
from napari_convnet.model_file import Model
from napari_convnet.prediction.reading import NormalisedImage
from napari_convnet.prediction.tiles import Tile, cut_tiles
from napari_convnet.progress import Progress


def predict_tiles(
    model: Model,
    pixels: NormalisedImage,
    shape: tuple[int, int],
    keep: Callable[[Tile, Tensor], None],
    *,
    tile_size: int,
    device: str,
    stop: threading.Event | None,
) -> Generator[Progress, None, UnreadableError | None]:
    """Show every tile of an image to a network.

    Parameters
    ----------
    shape
        ``(Y, X)`` of the image.
    keep
        Takes a tile and the network's outputs ``(K, Y, X)`` for what the tile reads, on the device.
    tile_size
        Side in pixels of the tiles.
    stop
        Looked at after every tile.

    Returns
    -------
    problem
        Why the image could not be read to its end; None if it was, or the prediction was stopped.
    """
    use_all_cores()
    tiles = list(cut_tiles(shape, tile_size, model.network))
    chosen = choose_device(device)
    network = model.network.to(chosen).eval()
    for done, tile in enumerate(tiles, start=1):
        try:
            inputs = pixels.read_tile(tile)
        except UnreadableError as error:
            return error
        with torch.inference_mode():
            keep(tile, network(torch.from_numpy(inputs)[None].to(chosen))[0])
        yield Progress(done=done, total=len(tiles), text=f"tile {done} of {len(tiles)}")
        if stop is not None and stop.is_set():
            break
    return None
