"""Versions that a figure depends on."""

from __future__ import annotations

import platform

import numpy as np
import torch

from napari_convnet import __version__


def versions() -> dict[str, str]:
    """Return the versions that a figure depends on."""
    return {
        "napari-convnet": __version__, "python": platform.python_version(), "torch": torch.__version__,
        "numpy": np.__version__,
    }  # fmt: skip
