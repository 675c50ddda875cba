"""A segmentation whose result goes to a file: the memory that it takes, by the size of the image.

Run ``python benchmarks/large_results.py``. Each image has its own process, which predicts a lazy uint8 image of discs
with a small trained network, numbers and measures the objects, and watches its memory. Two sizes tell how it grows
with the number of pixels, from which the last line reckons what 32,768 x 32,768 pixels take. ``--side 32768`` does it.
``--threshold`` puts a threshold in the network's place, with the same tiles: what a network takes depends on its tiles
and not on the image, and without it larger images can be tried in minutes.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

TESTS = Path(__file__).resolve().parent.parent / "tests"
WANTED = 32_768


class Threshold(torch.nn.Module):
    """Finds bright pixels; reads and writes the tiles of a default UNet."""

    multiple, receptive_radius = 8, 59

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return logits of the two classes."""
        return torch.cat([-image, image], dim=1)


def measure(side: int, has_network: bool) -> None:
    """Print megabytes before and at most, objects, and seconds."""
    import dask
    import dask.array as da
    import psutil

    sys.path.insert(0, str(TESTS))
    from napari_convnet import run
    from napari_convnet.images import LazyImage, LazyPlane
    from napari_convnet.prediction import measure_objects, segment_to_file
    from synthetic_pictures import draw_blobs, train_segmenter

    dask.config.set(scheduler="synchronous")
    model = train_segmenter()
    if not has_network:
        model = replace(model, network=Threshold())
    part = draw_blobs(size=1024, n=1200)[0].clip(0, 255).astype(np.uint8)
    slide = da.tile(da.from_array(part, chunks=1024), (side // 1024, side // 1024))
    image = LazyImage(((LazyPlane(slide, (), "slide"), "YX"),))
    process, over = psutil.Process(), threading.Event()
    readings = [process.memory_info().rss]

    def watch() -> None:
        while not over.wait(0.02):
            readings.append(process.memory_info().rss)

    watching = threading.Thread(target=watch)
    watching.start()
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        found = run(segment_to_file(model, image, Path(folder, "slide.zarr")))
        predicted = time.monotonic() - start
        names = ["blob"] * (len(found.object_values) - 1)
        run(measure_objects(found.object_levels[0], names, image, ["slide"]))
    seconds = time.monotonic() - start
    over.set()
    watching.join()
    print(
        readings[0] // 2**20, max(readings) // 2**20, len(names), round(predicted), round(seconds)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, nargs="+", default=[2048, 6144])
    parser.add_argument("--threshold", action="store_true", help="in the network's place")
    parser.add_argument("--child", type=int)
    options = parser.parse_args()
    if options.child:
        measure(options.child, not options.threshold)
        return
    print(
        "side in pixels, MB before, MB at most, objects, seconds with numbering, seconds with measuring"
    )
    found = []
    for side in options.side:
        code = [
            sys.executable,
            __file__,
            "--child",
            str(side),
            *["--threshold"] * options.threshold,
        ]
        line = subprocess.run(code, capture_output=True, text=True, check=True).stdout.strip()
        print(side, line, flush=True)
        found.append((side**2, int(line.split()[1])))
    if len(found) > 1:
        (few, low), (many, high) = found[0], found[-1]
        reckoned = high + (WANTED**2 - many) * max(0, high - low) / (many - few)
        print(
            f"{WANTED:,} x {WANTED:,} pixels: about {reckoned:,.0f} MB at most, reckoned in a straight line"
        )


if __name__ == "__main__":
    main()
