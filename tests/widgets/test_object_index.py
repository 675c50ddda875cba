"""Objects are found by label in two and three dimensions, however large their labels are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_convnet.widgets.object_index import ObjectIndex

LABELS = st.sampled_from([0, 1, 2, 7, 300, 4095])


@given(
    image=hnp.arrays(
        np.int64,
        hnp.array_shapes(min_dims=2, max_dims=3, min_side=1, max_side=6),
        elements=st.one_of(LABELS, st.sampled_from([-3, 2**31 + 5, 2**40])),
    )
)
@settings(max_examples=60, deadline=None)
def test_every_object_is_found_whole(image):
    objects = ObjectIndex.of(image)
    assert objects.labels.tolist() == sorted({v for v in image.ravel().tolist() if v > 0})
    for label in objects.labels.tolist():
        expected = np.nonzero(image == label)
        np.testing.assert_array_equal(objects.pixels(label, image), expected)
        assert objects.box(label) == tuple(slice(i.min(), i.max() + 1) for i in expected)
        assert objects.centre(label) == tuple((i.min() + i.max()) / 2 for i in expected)


@pytest.mark.parametrize("dtype", ["u1", "i2", ">u2", "u4", "i8"])
def test_any_integer_type_serves(dtype):
    image = np.zeros((4, 5), dtype)
    image[1:3, 2] = 9
    assert ObjectIndex.of(image).labels.tolist() == [9]


def test_an_image_without_objects_has_none():
    objects = ObjectIndex.of(np.zeros((3, 4), np.uint16))
    assert len(objects) == 0
    assert 1 not in objects
    with pytest.raises(KeyError):
        objects.box(1)


def test_floats_are_no_labels():
    with pytest.raises(TypeError, match="float32"):
        ObjectIndex.of(np.zeros((3, 4), np.float32))


@pytest.mark.parametrize("lowest", [0, -3])
@pytest.mark.parametrize("highest", [1200, 2_000_000])
@pytest.mark.parametrize("n_chosen", [3, 900])
def test_a_class_map_has_the_class_of_each_object_and_nothing_else(lowest, highest, n_chosen):
    random = np.random.default_rng(0)
    image = random.integers(lowest, 1100, (3, 60, 70)).astype(np.int32)
    image[0, 0, :2] = highest
    index = ObjectIndex.of(image)
    chosen = random.choice(index.labels, n_chosen, replace=False)
    values = {int(label): int(label) % 5 + 1 for label in chosen}
    expected = np.where(np.isin(image, chosen), image % 5 + 1, 0)
    np.testing.assert_array_equal(index.class_map(values, image), expected)
