"""Rod bacteria in phase contrast: wave optics, so halos and shade-off come by themselves."""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from simulated_microscope import (
    Canvas,
    Picture,
    camera,
    illumination,
    smooth_noise,
    turned_coordinates,
)

SIZE = 400
WINDOW = 95
#: Amplitude that the phase ring lets through, and width of the blur that it takes for direct light.
RING_AMPLITUDE, RING_BLUR = 0.5, 10.0
PHASE = 0.5


def _rod(angle: float, half_length: float, radius: float, rng: np.random.Generator) -> np.ndarray:
    """Return the phase delay (radians) of a slightly bent rod; it is positive inside only."""
    along, across = turned_coordinates(WINDOW, angle)
    across = across + rng.normal(0, 0.0016) * along**2
    distance = np.hypot(np.clip(np.abs(along) - half_length, 0, None), across)
    if half_length > 15 and rng.random() < 0.6:  # about to divide: pinched in the middle
        distance = distance + 0.28 * radius * np.exp(-((along / 2.2) ** 2))
    profile = np.sqrt(np.clip(1 - (distance / radius) ** 2, 0, None))
    return PHASE * rng.uniform(0.85, 1.15) * profile


def _next_rod(canvas: Canvas, rods: list[tuple[float, ...]]) -> tuple[float, ...]:
    """Propose (y, x, angle, half length, radius): a founder, or a rod beside or behind another."""
    rng = canvas.rng
    half_length, radius = rng.uniform(8, 19), rng.uniform(4.7, 5.6)
    if len(rods) < 9 or rng.random() < 0.02:
        return (*rng.uniform(20, canvas.size - 20, 2), rng.uniform(0, np.pi), half_length, radius)
    y, x, angle, parent_half, parent_radius = rods[rng.integers(len(rods))]
    side = rng.choice([-1, 1])
    if rng.random() < 0.65:
        shift = rng.uniform(-0.8, 0.8) * parent_half
        apart = side * (parent_radius + radius + rng.uniform(0.0, 0.9))
    else:
        shift = side * (parent_half + half_length + parent_radius + radius + rng.uniform(0, 0.8))
        apart = rng.normal(0, 2)
    y += shift * np.sin(angle) + apart * np.cos(angle)
    x += shift * np.cos(angle) - apart * np.sin(angle)
    return y, x, angle + rng.normal(0, 0.16), half_length, radius


def _phase_contrast(phase: np.ndarray) -> np.ndarray:
    """Return the intensity (1 is background) seen through Zernike's phase ring.

    References
    ----------
    Zernike (1942), Physica 9, 686-698, doi:10.1016/S0031-8914(42)80035-X.
    """
    wave = np.exp(1j * phase)
    direct = ndimage.gaussian_filter(wave.real, RING_BLUR) + 1j * ndimage.gaussian_filter(
        wave.imag, RING_BLUR
    )
    seen = (wave - direct) - 1j * RING_AMPLITUDE * direct
    blurred = ndimage.gaussian_filter(seen.real, 1.0) + 1j * ndimage.gaussian_filter(seen.imag, 1.0)
    return np.abs(blurred) ** 2 / RING_AMPLITUDE**2


def bacteria(seed: int, count: int) -> Picture:
    """Simulate microcolonies of about ``count`` rods; ``image`` is uint8 (Y, X)."""
    rng = np.random.default_rng(seed)
    canvas = Canvas(SIZE, rng)
    phase, rods = np.zeros(canvas.labels.shape), []
    for _ in range(60 * count):
        y, x, angle, half_length, radius = rod = _next_rod(canvas, rods)
        row, column = round(y), round(x)
        if len(rods) == count or not (0 <= row < SIZE and 0 <= column < SIZE):
            continue
        delay = _rod(angle, half_length, radius, rng)
        if canvas.fits(delay > 0, row, column, 0, 0.01):
            canvas.add(delay > 0, row, column)
            phase[canvas.window(row, column, WINDOW)] += delay
            rods.append(rod)
    phase += 0.012 * smooth_noise(phase.shape, rng, 2.5)  # the agarose pad is not quite flat
    light = canvas.crop(_phase_contrast(phase)) * illumination((SIZE, SIZE), rng, 0.45)
    image = camera(light * 1500, rng, 95 / 1500, np.uint8, offset=6, read_noise=6)
    return Picture(image, canvas.crop(canvas.labels))
