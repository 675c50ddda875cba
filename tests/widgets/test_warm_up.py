"""The first layer of classes finds what it needs compiled already."""

from __future__ import annotations

import subprocess
import sys

import pytest

#: In a process of its own: what other tests did is compiled already.
_SCRIPT = """
import numpy as np
from napari.utils.colormaps import _accelerated_cmap as compiled
from napari_convnet.widgets.layers import class_colormap
from napari_convnet.widgets.warm_up import warm_up
from napari_convnet.classes import make_classes

function = compiled._labels_raw_to_texture_direct_inner_loop
assert not function.signatures
assert warm_up() is warm_up()
warm_up().join()
n_compiled = len(function.signatures)
assert n_compiled
colours = class_colormap(make_classes(("cell", "debris")))
assert colours.map(np.array([[1, 2]], np.uint8)).any()
assert len(function.signatures) == n_compiled
"""


def test_what_the_first_layer_of_classes_needs_is_compiled_in_the_background():
    pytest.importorskip("numba", reason="napari compiles nothing without numba")
    subprocess.run([sys.executable, "-c", _SCRIPT], check=True)
