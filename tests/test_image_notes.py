"""Images that are taken although not all of them can be used: what was done is said, and nothing breaks."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from data_folders import command
from napari_convnet import run, train
from napari_convnet.images import clean_image, describe_notes, join_channels
from napari_convnet.samples import AnnotatedPixels, SegmentationSet
from napari_convnet.settings import TrainingSettings
from synthetic_pictures import BLOB_CLASSES, draw_blobs

ONE_EPOCH = TrainingSettings(epochs=1, device="cpu")
SMALL = {"width": 4, "levels": 2}


def notes_of(array, axes="YX", name="cells"):
    return describe_notes(clean_image(array, axes, name).notes)


def train_on(image, labels):
    """Train for an epoch and return the weights."""
    part = AnnotatedPixels(image, labels)
    samples = SegmentationSet.from_annotations([part], BLOB_CLASSES, patch_size=32)
    model = run(train(samples, settings=ONE_EPOCH, network_settings=SMALL))
    return samples, [w.cpu().numpy() for w in model.network.state_dict().values()]


def test_an_ordinary_image_says_nothing():
    pixels = np.random.default_rng(0).integers(0, 60_000, (20, 20, 3), dtype=np.uint16)
    assert notes_of(pixels, "YXC") == ()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_invalid_pixels_are_counted_left_out_of_the_loss_and_leave_weights_finite(value):
    image, mask = draw_blobs()
    image[5:8, 5] = value
    cleaned = clean_image(image, "YX", "cells")
    assert describe_notes(cleaned.notes) == (
        "'cells': 3 invalid pixels (NaN or infinite) were treated as background.",
    )
    samples, weights = train_on(cleaned, mask + 1)
    assert (samples.targets[0][5:8, 5] == -1).all()
    assert (samples.targets[0] == -1).sum() == 3
    assert all(np.isfinite(w).all() for w in weights)


def test_one_invalid_pixel_is_one():
    pixels = np.random.default_rng(0).normal(size=(9, 9))
    pixels[4, 4] = np.nan
    assert notes_of(pixels) == (
        "'cells': 1 invalid pixel (NaN or infinite) was treated as background.",
    )


def test_a_constant_image_is_trained_on_and_said_to_have_no_contrast():
    cleaned = clean_image(np.full((64, 64), 7, np.uint16), "YX", "flat")
    assert describe_notes(cleaned.notes) == ("'flat': no contrast, all pixels are 7.",)
    labels = np.ones((64, 64), np.uint8)
    labels[:, 32:] = 2
    _, weights = train_on(cleaned, labels)
    assert all(np.isfinite(w).all() for w in weights)


def test_a_colour_image_with_one_empty_channel_has_contrast():
    pixels = np.zeros((8, 8, 3), np.uint8)
    assert "no contrast" in notes_of(pixels, "YXC")[0]
    pixels[3, 3, 1] = 1
    assert notes_of(pixels, "YXC") == ()


@pytest.mark.parametrize("dtype", ["u4", "i4", "i8", ">u8"])
def test_whole_numbers_that_are_rounded_are_said(dtype):
    counts = np.random.default_rng(0).integers(0, 1000, (20, 20)).astype(dtype)
    assert notes_of(counts) == ()
    assert notes_of(counts << 20) == (
        "'cells': values above 16,777,216 are rounded, so neighbouring ones may become equal.",
    )


def test_transparency_is_said_to_be_left_out_where_it_shows_something():
    pixels = np.random.default_rng(0).integers(0, 256, (20, 20, 4), dtype=np.uint8)
    (note,) = notes_of(pixels, "YXC")
    assert note == "'cells': its transparency (fourth channel) was left out."
    pixels[..., 3] = 255
    assert notes_of(pixels, "YXC") == ()


def test_each_channel_is_named_and_images_with_the_same_to_say_share_a_line():
    flat = [clean_image(np.zeros((4, 4)), "YX", f"channel {k}") for k in range(3)]
    assert describe_notes(join_channels(flat).notes) == (
        "'channel 0' and 2 others: no contrast, all pixels are 0.",
    )
    different = [clean_image(np.full((4, 4), k), "YX", f"image {k}") for k in range(9)]
    lines = describe_notes(note for image in different for note in image.notes)
    assert len(lines) == 6
    assert lines[-1] == "4 more notes on other images."


def test_the_command_line_says_it_too(tmp_path):
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    image, mask = draw_blobs()
    for number in range(2):
        tifffile.imwrite(tmp_path / "labels" / f"{number}.tif", (mask + 1).astype(np.uint8))
    tifffile.imwrite(tmp_path / "images" / "0.tif", (image * 1e7).astype(np.uint32))
    image[4:6, 4:6] = np.nan
    tifffile.imwrite(tmp_path / "images" / "1.tif", image)
    data = ("--images", tmp_path / "images", "--labels", tmp_path / "labels")
    done = command(
        "train",
        "segment",
        *data,
        "-o",
        tmp_path / "m.safetensors",
        "--size",
        32,
        "--epochs",
        1,
        "--device",
        "cpu",
    )
    assert done.exit_code == 0, done.output
    assert "'0.tif': values above 16,777,216 are rounded" in done.stderr
    assert "'1.tif': 4 invalid pixels" in done.stderr
