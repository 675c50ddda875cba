"""Filter features: the same for a tile as for the whole, for any channels, and for any exposure."""

from __future__ import annotations

import numpy as np
import pytest

from napari_convnet.images import CleanImage, LazyImage, LazyPlane
from napari_convnet.instant import compute_features, measure_scale
from napari_convnet.instant.features import HALO, PER_CHANNEL, read_features
from napari_convnet.sample_data import read_sample


def in_memory(pixels: np.ndarray) -> CleanImage:
    return CleanImage(np.asarray(pixels, np.float32), None, "image")


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    """Two channels, of sides that no tile divides."""
    return np.random.default_rng(0).gamma(2, 100, (2, 301, 423)).astype(np.float32)


@pytest.mark.parametrize("step", [1, 2, 4])
def test_a_tile_has_the_features_of_the_whole(pixels, step):
    image = in_memory(pixels)
    scale = measure_scale(image)
    whole = compute_features(scale.apply(pixels), step=step)
    side = 100
    for row in range(0, 301, side):
        for column in range(0, 423, side):
            rows, columns = slice(row, min(row + side, 301)), slice(column, min(column + side, 423))
            tile = read_features(image, scale, rows, columns, step)
            same = whole[row // step :, column // step :][: tile.shape[0], : tile.shape[1]]
            np.testing.assert_allclose(tile, same, atol=1e-4)


def test_the_halo_is_no_larger_than_it_must_be(pixels):
    scale = measure_scale(in_memory(pixels))
    normal = scale.apply(pixels)
    middle = (slice(130, 140), slice(130, 140))
    wide = tuple(slice(s.start - HALO, s.stop + HALO) for s in middle)
    inner = tuple(slice(HALO, HALO + 10) for _ in middle)
    exact = compute_features(normal, middle)
    np.testing.assert_allclose(
        compute_features(normal[(slice(None), *wide)], inner), exact, atol=1e-4
    )
    narrow = tuple(slice(s.start - HALO + 8, s.stop + HALO - 8) for s in middle)
    inner = tuple(slice(HALO - 8, HALO + 2) for _ in middle)
    assert np.abs(compute_features(normal[(slice(None), *narrow)], inner) - exact).max() > 1e-4


def test_every_channel_adds_its_features(pixels):
    both, second = compute_features(pixels), compute_features(pixels[1:])
    assert both.shape == (301, 423, 2 * PER_CHANNEL)
    assert both.dtype == np.float32
    np.testing.assert_array_equal(both[..., PER_CHANNEL:], second)


def test_exposure_changes_nothing(pixels):
    brighter = 7 * pixels + 1000
    features = [
        compute_features(measure_scale(in_memory(each)).apply(each)) for each in (pixels, brighter)
    ]
    np.testing.assert_allclose(features[0], features[1], atol=1e-3)


def test_features_of_squares_stand_for_those_of_their_pixels():
    image = in_memory(read_sample("nuclei_1").image[:1])
    scale = measure_scale(image)
    fine, coarse = (read_features(image, scale, slice(0, 256), slice(0, 256), s) for s in (1, 2))
    means = fine.reshape(128, 2, 128, 2, -1).mean(axis=(1, 3))
    for k in range(PER_CHANNEL):
        assert np.corrcoef(means[..., k].ravel(), coarse[..., k].ravel())[0, 1] > 0.8, k


@pytest.mark.parametrize("value", [0, 700])
def test_an_image_without_contrast_has_features_without_meaning(value):
    flat = np.full((1, 40, 40), value, np.float32)
    assert not compute_features(measure_scale(in_memory(flat)).apply(flat)).any()


def test_a_large_image_is_measured_by_a_sample_that_stays_the_same():
    read = []

    class Slide:
        shape, dtype, ndim = (20_000, 20_000), np.dtype(np.uint16), 2

        def __getitem__(self, index):
            read.append(index)
            rows, columns = index
            return (
                np.add.outer(
                    np.arange(rows.start, rows.stop), np.arange(columns.start, columns.stop)
                )
                // 2
            )

    image = LazyImage(((LazyPlane(Slide(), (), "slide"), "YX"),))
    scale = measure_scale(image)
    assert scale.low[0] < 2000
    assert scale.high[0] > 18_000
    assert sum((r.stop - r.start) * (c.stop - c.start) for r, c in read) < 0.05 * 20_000**2
