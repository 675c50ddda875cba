"""How fluid the window stays while a network trains live and somebody paints: a timer on the GUI thread.

Run it where there is a screen (or under Xvfb), with no other work on the machine::

    xvfb-run -a -s "-screen 0 1280x800x24" python benchmarks/live_window.py

A timer fires every 10 ms; what is counted is how late each firing comes. First the window is idle, then strokes are
painted without a training, then the same strokes are painted while a UNet trains live and predicts what is in view.
The first seconds of the training, in which torch is imported, are told apart.
"""

from __future__ import annotations

import tempfile
import time

import napari
import numpy as np
from annotation_speed import Hand
from click_speed import wait_until
from napari.settings import get_plugin_settings
from qtpy.QtCore import QTimer
from scipy import ndimage

SIDE, N_STROKES = 1024, 12
INTERVAL_MS = 10
TARGET_MS, TARGET_MAX_MS = 75, 300


class Lateness:
    """How late a timer of the GUI thread fires, in milliseconds."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self._last = time.perf_counter()
        self._timer = QTimer()
        self._timer.setInterval(INTERVAL_MS)
        self._timer.timeout.connect(self._note)
        self._timer.start()

    def _note(self) -> None:
        now = time.perf_counter()
        self.times.append(max(0.0, 1000 * (now - self._last) - INTERVAL_MS))
        self._last = now

    def take(self) -> np.ndarray:
        """Return what was noted since the last time."""
        taken, self.times = np.array(self.times), []
        return taken


def make_image() -> np.ndarray:
    """Return blurred noise with bright blobs."""
    random = np.random.default_rng(0)
    blobs = ndimage.gaussian_filter(random.normal(size=(SIDE, SIDE)), 12)
    bright = blobs > np.percentile(blobs, 85)
    return (random.normal(60, 12, bright.shape) + 90 * bright).clip(0, 255).astype(np.uint8)


def wait_for(seconds: float) -> None:
    """Let the event loop run."""
    end = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() > end)


def paint(viewer, hand: Hand, layer, image: np.ndarray) -> None:
    """Paint strokes of both classes, with a pause after each as people make."""
    from napari_convnet.widgets.session import session_of

    random = np.random.default_rng(1)
    for number in range(N_STROKES):
        value = 1 + number % 2
        session_of(viewer).set_current_class(value)
        places = np.argwhere((image > 110) == (value == 2))
        row, column = (int(c) for c in random.permutation(places[(places < SIDE - 80).all(1)])[0])
        hand.stroke(layer, [(row + k, column + 2 * k) for k in range(12)])
        wait_for(0.8)


def describe(name: str, late: np.ndarray) -> str:
    """Return a line of the table."""
    p50, p95 = np.percentile(late, (50, 95))
    return f"{name:32} median {p50:6.1f} ms   p95 {p95:6.1f} ms   max {late.max():7.1f} ms   n {len(late):5}"


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(prefix="napari-convnet-benchmark-") as folder:
        get_plugin_settings("napari-convnet").folders.projects = folder
        viewer, image = napari.Viewer(), make_image()
        viewer.add_image(image, name="blobs")
        annotate = viewer.window.add_plugin_dock_widget("napari-convnet", "Annotate")[1]
        train = viewer.window.add_plugin_dock_widget("napari-convnet", "Train")[1]
        annotate.use_tool("paint_strokes")
        wait_until(lambda: annotate.active_tool is not None)
        wait_for(2)
        hand, late = Hand(viewer), Lateness()
        wait_for(3)
        idle = late.take()
        paint(viewer, hand, annotate.active_tool.layer, image)
        painting = late.take()
        train.live_training.start()
        wait_until(lambda: "learning" in train.time_line.text())
        wait_for(3)
        beginning = late.take()
        paint(viewer, hand, annotate.active_tool.layer, image)
        wait_for(3)
        live = late.take()
        train.stop()
        wait_until(lambda: train.training.state == "idle" and train.predicting.state == "idle")
        viewer.close()
    print(describe("idle", idle))
    print(describe("painting", painting))
    print(describe("live: the beginning", beginning))
    print(describe("live, painting", live))
    above = np.percentile(live, 95) - np.percentile(idle, 95)
    met = above <= TARGET_MS and live.max() <= TARGET_MAX_MS
    print(
        f"p95 above idle {above:.1f} ms (target {TARGET_MS}), max {live.max():.0f} ms (target {TARGET_MAX_MS}): "
        f"{'met' if met else 'NOT met'}"
    )


if __name__ == "__main__":
    main()
