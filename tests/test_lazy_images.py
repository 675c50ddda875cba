"""Images too large for the memory: tiles are read where they lie, and a hole in them is named."""

from __future__ import annotations

import subprocess
import sys

import dask.array as da
import numpy as np
import pytest
import zarr

from napari_convnet import UserError, run
from napari_convnet.images import LazyImage, LazyPlane, UnreadableError, clean_image, lazy_plane
from napari_convnet.prediction import (
    PredictionInterrupted,
    classify_objects,
    segment_image,
)
from synthetic_pictures import draw_blobs


def lazy(array, plane=(), axes="YX", name="slide"):
    return LazyImage(((LazyPlane(array, plane, name), axes),))


def make_zarr(path, pixels, chunks):
    array = zarr.create_array(str(path), shape=pixels.shape, chunks=chunks, dtype=pixels.dtype)
    array[:] = pixels
    return zarr.open_array(str(path), mode="r")


def raise_where(pixels, chunks, *holes):
    """A dask array whose blocks at some places cannot be read."""

    def read(block, block_info=None):
        if tuple(block_info[0]["chunk-location"]) in holes:
            raise OSError("disk I/O error")
        return block

    return da.from_array(pixels, chunks=chunks).map_blocks(read, dtype=pixels.dtype)


@pytest.mark.parametrize("chunks", [(1, 64, 64), (1, 700, 300), (1, 1000, 900)])
@pytest.mark.parametrize("make", [da.from_array, zarr.array])
def test_any_part_is_what_the_array_holds(make, chunks):
    pixels = np.random.default_rng(0).integers(0, 999, (2, 1000, 900), dtype=np.uint16)
    plane = LazyPlane(make(pixels, chunks=chunks), (1,))
    assert (np.asarray(plane) == pixels[1]).all()
    for rows, columns in ((0, 1), (5, 900)), ((690, 1000), (299, 301)), ((511, 513), (0, 900)):
        part = slice(*rows), slice(*columns)
        assert (plane.read(*part) == pixels[1][part]).all()


def test_a_lazy_image_is_segmented_as_the_same_pixels_in_memory(segmenter):
    image, _ = draw_blobs(size=300, n=60)
    image[100:103, 200] = np.nan
    whole = run(segment_image(segmenter, clean_image(image, "YX", "slide"), tile_size=64))
    array = da.from_array(np.stack([image * 0, image]), chunks=(1, 130, 70))
    found = run(segment_image(segmenter, lazy(array, (1,)), tile_size=64))
    assert (found.classes == whole.classes).all()
    assert (found.objects == whole.objects).all()
    assert found.notes == whole.notes
    assert len(found.notes) == 1
    assert "3 invalid pixels" in str(found.notes[0])


def test_a_lazy_colour_image_has_three_channels_and_says_what_it_lacks():
    pixels = np.random.default_rng(0).integers(0, 99, (50, 60, 4)).astype(np.uint32) << 20
    image = lazy(da.from_array(pixels, chunks=(20, 20, 4)), axes="YXC")
    assert image.n_channels == 3
    assert (image.read(slice(3, 9), slice(5, 7)).pixels[2] == pixels[3:9, 5:7, 2]).all()
    assert [note.text[:17] for note in image.notes] == ["its transparency ", "values above 16,7"]


@pytest.fixture(scope="module")
def strip():
    """A long image, of which only parts are looked at for its brightness."""
    return np.tile(draw_blobs(size=500, n=120)[0][:, :250], (10, 1))


def test_cells_are_classified_from_the_parts_around_them_only(classifier, strip):
    centres, labels = np.array([[30.0, 40.0], [0.0, 0.0], [4999.0, 210.5]]), np.array([1, 2, 3])
    expected = run(classify_objects(classifier, clean_image(strip, "YX"), labels, centres))
    image = lazy(raise_where(strip, 1000, (1, 0), (2, 0), (3, 0)))
    found = run(classify_objects(classifier, image, labels, centres))
    np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=1e-3)
    assert found.labels.tolist() == [1, 2, 3]


def test_cells_before_a_hole_keep_their_class(classifier, strip):
    centres = np.array([[30.0, 40.0], [60.0, 50.0], [2500.0, 100.0], [80.0, 90.0]])
    image = lazy(raise_where(strip, 1000, (2, 0)))
    with pytest.raises(PredictionInterrupted, match="rows 2,000 to 2,999, columns 0 to 249") as end:
        run(classify_objects(classifier, image, np.arange(1, 5), centres))
    assert end.value.result.labels.tolist() == [1, 2]


def check_stopped(found, whole, message):
    """Check a prediction that stopped at a hole below row 1024: what is above is there and right."""
    assert found.code == "CN-604"
    assert message in found.message
    assert "What was predicted before is kept." in found.message
    assert len(found.message) <= 300
    classes = found.result.classes
    assert (classes[:1024] == whole.classes[:1024]).mean() > 0.999
    assert not classes[2000:].any()
    assert found.result.objects[:1000].max() > 20


@pytest.fixture(scope="module")
def whole(segmenter, strip):
    return run(segment_image(segmenter, clean_image(strip, "YX")))


def test_a_chunk_that_raises_stops_the_prediction_is_named_and_the_rest_is_kept(
    segmenter, strip, whole
):
    image = lazy(raise_where(strip, 600, (3, 0)))
    with pytest.raises(PredictionInterrupted) as end:
        run(segment_image(segmenter, image))
    check_stopped(end.value, whole, "'slide' cannot be read at rows 1,800 to 2,399, columns 0 to 2")
    assert "disk I/O error" in end.value.message


@pytest.mark.parametrize("wrap", [lambda array: array, da.from_zarr], ids=["zarr", "dask"])
def test_a_store_that_vanishes_stops_the_prediction_instead_of_reading_as_zeros(
    segmenter, strip, whole, wrap, tmp_path, monkeypatch
):
    monkeypatch.setattr(
        lazy_plane, "_BYTES_KEPT", 0
    )  # else all of this small image stays in memory
    array = make_zarr(tmp_path / "slide.zarr", strip, (1000, 250))
    steps = segment_image(segmenter, lazy(wrap(array)), tile_size=512)
    for _ in range(
        3
    ):  # its beginning, and rows 0 to 1023; the next tile reads its margin of them again
        next(steps)
    (tmp_path / "slide.zarr").rename(tmp_path / "moved.zarr")
    with pytest.raises(PredictionInterrupted) as end:
        run(steps)
    check_stopped(end.value, whole, "'slide' cannot be read at rows 0 to 999")


def test_a_chunk_of_one_value_in_a_store_that_is_there_is_no_fault(segmenter, tmp_path):
    array = make_zarr(tmp_path / "slide.zarr", np.zeros((300, 300), np.uint8), (100, 100))
    assert run(segment_image(segmenter, lazy(array))).classes.shape == (300, 300)


def test_an_image_that_cannot_be_read_at_all_is_refused_with_a_place():
    holes = [(k, 0) for k in range(3)]
    image = lazy(raise_where(np.zeros((3000, 500), np.uint8), 1000, *holes))
    with pytest.raises(UnreadableError, match="rows 0 to 999"):
        image.sample  # noqa: B018


def test_a_result_that_does_not_fit_into_memory_is_refused_before_it_begins(segmenter):
    image = lazy(da.zeros((10**6, 10**6), chunks=10_000, dtype=np.uint8))
    with pytest.raises(UserError, match="1,000,000 x 1,000,000 pixels") as refused:
        next(segment_image(segmenter, image))
    assert refused.value.code == "CN-605"
    assert len(refused.value.message) <= 300


IN_LITTLE_MEMORY = """
import collections
import dask, dask.array as da, numpy as np, psutil
from napari_convnet.images import LazyImage, LazyPlane
from napari_convnet.networks import build_network
from napari_convnet.prediction.tiles import cut_tiles

dask.config.set(scheduler="synchronous")
network = build_network("unet", 1, 2)

def measure(side, every):
    counts = collections.Counter()

    def count(block, block_info=None):
        counts[block_info[0]["chunk-location"]] += 1
        return block

    slide = da.zeros((side, side), chunks=1024, dtype=np.uint16).map_blocks(count, dtype=np.uint16)
    image = LazyImage(((LazyPlane(slide, (), "slide"), "YX"),))
    read = lambda: psutil.Process().memory_info().rss
    slide[:9, :9].compute()
    base = peak = read()
    image.sample
    peak = max(peak, read())
    sampled = len(counts)
    for tile in list(cut_tiles(image.shape, 512, network))[::every]:
        image.read(*tile.read)
        peak = max(peak, read())
    print((peak - base) // 2**20, sampled, len(counts), max(counts.values()))

measure(12_000, 1)
measure(40_000, 1000)
"""


@pytest.fixture(scope="module")
def readings():
    """Megabytes, chunks in the sample, chunks in all, and how often one was read; by two slides."""
    code = [sys.executable, "-c", IN_LITTLE_MEMORY]
    ended = subprocess.run(code, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return [[int(n) for n in line.split()] for line in ended.stdout.splitlines()]


def test_a_large_slide_is_read_in_the_memory_of_a_few_tiles(readings):
    megabytes, _, n_chunks, most_often = readings[0]
    assert n_chunks == 12**2
    assert most_often <= 5
    assert megabytes < 200, "the image has 275"


def test_the_first_tile_of_a_huge_slide_needs_a_sample_of_it_only(readings):
    megabytes, n_sampled, n_chunks, _ = readings[1]
    assert n_sampled <= 256
    assert n_chunks < 400
    assert megabytes < 200, "the image has 3,052"
