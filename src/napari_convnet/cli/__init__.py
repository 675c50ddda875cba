"""The command line, ``napari-convnet``: the same jobs without napari and without a screen."""

from napari_convnet.cli.app import main

__all__ = ["main"]
