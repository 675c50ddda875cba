"""A film of a bead spinning on the flagellar motor of a bacterium stuck to the glass."""

from __future__ import annotations

import numpy as np
from simulated_microscope import Picture, camera, turned_coordinates

FRAMES, SIZE = 120, 40


def _path(rng: np.random.Generator, frames: int) -> np.ndarray:
    """Return the bead's (y, x) in every frame: a tilted circle, uneven speed, two reversals in 120 frames."""
    turn = np.arange(frames) % FRAMES
    direction = np.where((turn > 52) & (turn < 71), -1, 1)
    angle = 0.4 + np.cumsum(direction * rng.normal(0.42, 0.07, frames))
    orbit = np.stack([5.2 * np.sin(angle), 6.4 * np.cos(angle) + 0.8 * np.sin(angle)], axis=1)
    return np.array([20.3, 18.6]) + orbit + rng.normal(0, 0.15, (frames, 2))


def bead_film(seed: int, frames: int = FRAMES) -> tuple[Picture, np.ndarray]:
    """Return the film, uint16 (T, Y, X), and the true positions (T, 2) as y, x."""
    rng = np.random.default_rng(seed)
    positions = _path(rng, frames)
    y, x = np.mgrid[:SIZE, :SIZE].astype(float)
    along, across = turned_coordinates(SIZE, 0.6)
    body = 30 * np.exp(-(((along / 13) ** 4) + ((across / 4.5) ** 2)))
    stuck = 75 * np.exp(-((y - 8.4) ** 2 + (x - 32.1) ** 2) / (2 * 2.8**2))
    wobble = 1.9 + 0.25 * np.sin(np.arange(frames) / 7.0) + rng.normal(0, 0.06, frames)
    photons = np.empty((frames, SIZE, SIZE))
    for frame, ((row, column), sigma) in enumerate(zip(positions, wobble, strict=True)):
        squared = (y - row) ** 2 + (x - column) ** 2
        # The light stays the same when the bead leaves the focus: it only spreads.
        spot = 260 * (1.9 / sigma) ** 2 * np.exp(-squared / (2 * sigma**2))
        ring = 14 * np.exp(-((np.sqrt(squared) - 3.4 * sigma) ** 2) / 3)
        photons[frame] = 32 + 0.15 * (y + x) + body + stuck + spot + ring
    return Picture(camera(photons, rng, 1.0, np.uint16, offset=100)), positions
