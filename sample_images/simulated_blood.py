"""A stained blood smear in bright field: red cells that absorb by Beer and Lambert's law."""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from simulated_microscope import (
    Canvas,
    Picture,
    camera,
    illumination,
    smooth_noise,
    soft_step,
    turned_coordinates,
)

SIZE = 640
WINDOW = 87
SHARES = {"normal": 0.46, "crenated": 0.22, "sickled": 0.16, "out_of_focus": 0.16}
#: Absorbance of a cell's rim in red, green and blue (eosin takes the green).
STAIN = np.array([0.38, 0.86, 0.56])
PLATELET_STAIN = np.array([0.62, 0.80, 0.30])


def _disc(rng: np.random.Generator, spikes: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return the thickness (1 at the rim) and mask of a round cell with a pale centre."""
    along, across = turned_coordinates(WINDOW, rng.uniform(0, np.pi))
    stretch = np.sqrt(rng.uniform(1.0, 1.22))
    along, across = along / stretch, across * stretch
    radius, angle = np.hypot(along, across), np.arctan2(across, along)
    outline = rng.uniform(15.2, 20.2) * np.ones_like(radius)
    for wave in (2, 3, 4, 5):
        outline *= 1 + rng.normal(0, 0.012) * np.cos(wave * angle + rng.uniform(0, 2 * np.pi))
    if spikes:
        outline *= 0.96 + _crenation(angle, rng)
    depth = outline - radius
    thickness = soft_step(depth, 1.0) * (0.8 + 0.2 * np.exp(-((depth - 3.5) ** 2) / 14))
    thickness *= 1 - _pallor(along, across, outline.mean(), rng)
    if spikes:
        thickness *= 1 + _knobs(outline.mean(), rng)
    return thickness, depth > 0


def _crenation(angle: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the relative height of 10 to 17 blunt spikes around the outline."""
    count = int(rng.integers(10, 18))
    height = np.zeros_like(angle)
    for spike in range(count):
        position = 2 * np.pi * (spike + rng.uniform(-0.4, 0.4)) / count
        apart = np.angle(np.exp(1j * (angle - position)))
        height += rng.uniform(0.02, 0.16) * np.exp(-((apart * count / rng.uniform(1.4, 2.2)) ** 2))
    return height


def _knobs(radius: float, rng: np.random.Generator) -> np.ndarray:
    """Return the relief of the spikes that point at the viewer."""
    relief = np.zeros((WINDOW, WINDOW))
    y, x = np.mgrid[:WINDOW, :WINDOW] - WINDOW // 2
    for _ in range(rng.integers(7, 13)):
        distance, angle = radius * np.sqrt(rng.uniform(0, 0.7)), rng.uniform(0, 2 * np.pi)
        apart = np.hypot(y - distance * np.sin(angle), x - distance * np.cos(angle))
        relief += rng.uniform(0.2, 0.45) * (
            np.exp(-((apart / 1.7) ** 2)) - 0.5 * np.exp(-((apart - 3.2) ** 2))
        )
    return relief


def _pallor(
    along: np.ndarray, across: np.ndarray, radius: float, rng: np.random.Generator
) -> np.ndarray:
    """Return the relative depth of the dimple: central, off-centre, slit-like or hardly there."""
    shift = rng.normal(0, 0.07 * radius, 2)
    squeeze = rng.choice([1.0, 1.0, 1.2, 1.6])
    distance = np.hypot((along - shift[0]) / squeeze**0.5, (across - shift[1]) * squeeze**0.5)
    size = rng.uniform(0.3, 0.52) * radius
    dimple = rng.uniform(0.15, 0.7) * soft_step(size - distance, rng.uniform(1.5, 5))
    if rng.random() < 0.1:  # a target cell keeps a dark spot in the middle of its dimple
        dimple -= 0.3 * np.exp(-((distance / (0.16 * radius)) ** 2))
    return dimple


def _sickle(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return the thickness and mask of a bent cell with two pointed ends."""
    along, across = turned_coordinates(WINDOW, rng.uniform(0, 2 * np.pi))
    half_length, half_width = rng.uniform(25, 31), rng.uniform(7.5, 11.5)
    bend = rng.uniform(0.003, 0.022)
    across = across - bend * (along**2 - half_length**2 / 3)
    width = half_width * np.clip(1 - (along / half_length) ** 2, 0, None) ** rng.uniform(0.7, 1.0)
    beyond_tip = np.clip(np.abs(along) - half_length, 0, None)
    depth = (
        (width - np.abs(across)) / np.hypot(1, 2 * bend * along)
        - 3 * beyond_tip
        - 1.5 * (width < 1.5)
    )
    thickness = soft_step(depth, 1.0) * (0.85 + 0.2 * np.clip(depth / half_width, 0, 1))
    if rng.random() < 0.4:
        thickness *= 1 - 0.3 * soft_step(depth - 0.5 * half_width, 1.5)
    return thickness, depth > 0


def _draw(name: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return the thickness as the objective shows it, and the true mask, of one cell."""
    if name == "sickled":
        thickness, mask = _sickle(rng)
    elif name == "out_of_focus" and rng.random() < 0.15:
        thickness, mask = _disc(rng, spikes=True)
    else:
        thickness, mask = _disc(rng, spikes=name == "crenated")
    blur = rng.uniform(3.2, 4.6) if name == "out_of_focus" else rng.uniform(0.7, 1.3)
    sharp = ndimage.gaussian_filter(thickness, blur)
    # Refraction darkens the rim and throws a light fringe around it.
    seen = sharp + rng.uniform(0.2, 0.4) * (sharp - ndimage.gaussian_filter(sharp, 2.6 * blur))
    return seen * rng.lognormal(0.05 if name == "out_of_focus" else 0, 0.15), mask


def _platelets(canvas: Canvas, count: int) -> np.ndarray:
    """Return the absorbance of a few granular platelets between the cells."""
    rng = canvas.rng
    absorbance = np.zeros(canvas.labels.shape)
    for _ in range(count):
        along, across = turned_coordinates(31, rng.uniform(0, np.pi))
        reach = np.hypot(along / rng.uniform(0.9, 1.5), across) / rng.uniform(3.5, 5.5)
        spot = np.exp(-(reach**4)) * (1 + 0.35 * smooth_noise((31, 31), rng, 1.2))
        place = canvas.find_place(reach < 1.3)
        if place:
            absorbance[canvas.window(*place, 31)] += rng.uniform(0.4, 0.9) * spot
    return ndimage.gaussian_filter(absorbance, 1.0)


def blood_smear(seed: int, stain: float, lamp: tuple[float, float, float]) -> Picture:
    """Simulate a smear.

    Parameters
    ----------
    seed
        Of the random numbers.
    stain
        Strength of the stain; 1 is usual.
    lamp
        Brightness of the empty background in red, green and blue, of 255.

    Returns
    -------
    Picture
        ``image`` is uint8 (Y, X, RGB).
    """
    rng = np.random.default_rng(seed)
    canvas = Canvas(SIZE, rng)
    absorbance, classes = np.zeros(canvas.labels.shape), {}
    names = [name for name, share in SHARES.items() for _ in range(round(150 * share))]
    # Sickles first: they are long, and late comers find only round gaps.
    names.sort(key=lambda name: (name != "sickled", rng.random()))
    for name in names:
        seen, mask = _draw(name, rng)
        place = canvas.find_place(mask, touching=0.3, overlap=0.05)
        if place:
            classes[canvas.add(mask, *place)] = name
            absorbance[canvas.window(*place, WINDOW)] += seen
    stain_field = stain * (1 + 0.06 * smooth_noise(absorbance.shape, rng, 90))
    platelets = _platelets(canvas, 9)
    light = [np.exp(-stain_field * (absorbance * cells + platelets * others))
             for cells, others in zip(STAIN, PLATELET_STAIN, strict=True)]  # fmt: skip
    # The objective's colour error: red and blue are a little larger and smaller than green.
    light = [
        ndimage.shift(c, s, order=1, mode="nearest")
        for c, s in zip(light, (0.4, 0, -0.4), strict=True)
    ]
    lit = canvas.crop(np.stack(light)) * illumination((SIZE, SIZE), rng, 0.2)
    dust = 1 - 0.008 * smooth_noise((SIZE, SIZE), rng, 6)
    photons = lit * dust * np.reshape(lamp, (3, 1, 1)) * 60
    image = camera(photons, rng, 1 / 60, np.uint8, read_noise=8)
    return Picture(np.moveaxis(image, 0, -1), canvas.crop(canvas.labels), classes)
