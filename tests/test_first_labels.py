"""A first label layer: cells of known pictures are found, whatever the picture's form, and bad ones refused."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest

import napari_convnet.first_labels.tiles as tiles
from napari_convnet.errors import UserError
from napari_convnet.first_labels import (
    find_cells,
    label_image,
    measure_level,
    read_block,
    sample_image,
    suggest_settings,
)
from napari_convnet.progress import run
from napari_convnet.sample_data import read_sample
from napari_convnet.scores import match_objects


def discs(shape=(300, 400), radius=12, step=40, contrast=100, seed=0) -> tuple:
    """Return noise with discs, some of which touch, and their labels."""
    rng = np.random.default_rng(seed)
    labels = np.zeros(shape, np.int32)
    y, x = np.mgrid[: shape[0], : shape[1]]
    n = 0
    for cy in range(step // 2, shape[0] - radius, step):
        for cx in range(step // 2, shape[1] - radius, step):
            n += 1
            shift = (2 * radius - step) * (n % 2)  # every second one touches its left neighbour
            labels[(y - cy) ** 2 + (x - cx - shift) ** 2 <= radius**2] = n
    return 50 + contrast * (labels > 0) + rng.normal(0, 8, shape), labels


def find(image, is_colour=False, region=(), **changes):
    sample = sample_image(image, region, is_colour, "image")
    settings = replace(suggest_settings(sample), **changes)
    everything = (*region, slice(None), slice(None))
    pixels = read_block(image, everything, is_colour, "image")
    return find_cells(pixels, settings, measure_level(sample, settings)), settings


def f1(truth, found) -> float:
    m = match_objects(truth, found)
    return 2 * m.true_positives / (2 * m.true_positives + m.false_positives + m.false_negatives)


@pytest.mark.parametrize("contrast", [100, -40])
def test_bright_and_dark_discs_are_found_and_measured(contrast):
    image, truth = discs(contrast=contrast)
    labels, settings = find(image)
    assert settings.are_bright == (contrast > 0)
    assert settings.diameter == pytest.approx(24, abs=3)
    assert labels.dtype == np.int32
    assert labels.max() == len(np.unique(labels)) - 1
    assert f1(truth, labels) > 0.97


@pytest.mark.parametrize("dtype", ["uint8", ">u2", "int16", "float64", "bool"])
def test_the_type_of_the_pixels_makes_no_difference(dtype):
    image, truth = discs()
    image = image > 100 if dtype == "bool" else image.clip(0, 255).astype(dtype)
    labels, _ = find(image)
    assert f1(truth, labels) > 0.95


def test_rings_are_filled_and_background_that_changes_is_no_cell():
    image, truth = discs(contrast=-40)
    _y, x = np.mgrid[: image.shape[0], : image.shape[1]]
    image = image + 0.1 * x
    inner, _ = discs(radius=5, contrast=30)
    image[truth > 0] += (inner - 50)[truth > 0] * 0.5
    labels, _ = find(image, are_bright=False, diameter=24.0)
    assert f1(truth, labels) > 0.9


def test_more_sensitivity_finds_more():
    image, _ = discs()
    counts = [np.count_nonzero(find(image, sensitivity=s)[0]) for s in (10, 50, 90)]
    assert counts[0] < counts[1] < counts[2]


def test_a_larger_diameter_cuts_less():
    image, _ = discs()
    assert find(image, diameter=150.0)[0].max() < find(image, diameter=24.0)[0].max()


def test_colour_is_used_where_the_contrast_is():
    image, truth = discs()
    colour = np.random.default_rng(1).normal(80, 3, (*image.shape, 3))
    colour[..., 2] = image
    colour = colour.clip(0, 255).astype(np.uint8)
    assert f1(truth, find(colour, is_colour=True)[0]) > 0.95
    with_alpha = np.dstack([colour, np.full(image.shape, 255, np.uint8)])
    assert f1(truth, find(with_alpha, is_colour=True)[0]) > 0.95
    sample = sample_image(colour, (), True, "image")
    assert suggest_settings(sample, "blue").weights == (0.0, 0.0, 1.0)


def test_a_volume_is_one_piece_and_planes_are_not():
    sample = read_sample("nuclei_stack")
    volume = (slice(None),)
    labels, settings = find(sample.image, region=volume, z_step=sample.scale[0] / sample.scale[1])
    assert labels.shape == sample.image.shape
    assert f1(sample.labels, labels) > 0.8
    level = measure_level(sample_image(sample.image, (0,), False, "image"), settings)
    steps = label_image(sample.image, [(0,), (2,)], settings, level, "stack", threading.Event())
    planes = run(steps)
    assert not planes[1].any()
    both = np.intersect1d(planes[0], planes[2])
    assert both.tolist() == [0]


def test_tiles_find_what_one_piece_finds(monkeypatch):
    image, _ = discs((500, 700))
    sample = sample_image(image, (), False, "image")
    settings = suggest_settings(sample)
    level = measure_level(sample, settings)
    whole = find_cells(read_block(image, (slice(None),) * 2, False, "image"), settings, level)
    monkeypatch.setattr(tiles, "_TILE_VOXELS", 150**2)
    tiled = run(label_image(image, [()], settings, level, "image", threading.Event()))
    assert tiled.max() == len(np.unique(tiled)) - 1
    assert f1(whole, tiled) == 1.0


def test_a_stop_ends_it():
    image, _ = discs()
    sample = sample_image(image, (), False, "image")
    settings = suggest_settings(sample)
    stop = threading.Event()
    steps = label_image(image, [()], settings, measure_level(sample, settings), "image", stop)
    next(steps)
    stop.set()
    assert run(steps) is None


def test_gaps_are_no_cells():
    image, truth = discs()
    image[40:60, 50:90] = np.nan
    image[0, 0], image[0, 1] = np.inf, -np.inf
    labels, _ = find(image)
    assert f1(truth, labels) > 0.9


@pytest.mark.parametrize(
    ("image", "code"),
    [
        (np.full((50, 50), 7, np.uint8), "CN-614"),
        (np.zeros((1, 1)), "CN-614"),
        (np.full((20, 20), np.nan), "CN-603"),
        (np.zeros((20, 20), complex), "CN-601"),
    ],
)
def test_images_without_cells_are_refused(image, code):
    with pytest.raises(UserError) as refusal:
        sample_image(image, (), False, "dull.tif")
    assert refusal.value.code == code
    assert "dull.tif" in refusal.value.message


@pytest.mark.parametrize("shape", [(1, 2), (3, 200), (2, 2), (7, 7)])
def test_tiny_images_do_not_break_it(shape):
    image = np.random.default_rng(0).integers(0, 255, shape)
    labels, _ = find(image)
    assert labels.shape == shape


def test_the_blood_smear_is_found_with_the_suggested_settings():
    sample = read_sample("blood_smear_1")
    labels, settings = find(sample.image, is_colour=True)
    assert not settings.are_bright
    assert f1(sample.labels, labels) > 0.9
