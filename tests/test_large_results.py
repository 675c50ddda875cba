"""Results that do not fit into the memory go to a file; memory that runs out costs speed, not the result."""

from __future__ import annotations

import threading
from dataclasses import replace

import dask.array as da
import numpy as np
import pytest
import torch
import zarr

from napari_convnet import UserError, run
from napari_convnet.images import LazyImage, LazyPlane, clean_image
from napari_convnet.networks import build_network
from napari_convnet.prediction import (
    PredictionInterrupted,
    measure_objects,
    segment_image,
    segment_to_file,
    separate_objects,
)
from napari_convnet.prediction.result_file import is_result, open_levels
from napari_convnet.prediction.tiled_objects import label_blocks
from napari_convnet.prediction.tiles import cut_tiles, nearest_first, suggest_tile_size
from napari_convnet.settings import ObjectSettings
from synthetic_pictures import draw_blobs

PLAIN = ObjectSettings(touching="off", fill_holes=0)


def lazy(array, name="slide"):
    return LazyImage(((LazyPlane(array, (), name), "YX"),))


def random_map(shape=(210, 333), seed=0):
    """A class map of long and winding areas of three classes."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 4, (-(-shape[0] // 3), -(-shape[1] // 3)))
    return np.kron(coarse, np.ones((3, 3), int))[: shape[0], : shape[1]].astype(np.uint8)


# Objects across tiles ----------------------------------------------------------------------------


@pytest.mark.parametrize("block", [16, 37, 64, 500])
@pytest.mark.parametrize(
    "settings",
    [replace(PLAIN, smallest_area=1), PLAIN, replace(PLAIN, smallest_area=40, drop_border=True)],
    ids=["all", "large", "inside"],
)
def test_objects_labelled_in_blocks_are_those_of_the_whole_map(block, settings):
    classes = random_map()
    expected, values = run(separate_objects(classes, 1, settings))
    found = np.zeros(classes.shape, np.int32)

    def write(window, labels):
        found[window] = labels

    assert (run(label_blocks(classes, block, 1, settings, write)) == values).all()
    assert (found == expected).all()
    assert len(values) > 10


def test_a_spiral_through_all_blocks_is_one_object():
    classes = np.ones((120, 120), np.uint8)
    for k in range(0, 58, 4):  # rings, each open at one place to the next
        classes[k : 120 - k, k : 120 - k] = 2
        classes[k + 2 : 118 - k, k + 2 : 118 - k] = 1
        classes[k + 2 : k + 4, 60] = 2
    found = np.zeros(classes.shape, np.int32)

    def write(window, labels):
        found[window] = labels

    values = run(label_blocks(classes, 13, 1, PLAIN, write))
    assert values.tolist() == [0, 2]
    assert ((found == 1) == (classes == 2)).all()


# The file ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def slide():
    return draw_blobs(size=700, n=300)[0][:, :611]


@pytest.fixture(scope="module")
def whole(segmenter, slide):
    return run(segment_image(segmenter, lazy(da.from_array(slide)), objects=PLAIN))


def test_a_result_in_a_file_is_that_in_memory(segmenter, slide, whole, tmp_path):
    image = lazy(da.from_array(slide, chunks=200))
    path = tmp_path / "slide mask.zarr"
    found = run(segment_to_file(segmenter, image, path, tile_size=128, centre=(400, 300)))
    classes, objects = (levels[0] for levels in (found.class_levels, found.object_levels))
    assert (classes[:] == whole.classes).all()
    assert (objects[:] == whole.objects).all()
    assert (found.object_values == whole.object_values).all()
    assert found.path == path
    assert "touching objects are not cut apart" in str(found.notes[-1])
    assert [entry.name for entry in tmp_path.iterdir()] == ["slide mask.zarr"]
    names = ["blob"] * (len(found.object_values) - 1)
    table, expected = (
        run(measure_objects(labels, names, image, ["slide"])) for labels in (objects, whole.objects)
    )
    assert all((table[name] == expected[name]).all() for name in expected)


def test_every_level_shows_the_same_at_half_the_size(segmenter, tmp_path):
    pixels = np.random.default_rng(0).normal(100, 30, (1500, 1100))
    steps = segment_to_file(
        segmenter, clean_image(pixels, "YX"), tmp_path / "a.zarr", tile_size=220
    )
    found = run(steps)
    for levels in (found.class_levels, found.object_levels):
        assert [level.shape for level in levels] == [(1500, 1100), (750, 550)]
        assert (levels[1][:] == levels[0][::2, ::2]).all()
    described = zarr.open_group(tmp_path / "a.zarr" / "classes").attrs["ome"]["multiscales"][0]
    assert [entry["path"] for entry in described["datasets"]] == ["0", "1"]


def test_a_stop_at_any_tile_keeps_what_is_done(segmenter, slide, whole, tmp_path):
    stop, path = threading.Event(), tmp_path / "a.zarr"
    steps = segment_to_file(
        segmenter, lazy(da.from_array(slide)), path, tile_size=128, stop=stop, centre=(300, 300)
    )
    for _ in range(4):
        next(steps)
    stop.set()
    found = run(steps)
    classes = found.class_levels[0][:]
    done = classes > 0
    assert 0 < done.mean() < 0.5
    assert done[300, 300]
    assert (classes[done] == whole.classes[done]).all()
    assert found.object_levels[0][:].max() == len(found.object_values) - 1 > 0
    assert zarr.open_group(path).attrs["napari_convnet"]["is_complete"] is False


def test_a_hole_in_the_image_keeps_what_is_done(segmenter, slide, tmp_path):
    strip = np.tile(slide[:500, :250], (10, 1))

    def read(block, block_info=None):
        if block_info[0]["chunk-location"] == (3, 0):
            raise OSError("disk I/O error")
        return block

    image = lazy(da.from_array(strip, chunks=600).map_blocks(read, dtype=strip.dtype))
    with pytest.raises(PredictionInterrupted, match="rows 1,800 to 2,399") as end:
        run(segment_to_file(segmenter, image, tmp_path / "a.zarr", tile_size=512))
    classes = end.value.result.class_levels[0]
    assert classes[:1536].all()
    assert not classes[1800:].any()
    assert len(end.value.result.object_values) > 100


def test_the_newest_result_takes_the_place_of_the_one_before_and_of_what_a_kill_left(
    segmenter, slide, tmp_path
):
    path, image = tmp_path / "a.zarr", lazy(da.from_array(slide))
    run(segment_to_file(segmenter, image, path))
    killed = segment_to_file(segmenter, lazy(da.from_array(slide[:300])), path, tile_size=128)
    for _ in range(3):
        next(killed)
    (tmp_path / "kept").mkdir()
    (tmp_path / "a.zarr.part").rename(tmp_path / "kept" / "part")  # as if the program ended here
    killed.close()
    (tmp_path / "kept" / "part").rename(tmp_path / "a.zarr.part")
    assert open_levels(path, "classes")[0].shape == slide.shape
    run(segment_to_file(segmenter, lazy(da.from_array(slide[:300])), path))
    assert open_levels(path, "classes")[0].shape == (300, 611)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a.zarr", "kept"]


def test_what_is_no_result_of_ours_is_never_replaced(segmenter, slide, tmp_path):
    other = tmp_path / "measurements.zarr"
    zarr.create_array(str(other), shape=(5,), dtype="u1")[:] = 7
    before = sorted(other.rglob("*"))
    with pytest.raises(UserError, match=r"measurements\.zarr") as refused:
        run(segment_to_file(segmenter, lazy(da.from_array(slide)), other))
    assert refused.value.code == "CN-312"
    assert sorted(other.rglob("*")) == before
    assert not is_result(other)


def test_a_file_of_the_person_in_a_result_stays(segmenter, slide, tmp_path):
    path, image = tmp_path / "a.zarr", lazy(da.from_array(slide))
    run(segment_to_file(segmenter, image, path))
    (path / "notes.txt").write_text("mine")
    run(segment_to_file(segmenter, image, path))
    assert [p.read_text() for p in tmp_path.rglob("notes.txt")] == ["mine"]


def test_a_full_disk_is_said_and_leaves_the_older_result(segmenter, slide, tmp_path, monkeypatch):
    path, image = tmp_path / "a.zarr", lazy(da.from_array(slide))
    run(segment_to_file(segmenter, image, path))
    before = open_levels(path, "classes")[0][:]
    steps = segment_to_file(segmenter, image, path, tile_size=128)
    for _ in range(3):
        next(steps)

    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(zarr.Array, "__setitem__", refuse)
    with pytest.raises(UserError, match="No space left") as refused:
        run(steps)
    assert refused.value.code == "CN-301"
    assert (open_levels(path, "classes")[0][:] == before).all()
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.zarr"]


# Tiles -------------------------------------------------------------------------------------------


def test_tiles_around_the_view_come_first_and_all_are_written_once():
    network = build_network("unet", 1, 2, width=4, levels=2)
    shape = (500, 700)
    tiles = nearest_first(list(cut_tiles(shape, 100, network)), (260, 410), 100, network, shape)
    written = np.zeros(shape, int)
    for tile in tiles:
        written[tile.write] += 1
    assert (written == 1).all()
    rows, columns = tiles[0].write
    assert rows.start <= 260 < rows.stop
    assert columns.start <= 410 < columns.stop
    assert rows.stop - rows.start <= 28
    far = [np.hypot(t.write[0].start - 220, t.write[1].start - 360) for t in tiles]
    assert np.mean(far[:12]) < np.mean(far[12:21]) < np.mean(far[-9:])


def test_by_default_at_most_a_quarter_of_what_a_network_sees_is_margin():
    for levels in (1, 3, 4):
        network = build_network("unet", 1, 2, width=4, levels=levels)
        side = suggest_tile_size(network)
        tile = list(cut_tiles((5 * side, 5 * side), side, network))[12]
        fed = np.prod([span.stop - span.start for span in tile.read])
        assert 1 - side**2 / fed <= 0.25


# Memory that runs out ----------------------------------------------------------------------------


class Greedy(torch.nn.Module):
    """A network that needs more memory than there is for more than so many pixels."""

    def __init__(self, network, most: int, error: BaseException) -> None:
        super().__init__()
        self.network, self.most, self.error = network, most, error
        self.multiple, self.receptive_radius = network.multiple, network.receptive_radius
        self.seen: list[int] = []

    def forward(self, image):
        self.seen.append(image.shape[-1] * image.shape[-2])
        if self.seen[-1] > self.most:
            raise self.error
        return self.network(image)


ERRORS = [
    MemoryError(),
    RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried ..."),
    torch.OutOfMemoryError("CUDA out of memory."),
]


@pytest.mark.parametrize("error", ERRORS, ids=["numpy", "torch", "CUDA"])
def test_tiles_are_halved_when_memory_runs_out_and_the_result_is_the_same(
    segmenter, slide, whole, error
):
    network = Greedy(segmenter.network, 200**2, error)
    model = replace(segmenter, network=network)
    found = run(segment_image(model, lazy(da.from_array(slide)), objects=PLAIN, tile_size=512))
    assert (found.classes == whole.classes).all()
    assert (found.objects == whole.objects).all()
    assert "tiles of 128 x 128 pixels" in str(found.notes[-1])
    assert sum(n > 200**2 for n in network.seen) == 2, "asked again for what there was not"


def test_tiles_are_not_halved_for_ever(segmenter, slide):
    network = Greedy(segmenter.network, 10, MemoryError())
    with pytest.raises(MemoryError):
        run(segment_image(replace(segmenter, network=network), lazy(da.from_array(slide))))
    assert len(network.seen) <= 5


def test_other_errors_are_not_taken_for_a_lack_of_memory(segmenter, slide):
    network = Greedy(segmenter.network, 10, RuntimeError("sizes do not match"))
    with pytest.raises(RuntimeError, match="sizes"):
        run(segment_image(replace(segmenter, network=network), lazy(da.from_array(slide))))
    assert len(network.seen) == 1
