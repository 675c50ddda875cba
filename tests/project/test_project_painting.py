"""Painted pixels: sparse tiles read back as the array that was painted."""

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from project_helpers import reopened

from napari_convnet.classes import make_classes


def test_painting_writes_only_the_tiles_that_changed(project, image_id):
    labels = np.zeros((600, 700), np.uint8)
    labels[10:20, 10:20] = 1
    labels[300:520, 500:520] = 2
    assert project.write_painting(image_id, (0,), labels) == 5
    assert project.write_painting(image_id, (0,), labels) == 0
    labels[15, 15] = 2
    labels[599, 699] = 1
    assert project.write_painting(image_id, (0,), labels, changed=(15, 16, 15, 16)) == 1
    assert project.write_painting(image_id, (0,), labels) == 1
    with reopened(project) as again:
        assert again.write_painting(image_id, (0,), labels) == 0
        np.testing.assert_array_equal(again.read_painting(image_id, (0,), (600, 700)), labels)
        assert not again.read_painting(image_id, (1,), (600, 700)).any()
        assert again.painted_planes(image_id) == ((0,),)


def test_an_emptied_tile_leaves_no_row(project, image_id):
    labels = np.ones((300, 300), np.uint8)
    assert project.write_painting(image_id, (), labels) == 4
    labels[:256, :256] = 0
    assert project.write_painting(image_id, (), labels) == 1
    labels[:] = 0
    assert project.write_painting(image_id, (), labels) == 3
    assert project.painted_planes(image_id) == ()


def test_a_region_is_painted_without_touching_its_surroundings(project, image_id):
    whole = np.ones((600, 700), np.uint8)
    project.write_painting(image_id, (), whole)
    region = np.full((100, 300), 2, np.uint8)
    assert project.write_painting(image_id, (), region, origin=(200, 211)) == 4
    whole[200:300, 211:511] = 2
    np.testing.assert_array_equal(project.read_painting(image_id, (), (600, 700)), whole)
    part = project.read_painting(image_id, (), (150, 90), origin=(190, 201))
    np.testing.assert_array_equal(part, whole[190:340, 201:291])


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    strokes=st.lists(
        st.tuples(
            arrays(
                np.uint8, st.tuples(st.integers(1, 300), st.integers(1, 300)), elements=st.just(0)
            )
            | st.builds(
                lambda h, w, value: np.full((h, w), value, np.uint8),
                st.integers(1, 300),
                st.integers(1, 300),
                st.integers(0, 2),
            ),
            st.tuples(st.integers(0, 300), st.integers(0, 300)),
        ),
        max_size=5,
    )
)
def test_any_strokes_read_back_as_one_array_would_hold_them(project, image_id, strokes):
    expected = np.zeros((600, 600), np.uint8)
    project.write_painting(image_id, (4,), expected)
    for stroke, (y, x) in strokes:
        expected[y : y + stroke.shape[0], x : x + stroke.shape[1]] = stroke
        project.write_painting(image_id, (4,), stroke, origin=(y, x))
    np.testing.assert_array_equal(project.read_painting(image_id, (4,), (600, 600)), expected)


def test_deleting_a_class_moves_higher_painted_values_down(project, image_id):
    project.set_classes("segment", make_classes("abc"))
    labels = np.zeros((600, 700), np.uint8)
    labels[:100], labels[300:310], labels[520:] = 1, 2, 3
    project.write_painting(image_id, (0,), labels)
    assert project.delete_class("segment", 1).count == 100 * 700
    labels = np.array([0, 0, 1, 2], np.uint8)[labels]
    np.testing.assert_array_equal(project.read_painting(image_id, (0,), (600, 700)), labels)
    assert project.write_painting(image_id, (0,), labels) == 0
    assert [info.name for info in project.classes("segment")] == ["b", "c"]
