"""Fluorescent nuclei: two-channel fields with dividing and dying cells, and a small z-stack."""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from simulated_microscope import (
    MARGIN,
    Canvas,
    Picture,
    camera,
    illumination,
    smooth_noise,
    soft_step,
    turned_coordinates,
)

SIZE = 512
WINDOW = 75
SHARES = {"interphase": 0.46, "mitotic": 0.28, "apoptotic": 0.26}


def _interphase(rng: np.random.Generator) -> np.ndarray:
    """Return the DNA of an oval nucleus with chromatin grain and one to three nucleoli."""
    along, across = turned_coordinates(WINDOW, rng.uniform(0, np.pi))
    stretch = np.sqrt(rng.uniform(1.05, 1.7))
    radius = np.hypot(along / stretch, across * stretch)
    angle = np.arctan2(across, along)
    outline = rng.uniform(10.0, 14.8)
    for wave in (2, 3, 4):
        outline = outline * (1 + rng.normal(0, 0.025) * np.cos(wave * angle + rng.uniform(0, 6.28)))
    inside = soft_step(outline - radius, 1.0)
    grain = 1 + 0.11 * smooth_noise((WINDOW, WINDOW), rng, 1.6)
    for _ in range(rng.integers(1, 4)):
        y, x = rng.normal(0, 3.5, 2)
        apart = np.hypot(along - x, across - y)
        grain *= 1 - rng.uniform(0.2, 0.45) * np.exp(-((apart / rng.uniform(1.8, 3.2)) ** 2))
    return inside * np.clip(grain, 0.2, None)


def _plate(
    along: np.ndarray, across: np.ndarray, half_length: float, half_width: float,
    rng: np.random.Generator,
) -> np.ndarray:  # fmt: skip
    """Return a bar of condensed chromosomes with ragged edges."""
    ragged = 1 + 0.16 * smooth_noise(along.shape, rng, 1.8)
    reach = (np.abs(along / half_length) ** 3 + np.abs(across / half_width) ** 3) ** (1 / 3)
    return soft_step((ragged - reach) * half_width, 1.2)


def _mitotic(rng: np.random.Generator) -> np.ndarray:
    """Return the DNA of a metaphase plate, an anaphase pair or a prometaphase rosette."""
    along, across = turned_coordinates(WINDOW, rng.uniform(0, np.pi))
    stage = rng.choice(["metaphase", "anaphase", "prometaphase"], p=[0.4, 0.35, 0.25])
    if stage == "metaphase":
        dna = _plate(along, across, rng.uniform(13, 17.5), rng.uniform(5.5, 7.5), rng)
    elif stage == "anaphase":
        apart, bend = rng.uniform(5.5, 8.5), rng.uniform(0.0, 0.012)
        length, width = rng.uniform(11, 14), rng.uniform(4, 5.2)
        dna = _plate(along, across - apart + bend * along**2, length, width, rng)
        dna = dna + _plate(along, across + apart - bend * along**2, length, width, rng)
    else:
        radius = np.hypot(along, across)
        outline = rng.uniform(10, 14) * (1 + 0.13 * smooth_noise(along.shape, rng, 2.0))
        hole = rng.uniform(2.0, 4.0)
        dna = soft_step(outline - radius, 1.2) * (0.25 + 0.75 * soft_step(radius - hole, 1.2))
        dna *= np.clip(1 + 0.3 * smooth_noise(dna.shape, rng, 1.5), 0.2, None)
    return dna * np.clip(1 + 0.18 * smooth_noise(dna.shape, rng, 1.1), 0.3, None)


def _apoptotic(rng: np.random.Generator) -> np.ndarray:
    """Return the DNA of a nucleus fallen into four to eight smooth, condensed balls."""
    y, x = np.mgrid[:WINDOW, :WINDOW] - WINDOW // 2
    dna, balls = np.zeros((WINDOW, WINDOW)), []
    for ball in range(rng.integers(4, 9)):
        radius = rng.uniform(5.5, 8.0) if ball == 0 else rng.uniform(1.8, 5.2)
        for _ in range(40):
            distance, angle = rng.uniform(0, 5 if ball == 0 else 13), rng.uniform(0, 2 * np.pi)
            ball_y, ball_x = distance * np.sin(angle), distance * np.cos(angle)
            if all(np.hypot(ball_y - b, ball_x - a) > 0.78 * (radius + r) for b, a, r in balls):
                balls.append((ball_y, ball_x, radius))
                apart = np.hypot(y - ball_y, (x - ball_x) * rng.uniform(0.85, 1.15)) / radius
                dome = 0.4 + 0.6 * np.sqrt(np.clip(1 - apart**2, 0, 1))
                dna = np.maximum(
                    dna, rng.uniform(0.5, 1.3) * soft_step((1 - apart) * radius, 0.9) * dome
                )
                break
    return dna


def _marker(dna: np.ndarray, name: str, rng: np.random.Generator) -> np.ndarray:
    """Return the second stain: a protein of the cell's body, partly kept out of the nucleus."""
    reach = {"interphase": 7.0, "mitotic": 6.0, "apoptotic": 3.5}[name] * rng.uniform(0.7, 1.4)
    distance = ndimage.distance_transform_edt(ndimage.gaussian_filter(dna, 2) < 0.15)
    body = soft_step(reach - distance + 2 * smooth_noise(dna.shape, rng, 7), 2.5)
    grain = np.clip(1 + 0.15 * smooth_noise(dna.shape, rng, 1.5), 0, None)
    kept_out = rng.uniform(0.0, 0.2) if name == "mitotic" else rng.uniform(0.5, 0.85)
    return body * grain * (1 - kept_out * np.clip(dna / dna.max() * 1.3, 0, 1))


_DRAW = {"interphase": _interphase, "mitotic": _mitotic, "apoptotic": _apoptotic}


def _paint_cells(canvas: Canvas, count: int) -> tuple[np.ndarray, dict[int, str]]:
    """Place nuclei; return their light (marker last) and the class of every label."""
    rng = canvas.rng
    light, classes = np.zeros((2, *canvas.labels.shape)), {}
    names = [name for name, share in SHARES.items() for _ in range(round(count * share))]
    for name in rng.permutation(names):
        dna = _DRAW[name](rng)
        seen = ndimage.gaussian_filter(dna, 1.3)  # the outline that a person would draw
        mask = ndimage.binary_fill_holes(seen > 0.35 * np.percentile(dna[dna > 0.3], 60))
        place = canvas.find_place(mask, touching=0.15, overlap=0.02, gap=9)
        if place is None:
            continue
        classes[canvas.add(mask, *place)] = str(name)
        # Staining and depth differ manyfold from nucleus to nucleus, whatever its state.
        marker = _marker(dna, name, rng)
        faintest = 0.28 if name == "interphase" else 0.5
        brightness = np.exp(rng.uniform(np.log(faintest), np.log(2.0), 2))
        window = canvas.window(*place, WINDOW)
        light[0][window] += brightness[0] * dna / dna[mask].mean()
        light[1][window] += brightness[1] * marker / marker[mask].mean()
    return light, classes


def nuclei(seed: int, haze: float) -> Picture:
    """Simulate a field of nuclei.

    Parameters
    ----------
    seed
        Of the random numbers.
    haze
        Autofluorescence of the medium, in units of a typical nucleus.

    Returns
    -------
    Picture
        ``image`` is uint16 (C, Y, X): DNA, marker.
    """
    rng = np.random.default_rng(seed)
    canvas = Canvas(SIZE, rng)
    light, classes = _paint_cells(canvas, 106)
    above = np.zeros(light.shape)  # cells far above the plane of focus
    for y, x in rng.integers(0, SIZE + 2 * MARGIN, (14, 2)):
        above[:, y, x] = rng.uniform(150, 420, 2)
    out_of_focus = ndimage.gaussian_filter(above, (0, 17, 17))
    out_of_focus += 0.16 * ndimage.gaussian_filter(light, (0, 14, 14))
    drift = np.stack([smooth_noise(light.shape[1:], rng, 60) for _ in range(2)])
    background = haze * np.clip(1 + 0.45 * drift, 0.25, None)
    seen = ndimage.gaussian_filter(light, (0, 1.0, 1.0)) + out_of_focus + background
    lit = canvas.crop(seen) * illumination((SIZE, SIZE), rng, 0.4)
    image = camera(lit * 1100 + 20, rng, 0.33, np.uint16, offset=100)
    return Picture(image, canvas.crop(canvas.labels), classes)


def nuclei_stack(seed: int) -> Picture:
    """Simulate a confocal z-stack; ``image`` is uint16 (Z, Y, X), voxels 1 x 0.25 x 0.25 um."""
    rng = np.random.default_rng(seed)
    shape, scale = (16, 128, 128), np.array([1.0, 0.25, 0.25])
    position = np.moveaxis(np.indices(shape), 0, -1) * scale
    light, labels, centres = np.zeros(shape), np.zeros(shape, np.uint16), []
    for _ in range(4000):
        centre = rng.uniform([2.0, 1.5, 1.5], np.array(shape) * scale - [2.0, 1.5, 1.5])
        if len(centres) == 17 or any(np.linalg.norm(centre - c) < 6.0 for c in centres):
            continue
        centres.append(centre)
        angle, radii = rng.uniform(0, np.pi), rng.uniform([2.2, 2.6, 3.0], [3.0, 3.4, 4.4])
        offset = position - centre
        turned = np.stack([
            offset[..., 0],
            offset[..., 1] * np.cos(angle) - offset[..., 2] * np.sin(angle),
            offset[..., 1] * np.sin(angle) + offset[..., 2] * np.cos(angle),
        ], axis=-1)  # fmt: skip
        inside = (((turned / radii) ** 2).sum(-1) < 1) & (labels == 0)
        labels[inside] = len(centres)
        grain = np.clip(1 + 0.35 * smooth_noise(shape, rng, (0.5, 2, 2)), 0.2, None)
        light += rng.uniform(0.35, 1.2) * inside * grain
    # The focus is some four times longer than wide, and the light fades with depth.
    seen = ndimage.gaussian_filter(light, (1.2, 1.2, 1.2)) + 0.12 * ndimage.gaussian_filter(
        light, (3, 6, 6)
    )
    seen *= np.exp(-0.05 * np.arange(shape[0])).reshape(-1, 1, 1)
    image = camera(seen * 220 + 25, rng, 1.0, np.uint16, offset=100)
    return Picture(image, labels)
