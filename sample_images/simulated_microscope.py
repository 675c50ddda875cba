"""What every simulated image shares: optics, camera, and objects laid out on a field of view.

All lengths are in pixels. A *window* is a small square array with its object in the middle pixel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

#: Objects are drawn on a canvas this much larger on every side, so that the image's edge cuts them.
MARGIN = 48


@dataclass(frozen=True)
class Picture:
    """A simulated image with its truth.

    ``image`` is what the camera saw, ``labels`` a uint16 array (0 is background) or None,
    ``classes`` the class name of every label where objects have classes.
    """

    image: np.ndarray
    labels: np.ndarray | None = None
    classes: dict[int, str] | None = None


def smooth_noise(shape: tuple[int, ...], rng: np.random.Generator, sigma: float) -> np.ndarray:
    """Return Gaussian noise of correlation length ``sigma``, mean 0 and standard deviation 1."""
    noise = ndimage.gaussian_filter(rng.standard_normal(shape), sigma, mode="wrap")
    return (noise - noise.mean()) / noise.std()


def illumination(shape: tuple[int, int], rng: np.random.Generator, strength: float) -> np.ndarray:
    """Return an uneven illumination of maximum 1: a tilt, vignetting off the axis, slow ripples."""
    y, x = (
        np.linspace(-1, 1, n).reshape(s) for n, s in zip(shape, ((-1, 1), (1, -1)), strict=True)
    )
    angle, centre_y, centre_x = rng.uniform(0, 2 * np.pi), *rng.uniform(-0.3, 0.3, 2)
    field = (
        np.cos(angle) * y + np.sin(angle) * x - 0.8 * ((y - centre_y) ** 2 + (x - centre_x) ** 2)
    )
    field = field + 0.2 * smooth_noise(shape, rng, shape[0] / 6)
    return 1 - strength * (field.max() - field) / np.ptp(field)


def camera(
    photons: np.ndarray,
    rng: np.random.Generator,
    counts_per_photon: float,
    dtype: type[np.unsignedinteger],
    offset: float = 0.0,
    read_noise: float = 2.0,
) -> np.ndarray:
    """Expose a camera: photon noise, read noise (electrons), gain, offset, digitisation.

    Photon noise is Poisson noise in its Gaussian limit (variance = mean). No pixel of the sample
    images expects fewer than 20 photons, and unlike a Poisson generator it makes the same image on
    every processor, up to a rounding step.
    """
    noise = rng.standard_normal(photons.shape) * np.sqrt(photons + read_noise**2)
    counts = np.rint((photons + noise) * counts_per_photon + offset)
    return np.clip(counts, 0, np.iinfo(dtype).max).astype(dtype)


def turned_coordinates(size: int, angle: float) -> tuple[np.ndarray, np.ndarray]:
    """Return (along, across) coordinates of a window turned by ``angle`` radians."""
    y, x = np.mgrid[:size, :size] - (size // 2)
    return x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)


def soft_step(distance: np.ndarray, width: float) -> np.ndarray:
    """Return 1 well inside (distance > 0), 0 well outside, with an edge of the given width."""
    return 0.5 * (1 + np.tanh(distance / width))


class Canvas:
    """A field of view with a margin, on which objects are placed so that few of them overlap."""

    def __init__(self, size: int, rng: np.random.Generator) -> None:
        self.size = size
        self.rng = rng
        self.labels = np.zeros((size + 2 * MARGIN,) * 2, np.uint16)

    def window(self, y: int, x: int, size: int) -> tuple[slice, slice]:
        """Return the slices of a window around an image position, on the canvas with its margin."""
        top, left = y + MARGIN - size // 2, x + MARGIN - size // 2
        return slice(top, top + size), slice(left, left + size)

    def fits(self, mask: np.ndarray, y: int, x: int, gap: int, overlap: float) -> bool:
        """Whether an object keeps ``gap`` to the others, or covers no more than ``overlap``."""
        taken = self.labels[self.window(y, x, len(mask))] > 0
        room = ndimage.binary_dilation(mask, iterations=gap) if gap else mask
        return (taken & room).sum() <= overlap * mask.sum()

    def find_place(
        self, mask: np.ndarray, touching: float = 0.0, overlap: float = 0.0, gap: int = 3
    ) -> tuple[int, int] | None:
        """Return a free image position (y, x) or None; a share of objects touch another."""
        gap, overlap = (0, overlap) if self.rng.random() < touching else (gap, 0.0)
        for y, x in self.rng.integers(8, self.size - 8, (600, 2)):
            if not self.fits(mask, y, x, gap, overlap):
                continue
            beside = not gap and not self.fits(mask, y, x, 2, 0.0)
            if gap or beside:  # an object that may touch looks for one to touch
                return int(y), int(x)
        return None

    def add(self, mask: np.ndarray, y: int, x: int) -> int:
        """Enter an object under the next label; pixels that are taken keep theirs."""
        label = int(self.labels.max()) + 1
        view = self.labels[self.window(y, x, len(mask))]
        view[mask & (view == 0)] = label
        return label

    def crop(self, array: np.ndarray) -> np.ndarray:
        """Cut the margin off the last two axes."""
        return array[..., MARGIN:-MARGIN, MARGIN:-MARGIN]
