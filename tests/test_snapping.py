"""A click near an object means the object."""

from __future__ import annotations

import numpy as np
import pytest

from napari_convnet.sample_data import read_sample
from napari_convnet.snapping import snap, snap_to_spot


def blob(shape=(60, 60), centre=(30, 30), radius=6, value=100.0, around=20.0):
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    inside = (rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 <= radius**2
    noise = np.random.default_rng(0).normal(0, 2, shape)
    return np.where(inside, value, around) + noise


@pytest.mark.parametrize(("value", "around"), [(100, 20), (20, 100)])
def test_a_click_beside_an_object_snaps_to_its_middle_bright_or_dark(value, around):
    image = blob(value=value, around=around)
    assert snap(image, (34, 27), 40, "object") == pytest.approx((30, 30), abs=0.5)


def test_the_nearest_of_two_objects_is_taken():
    image = np.maximum(blob(centre=(20, 20)), blob(centre=(20, 44)))
    assert snap(image, (22, 40), 40, "object") == pytest.approx((20, 44), abs=0.6)


def test_the_brightest_spot_is_found():
    image = blob()
    image[25, 33] += 400
    assert snap(image, (30, 30), 40, "brightest") == pytest.approx((25, 33), abs=1)


@pytest.mark.parametrize(
    "image",
    [np.full((50, 50), 7.0), np.full((50, 50), np.nan), np.zeros((1, 1)), np.zeros((2, 50))],
)
def test_where_nothing_is_shown_the_click_counts(image):
    for rule in ("off", "object", "brightest"):
        assert snap(image, (0, 0), 16, rule) == (0, 0)


def test_clicks_on_the_rims_of_real_looking_cells_come_nearer_to_their_middles():
    sample = read_sample("blood_smear_1")
    random = np.random.default_rng(1)
    before, after = [], []
    for label in list(sample.classes)[:60]:
        pixels = np.argwhere(sample.labels == label)
        middle, clicked = pixels.mean(0), pixels[random.integers(len(pixels))]
        found = snap(sample.image, tuple(clicked), 48, "object")
        before.append(np.hypot(*(clicked - middle)))
        after.append(np.hypot(*(np.array(found) - middle)))
    assert np.median(after) < 0.5 * np.median(before)


@pytest.mark.parametrize("centre", [(30.0, 30.0), (30.3, 29.6), (2.4, 31.8), (57.25, 30.5)])
def test_the_middle_of_a_spot_is_found_to_a_tenth_of_a_pixel(centre):
    rows, columns = np.ogrid[:60, :60]
    spot = 300 * np.exp(-((rows - centre[0]) ** 2 + (columns - centre[1]) ** 2) / (2 * 1.5**2))
    image = spot + np.random.default_rng(1).normal(100, 3, (60, 60))
    clicked = (centre[0] + 2, centre[1] - 1.5)
    assert snap_to_spot(image.astype(np.uint16), clicked, 5) == pytest.approx(centre, abs=0.1)


def test_a_spot_out_of_reach_is_not_taken_even_if_it_is_brighter():
    rows, columns = np.ogrid[:60, :60]
    image = 100 * np.exp(-((rows - 30.4) ** 2 + (columns - 30) ** 2) / 4)
    image = image + 900 * np.exp(-((rows - 30) ** 2 + (columns - 44) ** 2) / 4)
    assert snap_to_spot(image, (31, 31), 4) == pytest.approx((30.4, 30), abs=0.1)


@pytest.mark.parametrize(
    "image", [np.full((50, 50), 7.0), np.full((50, 50), np.nan), np.zeros((1, 1))]
)
def test_without_a_spot_the_click_counts(image):
    assert snap_to_spot(image, (0.2, 0.3), 4) == (0.2, 0.3)
