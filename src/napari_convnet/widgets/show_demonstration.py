"""``python -m napari_convnet.widgets.show_demonstration FOLDER``: what the demonstration trained, applied in napari.

The command line starts this as a process of its own, so that it never imports napari itself.
"""

from __future__ import annotations

import sys
from pathlib import Path

import napari

from napari_convnet.model_file import load_model
from napari_convnet.widgets.session import session_of

_DOCKS = ("Annotate", "Train", "Predict")


def open_demonstration(folder: Path) -> napari.Viewer:
    """Open the blood smear that was held out, with the docks, and apply the model that the demonstration trained.

    Parameters
    ----------
    folder
        What ``napari-convnet demo --out`` wrote; ``cells.safetensors`` in it is used.
    """
    viewer = napari.Viewer(title="napari-convnet demonstration")
    viewer.open_sample("napari-convnet", "blood-smear-2")
    docks = {
        name: viewer.window.add_plugin_dock_widget("napari-convnet", name, tabify=True)[1]
        for name in _DOCKS
    }
    session_of(viewer).set_model(load_model(folder / "cells.safetensors"))
    docks["Predict"].predict()
    return viewer


def main() -> None:
    """Open the viewer and stay until it is closed."""
    open_demonstration(Path(sys.argv[1]))
    napari.run()


if __name__ == "__main__":
    main()
