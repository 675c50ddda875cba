"""How soon a prediction shows something: from the click on Predict to the first tile on the screen.

Run it where there is a screen (or under Xvfb), with no other work on the machine::

    xvfb-run -a -s "-screen 0 1280x800x24" python benchmarks/first_tile.py

The image is lazy and has ``--side`` pixels a side; the network is the one that segmentation trains by default, briefly
trained. The first prediction of a process also imports what it needs; of the others the median is printed. A tile is on
the screen when the canvas was drawn after the mask had its values in the middle of the view.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

import dask.array as da
import napari
import numpy as np
from click_speed import wait_until
from napari.settings import get_plugin_settings

TARGET_SECONDS = 1.0
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))


def measure(viewer: napari.Viewer, image, dock) -> float:
    """Press Predict and return the seconds until its first tile was drawn; then stop it."""
    from napari_convnet.widgets.layers import find_layer, layer_id

    row, column = viewer.scene.camera.center[-2:]
    drawn_at: list[float] = []

    def is_there() -> bool:
        layer = find_layer(viewer, "growing-mask", layer_id(image))
        return layer is not None and bool(np.asarray(layer.data[0][int(row), int(column)]))

    def on_draw(_event) -> None:
        if not drawn_at and is_there():
            drawn_at.append(time.perf_counter())

    canvas = viewer.window._qt_viewer.canvas._scene_canvas
    canvas.events.draw.connect(on_draw, position="last")
    start = time.perf_counter()
    dock.predict_button.click()
    wait_until(lambda: bool(drawn_at))
    canvas.events.draw.disconnect(on_draw)
    dock.stop_button.click()
    wait_until(lambda: dock.runner.state == "idle")
    return drawn_at[0] - start


def main() -> None:
    """Predict several times and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=8192)
    parser.add_argument("--times", type=int, default=5)
    options = parser.parse_args()
    from napari_convnet import TrainingSettings, run, train
    from napari_convnet.widgets.session import session_of
    from synthetic_pictures import blob_set, draw_blobs

    with tempfile.TemporaryDirectory(prefix="napari-convnet-benchmark-") as folder:
        get_plugin_settings("napari-convnet").folders.projects = folder
        part = draw_blobs(size=1024, n=1200)[0].clip(0, 255).astype(np.uint8)
        copies = options.side // 1024
        viewer = napari.Viewer()
        slide = da.tile(da.from_array(part, chunks=1024), (copies, copies))
        image = viewer.add_image(slide, name="slide", contrast_limits=(0, 255))
        dock = viewer.window.add_plugin_dock_widget("napari-convnet", "Predict")[1]
        session_of(viewer).set_model(run(train(blob_set(), "unet", TrainingSettings(epochs=2))))
        viewer.scene.camera.center = (0, options.side / 2, options.side / 2)
        viewer.scene.camera.zoom = 1.0
        seconds = [measure(viewer, image, dock) for _ in range(options.times)]
        viewer.close()
    print(f"{options.side} x {options.side} pixels, first prediction {seconds[0]:.2f} s")
    usual = statistics.median(seconds[1:])
    met = "met" if usual <= TARGET_SECONDS else "NOT met"
    print(
        f"later ones, median {usual:.2f} s, at most {max(seconds[1:]):.2f} s (target {TARGET_SECONDS:.0f} s: {met})"
    )


if __name__ == "__main__":
    main()
