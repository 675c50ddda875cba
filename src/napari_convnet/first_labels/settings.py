"""What steers first labels: how large cells are, how they look, and where they begin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

Colour = Literal["automatic", "red", "green", "blue"]
#: Where to look in an array: an index for each axis before Y and X, or all of a volume's planes.
Region = tuple[int | slice, ...]


@dataclass(frozen=True)
class CellSettings:
    """How cells are told from what lies between them.

    Parameters
    ----------
    diameter
        Of a typical cell, or the width of a long one, in pixels along Y and X.
    are_bright
        Whether cells are brighter than what lies between them.
    weights
        How red, green and blue are added up; empty for a grey image.
    sensitivity
        0 to 100; more finds fainter cells and draws wider outlines.
    z_step
        Distance of two planes of a volume in pixels.
    """

    diameter: float
    are_bright: bool
    weights: tuple[float, ...] = ()
    sensitivity: float = 50.0
    z_step: float = 1.0

    def diameters(self, ndim: int) -> np.ndarray:
        """Return the diameter along each axis ``(Z,) Y, X`` in voxels."""
        return self.diameter / np.array([self.z_step, 1.0, 1.0][-ndim:])


@dataclass(frozen=True)
class Level:
    """Brightness above the local background: typical between cells, and where cells begin."""

    background: float
    threshold: float

    def at(self, sensitivity: float) -> float:
        """Return the threshold for a sensitivity; 50 is the one that the image suggests."""
        step = 4 ** ((50 - sensitivity) / 50)
        return self.background + (self.threshold - self.background) * step
