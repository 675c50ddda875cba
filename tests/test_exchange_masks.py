"""Masks of other programs: COCO's run lengths and polygons, cellpose's files, and files that would run code."""

import os
import pickle  # noqa: TID251 - hostile files are made here
from pathlib import Path

import numpy as np
import pytest
import tifffile

from exchange_helpers import import_, make_project, notes_of, say
from napari_convnet.errors import UserError
from napari_convnet.exchange import ImportOptions, read_cellpose_masks
from napari_convnet.exchange.run_length import (
    LabelCanvas,
    polygon_places,
    read_runs,
    runs_of_pixels,
)

SHAPE = (9, 13)


def drawn(runs, shape=SHAPE):
    canvas = LabelCanvas(shape)
    canvas.draw_runs(runs, 1)
    return canvas.labels


# What pycocotools 2.0.11 wrote for these masks.
def holed():
    mask = np.zeros(SHAPE, np.uint8)
    mask[2:7, 3:9], mask[4, 5] = 1, 0
    return mask


def noise():
    return (np.random.default_rng(4).random(SHAPE) < 0.4).astype(np.uint8)


REFERENCES = [
    (holed, "m05400MM0330000R1"),
    (noise, "313030N1N3ON7NI002001N10N1001O5040F010O011310OL1"),
]
POLYGON = [10, 10, 60.5, 12.25, 40, 70, 5, 50]
POLYGON_RUNS = (
    "`?4^29G8H9G9K401O001O001O1O001O001O010O1O001O001O001O1O001O001O001O1O001ON2N2M3M3M4L3N2M3M3M3M3N2M3M3M3M3N2"
    "M3M3Mog1"
)


@pytest.mark.parametrize(("make", "text"), REFERENCES)
def test_compressed_runs_are_those_of_pycocotools(make, text):
    np.testing.assert_array_equal(drawn(read_runs(text, SHAPE)), make())


def test_runs_come_back():
    random = np.random.default_rng(1)
    for density in (0, 0.03, 0.5, 0.97, 1):
        mask = random.random(SHAPE) < density
        runs = runs_of_pixels(*np.nonzero(mask), SHAPE)
        assert sum(runs) == mask.size
        np.testing.assert_array_equal(drawn(read_runs(runs, SHAPE)), mask)


def test_polygon_is_nearly_that_of_pycocotools():
    shape = (90, 80)
    canvas = LabelCanvas(shape)
    canvas.draw_places(polygon_places(POLYGON, shape), 1)
    reference = drawn(read_runs(POLYGON_RUNS, shape), shape)
    both, either = (canvas.labels & reference).sum(), (canvas.labels | reference).sum()
    assert both / either > 0.97  # they count pixels that the border crosses differently


def test_polygon_outside_of_the_image_is_cut():
    assert polygon_places([-5, -5, 1e9, -5, 1e9, 1e9, -5, 1e9], SHAPE).size == 9 * 13


@pytest.fixture
def project(tmp_path):
    with make_project(tmp_path) as project:
        say(project, tmp_path)
        yield project


def cells():
    masks = np.zeros((60, 80), np.uint16)
    masks[5:15, 5:20], masks[30:40, 60:70] = 1, 2
    return masks


def seg(masks):
    """What cellpose's io.masks_flows_to_seg writes."""
    return {
        "outlines": (masks > 0).astype(np.uint16),
        "masks": masks,
        "chan_choose": [0, 0],
        "ismanual": np.zeros(2, bool),
        "filename": "/home/me/flat.tif",
        "flows": [np.zeros((1, 60, 80, 3), np.uint8), np.zeros((1, 60, 80)), [np.float32(3)]],
        "diameter": np.float64(12.5),
        "colors": np.array([[1, 2, 3], [4, 5, 6]]),
    }


def save(path, content, protocol):
    """Write an .npy file as numpy does, with any protocol of pickle."""
    array = np.array(content, dtype=object)
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
        pickle.dump(array, file, protocol=protocol)


@pytest.mark.parametrize("masks", [cells(), cells().astype(">i4"), np.asfortranarray(cells())])
def test_cellpose_masks(tmp_path, masks):
    np.save(tmp_path / "flat_seg.npy", seg(masks))
    np.testing.assert_array_equal(read_cellpose_masks(tmp_path / "flat_seg.npy"), masks)


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_cellpose_masks_of_any_age(tmp_path, protocol):
    save(tmp_path / "flat_seg.npy", seg(cells()), protocol)
    np.testing.assert_array_equal(read_cellpose_masks(tmp_path / "flat_seg.npy"), cells())


def test_plain_npy_masks(tmp_path):
    np.save(tmp_path / "flat_seg.npy", cells()[None])
    np.testing.assert_array_equal(read_cellpose_masks(tmp_path / "flat_seg.npy"), cells())


def test_cellpose_masks_become_a_label_image_and_cells_of_a_class(project, tmp_path):
    np.save(tmp_path / "flat_seg.npy", seg(cells()))
    back = import_(project, "cellpose", tmp_path / "flat_seg.npy", options=ImportOptions("a/b"))
    assert "2 cells" in back.summary
    np.testing.assert_array_equal(
        tifffile.imread(tmp_path / "flat_masks" / "flat_masks.tif"), cells()
    )
    new = {note for note in notes_of(project) if note[1] == "flat_masks"}
    assert new == {
        ("flat", "flat_masks", 1, (), (9.5, 12), "a/b", "person"),
        ("flat", "flat_masks", 2, (), (34.5, 64.5), "a/b", "person"),
    }
    back.undo(project)
    assert not {note for note in notes_of(project) if note[1] == "flat_masks"}


def test_cellpose_masks_of_an_unknown_image_become_a_label_image_only(project, tmp_path):
    np.save(tmp_path / "other_seg.npy", seg(cells()))
    before = notes_of(project)
    import_(project, "cellpose", tmp_path / "other_seg.npy")
    assert (tmp_path / "other_masks" / "other_masks.tif").is_file()
    assert notes_of(project) == before


class Runs:
    """Runs a command when it is unpickled."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def bombs(mark):
    command = f"touch {mark}"
    return {
        "os.system": Runs(os.system, command),
        "eval": Runs(eval, f"__import__('pathlib').Path({str(mark)!r}).touch()"),
        "exec": Runs(exec, f"import pathlib; pathlib.Path({str(mark)!r}).touch()"),
        "path": Runs(Path.touch, mark),
        "numpy": Runs(np.fromfile, str(mark)),
    }


@pytest.mark.parametrize("protocol", [0, 1, 2, 4, 5])
@pytest.mark.parametrize("bomb", ["os.system", "eval", "exec", "path", "numpy"])
def test_hostile_file_runs_nothing(project, tmp_path, bomb, protocol):
    mark, file = tmp_path / "mark", tmp_path / "flat_seg.npy"
    save(file, {**seg(cells()), "extra": bombs(mark)[bomb]}, protocol)
    before, files = notes_of(project), set(tmp_path.iterdir())
    with pytest.raises(UserError) as caught:
        import_(project, "cellpose", file, options=ImportOptions("a/b"))
    assert caught.value.code == "CN-657"
    assert "as TIFF" in caught.value.message
    assert len(caught.value.message) <= 300
    assert not mark.exists()
    assert set(tmp_path.iterdir()) == files
    assert notes_of(project) == before
    if bomb != "numpy":  # the test itself would notice: numpy's own reader runs it
        np.load(file, allow_pickle=True)
        assert mark.exists()


def test_hostile_array_types_are_refused(tmp_path):
    """A harmless name with arguments that numpy never writes is no array either."""
    for content in (
        Runs(np.dtype, "O"),
        {"masks": Runs(np.dtype, "O")},
        {"masks": np.array([{}, {}], object)},
        {"masks": np.zeros(3, "U4")},
        {"masks": "text"},
        {"other": cells()},
        {"masks": cells().astype(float)},
        3,
    ):
        save(tmp_path / "x_seg.npy", content, 4)
        with pytest.raises(UserError) as caught:
            read_cellpose_masks(tmp_path / "x_seg.npy")
        assert caught.value.code in ("CN-651", "CN-657")


def test_damaged_bytes_never_raise_anything_else(tmp_path):
    save(
        tmp_path / "flat_seg.npy",
        {"masks": cells()[:8, :8], "filename": "x", "flows": [1, (2, None)]},
        4,
    )
    whole = (tmp_path / "flat_seg.npy").read_bytes()
    random, codes = np.random.default_rng(0), set()
    for _ in range(600):
        damaged = bytearray(whole)
        for place in random.integers(0, len(whole), random.integers(1, 5)):
            damaged[place] = random.integers(0, 256)
        cut = int(random.integers(1, len(whole) + 1)) if random.random() < 0.3 else len(whole)
        (tmp_path / "flat_seg.npy").write_bytes(damaged[:cut])
        try:
            read_cellpose_masks(tmp_path / "flat_seg.npy")
        except UserError as refused:
            codes.add(refused.code)
    assert codes == {"CN-651", "CN-657"}
