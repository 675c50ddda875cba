"""What napari compiles before it can colour classes, compiled in the background before somebody waits for it."""

from __future__ import annotations

import functools
import threading

import numpy as np
from napari.utils.colormaps import DirectLabelColormap

#: The type of our layers of classes: napari compiles for each type.
_CLASSES = np.zeros((2, 2), np.uint8)


@functools.cache
def warm_up() -> threading.Thread:
    """Begin, once in a process, to compile what the first layer of classes needs.

    Where numba is installed napari colours labels with compiled functions; without this, the window stands still for
    a second or more when the first tool is taken.
    """
    thread = threading.Thread(target=_colour_once, name="napari-convnet warm-up")
    thread.start()
    return thread


def _colour_once() -> None:
    colours = {None: "transparent", 0: "transparent", 1: "white"}
    DirectLabelColormap(color_dict=colours).map(_CLASSES)
