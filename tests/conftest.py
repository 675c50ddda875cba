"""Every test runs away from the person's own settings and folders; core tests stay free of Qt."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

# Set before anything imports napari or platformdirs, which look at them once.
_home = tempfile.TemporaryDirectory(prefix="napari-convnet-tests-")
for _name in ("CONFIG", "DATA", "CACHE", "STATE"):
    os.environ[f"XDG_{_name}_HOME"] = str(Path(_home.name, _name.lower()))
os.environ["NAPARI_ENSURE_PLUGIN_MAIN_THREAD"] = "1"
# One thread for a toy network: the machine's cores are shared and sums stay the same.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_unconfigure() -> None:
    """Remove the folder that stood for the person's own."""
    _home.cleanup()


@pytest.fixture
def data_folder() -> Path:
    """Return the folder of real images, or skip where there is none."""
    folder = os.environ.get("NAPARI_CONVNET_DATA")
    if not folder:
        pytest.skip("set NAPARI_CONVNET_DATA to the folder of real images")
    return Path(folder)


@pytest.fixture(scope="module")
def segmenter():
    """Return a model that tells blobs from background."""
    from synthetic_pictures import train_segmenter

    return train_segmenter()


@pytest.fixture(scope="module")
def classifier():
    """Return a model that tells disks from squares."""
    from synthetic_pictures import train_classifier

    return train_classifier()


@pytest.fixture(scope="module")
def mobilenet():
    """Return weights for ImageNet's classes, as random as they begin."""
    import torch

    from napari_convnet.networks import build_network

    torch.manual_seed(0)
    return build_network("mobilenet_v2", 3, 1000).state_dict()


@pytest.fixture(autouse=True)
def _disable_qt_warnings() -> None:
    """Take the place of a fixture of napari's that would import Qt for every core test."""
