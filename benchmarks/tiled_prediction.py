"""Tiled prediction of 4096 x 4096 pixels beside the bare network: pixels a second, all pixels fed counted.

Run ``python benchmarks/tiled_prediction.py`` (with ``OMP_NUM_THREADS=1`` while other work is on the machine). The
network is the one that segmentation trains by default, with random weights. The bare network is shown tensors of the
size that the tiles have, already normalised, and nothing is done with its answer; the two take turns, so that other
work on the machine slows both. Printed are both speeds, their ratio, and which share of the pixels fed is margin.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np
import torch

from napari_convnet.devices import choose_device, use_all_cores
from napari_convnet.images import CleanImage
from napari_convnet.model_file import Model
from napari_convnet.networks import build_network
from napari_convnet.prediction.reading import NormalisedImage
from napari_convnet.prediction.tile_by_tile import predict_tiles
from napari_convnet.prediction.tiles import cut_tiles, suggest_tile_size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=4096)
    parser.add_argument(
        "--tile", type=int, help="side of the tiles; by default what suits the network"
    )
    parser.add_argument("--tiles", type=int, default=0, help="stop after so many tiles; 0: all")
    options = parser.parse_args()
    use_all_cores()
    device = choose_device("auto")
    network = build_network("unet", 1, 2).eval()
    model = _model(network)
    shape = (options.side, options.side)
    pixels = np.random.default_rng(0).integers(0, 255, (1, *shape)).astype(np.float32)
    image = NormalisedImage(model, CleanImage(pixels, None, "image"))
    size = options.tile or suggest_tile_size(network)
    tiles = list(cut_tiles(shape, size, network))
    shown = sum(_pixels(tile.read) for tile in tiles)
    margin = 1 - options.side**2 / shown
    tiles = tiles[: options.tiles or len(tiles)]
    classes = np.zeros(shape, np.uint8)

    def keep(tile, logits) -> None:
        best = logits.argmax(0).to(torch.uint8).cpu().numpy()
        classes[tile.write] = best[tile.within] + 1

    steps = predict_tiles(
        model, image, shape, keep, tile_size=size, device="auto", stop=None
    )  # fmt: skip
    layout = torch.channels_last if device.type == "cpu" else torch.contiguous_format
    ours, bare, fed = [], [], 0
    for tile in tiles:
        start = time.perf_counter()
        next(steps)
        ours.append(time.perf_counter() - start)
        sides = [span.stop - span.start for span in tile.read]
        batch = torch.randn(1, 1, *sides, device=device).to(memory_format=layout)
        start = time.perf_counter()
        with torch.inference_mode():
            network(batch)
            if device.type == "cuda":
                torch.cuda.synchronize()
        bare.append(time.perf_counter() - start)
        fed += sides[0] * sides[1]
    ratios = [b / o for o, b in zip(ours[1:], bare[1:], strict=True)]
    print(
        f"{device}, {torch.get_num_threads()} threads, {len(tiles)} tiles of {size} x {size} pixels"
    )
    print(
        f"fed, tiled      {fed / sum(ours) / 1e6:8.3f} million pixels a second, all pixels fed counted"
    )
    print(f"bare network    {fed / sum(bare) / 1e6:8.3f} million pixels a second")
    print(
        f"ratio           {sum(bare) / sum(ours):8.3f}   (median over the tiles {statistics.median(ratios):.3f})"
    )
    print(f"margin          {margin:8.1%} of the pixels fed for the whole image")
    print(f"first tile      {ours[0]:8.2f} s")


def _pixels(window) -> int:
    return (window[0].stop - window[0].start) * (window[1].stop - window[1].start)


def _model(network: torch.nn.Module) -> Model:
    """Put a network into a model of which only what prediction asks for is there."""
    from types import SimpleNamespace

    from napari_convnet.model_file.card import NormalisationCard

    card = SimpleNamespace(normalisation=NormalisationCard(mode="per_image"))
    return Model(card, network, np.zeros((1, 16, 16), np.float32))


if __name__ == "__main__":
    main()
