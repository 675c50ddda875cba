"""Objects from masks: cut where they touch, filled, left out, numbered alike at any block size, and measured."""

import threading

import numpy as np
import pytest
from scipy import ndimage

from napari_convnet import UserError, run
from napari_convnet.images import LazyImage, LazyPlane, clean_image
from napari_convnet.prediction import PixelSize, measure_objects, separate_objects
from napari_convnet.separation import cut_waists, fill_holes
from napari_convnet.settings import ObjectSettings


def draw_disks(*disks, shape=(80, 120)):
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    mask = np.zeros(shape, bool)
    for row, column, radius in disks:
        mask |= (rows - row) ** 2 + (columns - column) ** 2 <= radius**2
    return mask


def n_parts(mask):
    return len(np.unique(run(cut_waists(mask)))) - 1


@pytest.mark.parametrize("distance", [18, 21, 24])
def test_touching_disks_come_apart(distance):
    mask = draw_disks((40, 40, 13), (40, 40 + distance, 13))
    assert n_parts(mask) == 2


def test_one_disk_stays_one():
    assert n_parts(draw_disks((40, 60, 25))) == 1


@pytest.mark.parametrize("angle", [0, 17, 45, 80])
def test_a_rod_of_varying_width_stays_one(angle):
    rows, columns = np.mgrid[:120, :120] - 60.0
    turn = np.radians(angle)
    along = columns * np.cos(turn) + rows * np.sin(turn)
    across = rows * np.cos(turn) - columns * np.sin(turn)
    rod = (abs(along) < 45) & (abs(across) < 5 + 0.5 * np.sin(along / 6))
    assert n_parts(rod) == 1


def test_objects_are_numbered_without_gaps_and_know_their_class():
    classes = np.full((80, 120), 1, np.uint8)
    classes[draw_disks((20, 20, 10), (60, 20, 10))] = 2
    classes[draw_disks((40, 80, 12))] = 3
    classes[5, 110] = 3
    objects, values = run(separate_objects(classes, background=1))
    assert objects.dtype == np.int32
    np.testing.assert_array_equal(values, [0, 2, 2, 3])
    for label in (1, 2, 3):
        assert (classes[objects == label] == values[label]).all()
    assert objects[5, 110] == 0  # a single pixel is no object


def test_a_hole_is_filled_but_an_object_of_another_class_in_it_stays():
    classes = np.full((60, 60), 1, np.uint8)
    classes[draw_disks((30, 30, 25), shape=(60, 60))] = 3
    classes[draw_disks((30, 30, 8), shape=(60, 60))] = 2
    classes[14, 30] = 1
    objects, values = run(separate_objects(classes, background=1))
    assert list(values) == [0, 2, 3]
    assert objects[30, 30] == 1
    assert objects[14, 30] == 2


def test_pixels_that_were_not_predicted_form_no_object():
    objects, values = run(separate_objects(np.zeros((20, 20), np.uint8), background=1))
    assert not objects.any()
    assert list(values) == [0]


def test_a_class_that_fills_the_whole_image_is_one_object():
    objects, values = run(separate_objects(np.full((30, 40), 2, np.uint8), background=1))
    assert (objects == 1).all()
    assert list(values) == [0, 2]


def random_classes(seed, shape=(210, 260), n=90):
    """Return classes 1 to 3: touching and nested disks of two classes on background."""
    random = np.random.default_rng(seed)
    classes = np.ones(shape, np.uint8)
    for value, row, column, radius in zip(
        random.integers(1, 4, n), *(random.integers(0, size, n) for size in shape),
        random.integers(2, 18, n), strict=True,
    ):  # fmt: skip
        classes[draw_disks((row, column, radius), shape=shape)] = value
    return classes


@pytest.mark.parametrize("seed", range(6))
def test_objects_do_not_depend_on_the_block_that_is_worked_on(seed):
    classes = random_classes(seed)
    whole = run(separate_objects(classes, 1, block=10_000))
    for block in np.random.default_rng(seed).integers(5, 200, 4):
        parts = run(separate_objects(classes, 1, block=int(block)))
        for found, expected in zip(parts, whole, strict=True):
            np.testing.assert_array_equal(found, expected)
    assert whole[0].max() > 5


@pytest.mark.parametrize("seed", range(3))
def test_uncut_objects_are_the_connected_areas_of_the_whole_image(seed):
    mask = random_classes(seed) == 2
    settings = ObjectSettings(touching="off", smallest_area=1, fill_holes=0)
    objects, values = run(separate_objects(mask.astype(np.uint8) + 1, 1, settings))
    np.testing.assert_array_equal(objects, ndimage.label(mask)[0])
    assert (values[1:] == 2).all()


def test_more_strength_cuts_more_and_none_at_all_where_it_is_off():
    mask = np.zeros((60, 400), bool)
    for number, distance in enumerate((7, 11, 15, 18, 22)):
        mask |= draw_disks(
            (30, 20 + 65 * number, 12), (30, 20 + 65 * number + distance, 12), shape=mask.shape
        )
    counts = [
        run(separate_objects(mask + np.uint8(1), 1, ObjectSettings(strength=s)))[0].max()
        for s in (0, 50, 100)
    ]
    off = run(separate_objects(mask + np.uint8(1), 1, ObjectSettings(touching="off")))[0].max()
    assert off == 5
    assert off < counts[0] < counts[1] < counts[2] == 9


def test_holes_up_to_the_limit_are_filled():
    classes = np.ones((60, 120), np.uint8)
    classes[draw_disks((30, 30, 25), (30, 90, 25), shape=classes.shape)] = 2
    classes[30, 20:30] = 1  # 10 pixels
    classes[29:31, 85:95] = 1  # 20 pixels
    objects, _ = run(separate_objects(classes, 1, ObjectSettings(touching="off", fill_holes=10)))
    assert (objects[30, 20:30] == 1).all()
    assert (objects[29:31, 85:95] == 0).all()


def test_what_is_open_to_the_border_is_no_hole():
    mask = np.ones((20, 20), bool)
    mask[0, 5], mask[10, 10] = False, False
    filled = fill_holes(mask, 5)
    assert not filled[0, 5]
    assert filled[10, 10]


def test_of_nested_rings_each_keeps_its_pixels_and_a_shared_hole_has_one_owner():
    classes = np.ones((80, 80), np.uint8)
    for value, radius in ((2, 35), (3, 20), (1, 5)):
        classes[draw_disks((40, 40, radius), shape=classes.shape)] = value
    objects, values = run(separate_objects(classes, 1))
    np.testing.assert_array_equal(values, [0, 2, 3])
    assert (objects[classes == 2] == 1).all()
    assert (objects[classes == 3] == 2).all()
    assert set(np.unique(objects)) == {0, 1, 2}


def test_objects_at_the_border_are_dropped_when_wished():
    classes = np.ones((80, 120), np.uint8)
    classes[draw_disks((0, 20, 10), (40, 60, 10), (79, 119, 9))] = 2
    assert run(separate_objects(classes, 1))[0].max() == 3
    objects, values = run(separate_objects(classes, 1, ObjectSettings(drop_border=True)))
    assert len(values) == 2
    assert objects[40, 60] == 1
    assert not objects[0].any()


def test_small_objects_are_left_out_and_the_numbers_close_up():
    classes = np.ones((40, 90), np.uint8)
    classes[draw_disks((5, 5, 2), (20, 40, 9), (20, 70, 9), shape=classes.shape)] = 2
    assert run(separate_objects(classes, 1, ObjectSettings(smallest_area=5)))[0].max() == 3
    objects, _ = run(separate_objects(classes, 1, ObjectSettings(smallest_area=50)))
    assert (objects[20, 40], objects[20, 70], objects[5, 5]) == (1, 2, 0)


def test_a_stop_ends_the_work():
    stop = threading.Event()
    steps = separate_objects(random_classes(0), 1, stop=stop, block=40)
    assert next(steps).total > 0
    stop.set()
    with pytest.raises(StopIteration) as ended:
        next(steps)
    assert ended.value.value is None


@pytest.mark.parametrize(
    "wrong",
    [{"strength": 101}, {"smallest_area": 0}, {"touching": "by magic"}, {"fill_holes": 2.5}],
)
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(UserError, match=next(iter(wrong))):
        ObjectSettings(**wrong)


def two_objects():
    objects = np.zeros((700, 40), np.int32)
    objects[10:14, 5:15], objects[600:610, 30] = 1, 2
    dna = np.arange(700 * 40, dtype=np.uint16).reshape(700, 40)
    return objects, np.stack([dna, np.full_like(dna, 7)])


def test_what_is_measured_of_objects_is_what_counting_gives():
    objects, pixels = two_objects()
    image = clean_image(pixels, "CYX", "two")
    table = run(
        measure_objects(
            objects,
            ["nucleus", "debris"],
            image,
            ["DNA", "DNA"],
            PixelSize(0.5, 0.25, "micrometer"),
        )
    )
    np.testing.assert_array_equal(table["label"], [1, 2])
    assert list(table["class"]) == ["nucleus", "debris"]
    np.testing.assert_array_equal(table["area_pixels"], [40, 10])
    np.testing.assert_allclose(table["y"], [11.5, 604.5])
    np.testing.assert_allclose(table["x"], [9.5, 30])
    expected = [pixels[0][objects == label].mean() for label in (1, 2)]
    np.testing.assert_allclose(table["mean DNA"], expected)
    np.testing.assert_allclose(table["mean DNA 2"], [7, 7])
    box = [table[name].tolist() for name in ("y_min", "x_min", "y_max", "x_max")]
    assert box == [[10, 600], [5, 30], [13, 609], [14, 30]]
    np.testing.assert_allclose(table["area_physical"], [5, 1.25])
    np.testing.assert_allclose(table["x_physical"], [9.5 * 0.25, 7.5])
    height = table["y_max_physical"] - table["y_min_physical"]
    np.testing.assert_allclose(height, [2, 5])
    assert set(table["unit"]) == {"micrometer"}
    assert set(table["area_unit"]) == {"micrometer^2"}


def test_invalid_pixels_do_not_count_and_lazy_images_are_measured_alike():
    objects, pixels = two_objects()
    pixels = pixels[0].astype(np.float32)
    pixels[10, 5:15] = np.nan
    image = clean_image(pixels, "YX", "gaps")
    lazy = LazyImage(((LazyPlane(pixels, (), "gaps"), "YX"),))
    for each in (image, lazy):
        mean = run(measure_objects(objects, ["a", "a"], each, ["DNA"]))["mean DNA"]
        np.testing.assert_allclose(
            mean, [np.nanmean(pixels[objects == 1]), pixels[objects == 2].mean()]
        )


class _Broken:
    """An array whose lower half cannot be read."""

    shape, dtype, ndim = (700, 40), np.dtype(np.uint16), 2

    def __getitem__(self, place):
        if place[0].stop > 512:
            raise OSError("the disk is gone")
        return np.ones(self.shape, np.uint16)[place]


def test_where_the_image_cannot_be_read_brightness_is_unknown_and_the_rest_is_there():
    objects, _ = two_objects()
    image = LazyImage(((LazyPlane(_Broken(), (), "broken"), "YX"),))
    table = run(measure_objects(objects, ["a", "a"], image, ["DNA"]))
    assert table["mean DNA"][0] == 1
    assert np.isnan(table["mean DNA"][1])
    np.testing.assert_array_equal(table["area_pixels"], [40, 10])


def test_without_objects_the_table_has_its_columns_and_no_row():
    empty = np.zeros((30, 30), np.int32)
    image = clean_image(np.ones((30, 30), np.uint8), "YX", "empty")
    table = run(measure_objects(empty, [], image, ["DNA"]))
    assert {"label", "class", "mean DNA", "y_min", "unit"} <= table.keys()
    assert all(len(column) == 0 for column in table.values())
