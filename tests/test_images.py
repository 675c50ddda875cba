"""Whatever comes in becomes one form, and what cannot is refused with its name and the reason."""

import numpy as np
import pytest

from napari_convnet.errors import UserError
from napari_convnet.images import (
    LazyImage,
    LazyPlane,
    Normalisation,
    check_labels,
    clean_image,
    cut_patch,
    repeat_grey,
)


def refusal(action):
    with pytest.raises(UserError) as caught:
        action()
    assert len(caught.value.message) <= 300
    return caught.value


@pytest.mark.parametrize(
    "dtype", ["u1", "i1", "u2", "i2", ">u2", "u4", "u8", "i8", "f2", ">f4", "f8", "?"]
)
def test_every_real_dtype_becomes_float32_channels_first(dtype):
    source = np.arange(12).reshape(3, 4) % 2 if dtype == "?" else np.arange(12).reshape(3, 4)
    image = clean_image(source.astype(dtype), "YX")
    assert image.pixels.shape == (1, 3, 4)
    assert image.pixels.dtype == np.float32
    np.testing.assert_allclose(image.pixels[0], source, rtol=1e-3)


@pytest.mark.parametrize("dtype", ["c8", "O", "U3", [("a", "u1")]])
def test_other_dtypes_are_refused_by_name(dtype):
    error = refusal(lambda: clean_image(np.zeros((4, 4), dtype), "YX", "strange.tif"))
    assert error.code == "CN-601"
    assert "strange.tif" in error.message


def test_colour_loses_its_transparency_and_channels_stay():
    rgba = np.random.default_rng(0).integers(0, 255, (5, 6, 4), np.uint8)
    np.testing.assert_array_equal(
        clean_image(rgba, "YXC").pixels, np.moveaxis(rgba[..., :3], -1, 0)
    )
    assert clean_image(np.zeros((5, 7, 8)), "CYX").n_channels == 5


def test_axes_that_do_not_fit_are_refused():
    assert refusal(lambda: clean_image(np.zeros((2, 3, 4, 5)), "YX")).code == "CN-602"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_one_invalid_pixel_is_replaced_and_counted(value):
    source = np.arange(25.0).reshape(5, 5)
    source[2, 3] = value
    image = clean_image(source, "YX")
    assert image.n_invalid == 1
    assert image.invalid[2, 3]
    assert np.isfinite(image.pixels).all()
    assert np.isnan(source[2, 3]) or np.isinf(source[2, 3])  # the source is as it was


def test_an_image_without_a_valid_pixel_is_refused():
    assert refusal(lambda: clean_image(np.full((4, 4), np.nan), "YX", "dark")).code == "CN-603"


def test_views_of_all_layouts_work_and_are_not_written():
    source = np.random.default_rng(1).random((20, 30))
    for view in (source[::-1, ::2], np.asfortranarray(source), source.T):
        view = view.view()
        view.setflags(write=False)
        before = view.copy()
        pixels = clean_image(view, "YX").pixels
        Normalisation().apply(pixels)
        np.testing.assert_array_equal(view, before)
        np.testing.assert_allclose(pixels[0], before, rtol=1e-6)


def test_exposure_does_not_matter_when_each_image_is_normalised_by_itself():
    counts = np.random.default_rng(2).integers(0, 65535, (40, 40)).astype(np.uint16)
    bright, dim = (
        Normalisation().apply(clean_image(a, "YX").pixels) for a in (counts, counts // 327)
    )
    # Rounding to 200 grey values is all that is lost.
    np.testing.assert_allclose(bright, dim, atol=0.02)


@pytest.mark.parametrize("factor", [1e-300, 1e-12, 1.0, 1e12, 1e300])
def test_any_scale_of_intensity_fits_float32(factor):
    source = np.random.default_rng(3).random((16, 16))
    normalised = Normalisation().apply(clean_image(source * factor, "YX").pixels)
    np.testing.assert_allclose(normalised.mean(), 0, atol=1e-4)
    np.testing.assert_allclose(normalised.std(), 1, atol=1e-3)


def test_a_constant_image_becomes_zeros():
    for value in (0, 7, 65535):
        image = clean_image(np.full((9, 9), value, np.uint16), "YX")
        assert not Normalisation().apply(image.pixels).any()


def test_the_training_sets_normalisation_is_the_same_for_every_image():
    random = np.random.default_rng(4)
    images = [random.normal(50 * k, 5, (2, 30, 30)).astype(np.float32) for k in (1, 2, 3)]
    fitted = Normalisation.fit("training_set", images)
    together = np.concatenate([fitted.apply(image).reshape(2, -1) for image in images], axis=1)
    np.testing.assert_allclose(together.mean(1), 0, atol=1e-3)
    np.testing.assert_allclose(together.std(1), 1, atol=1e-3)
    assert fitted.apply(images[0]).mean() < -1  # a dim image stays dim


def test_labels_that_are_no_labels_are_refused():
    labels = np.zeros((5, 8), int)
    labels[3, 7] = -2
    assert "(3, 7)" in refusal(lambda: check_labels(labels, (5, 8), "cells")).message
    assert refusal(lambda: check_labels(np.zeros((5, 8)), (5, 8))).code == "CN-611"
    error = refusal(lambda: check_labels(np.zeros((5, 7), int), (5, 8)))
    assert error.code == "CN-613"
    assert "(5, 7)" in error.message
    assert "(5, 8)" in error.message


def test_big_endian_labels_and_masks_are_labels():
    assert check_labels(np.ones((2, 2), ">u4"), (2, 2)).dtype.isnative
    assert check_labels(np.ones((2, 2), bool), (2, 2)).all()


@pytest.mark.parametrize("size", [1, 2, 7, 8])
def test_a_patch_holds_its_centre_in_the_middle(size):
    image = np.arange(400.0).reshape(1, 20, 20)
    patch = cut_patch(image, (10, 12), size)
    assert patch.shape == (1, size, size)
    assert (
        image[0, 10, 12]
        in patch[0, (size - 1) // 2 : size // 2 + 1, (size - 1) // 2 : size // 2 + 1]
    )


def test_a_patch_beyond_the_border_repeats_it():
    image = np.arange(9.0).reshape(1, 3, 3)
    patch = cut_patch(image, (0, 0), 5)
    np.testing.assert_array_equal(patch[0, :3, :3], np.zeros((3, 3)))
    np.testing.assert_array_equal(patch[0, 2:, 2:], image[0])


def test_grey_is_shown_as_colour_only_where_three_channels_are_wanted():
    grey = clean_image(np.ones((4, 4)), "YX")
    assert repeat_grey(grey, 3).n_channels == 3
    assert repeat_grey(grey, 2).n_channels == 1


def test_percentiles_do_not_move_with_how_much_of_an_image_is_bright():
    few, many = np.full((1, 100, 100), 10, np.float32), np.full((1, 100, 100), 10, np.float32)
    few[0, :5], many[0, :60] = 200, 200
    mode = Normalisation("percentiles")
    found = [mode.apply(image) for image in (few, many)]
    assert [(float(f.min()), float(f.max())) for f in found] == [pytest.approx((-0.8, 3.2))] * 2
    by_mean = [Normalisation("per_image").apply(image) for image in (few, many)]
    assert by_mean[0].max() > 3 * by_mean[1].max()
    flat = mode.apply(np.full((1, 10, 10), 7, np.float32))
    assert (flat == 0).all()


@pytest.mark.parametrize("mode", ["per_image", "percentiles"])
def test_parts_of_a_lazy_image_are_normalised_as_the_whole(mode):
    pixels = np.random.default_rng(0).gamma(1, 100, (2, 300, 200)).astype(np.float32)
    planes = [(LazyPlane(channel, (), "film"), "YX") for channel in pixels]
    lazy = LazyImage(tuple(planes))
    rows, columns = slice(100, 200), slice(50, 90)
    part = lazy.fit(Normalisation(mode)).apply(lazy.read(rows, columns).pixels)
    whole = Normalisation(mode).apply(pixels)
    np.testing.assert_allclose(part, whole[:, rows, columns], atol=1e-5)
