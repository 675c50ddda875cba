"""Stacks: every plane is segmented, and an object keeps its number from slice to slice."""

from __future__ import annotations

import threading

import dask.array as da
import numpy as np
import pytest
from scipy import ndimage

from napari_convnet import UserError, run
from napari_convnet.images import LazyPlane, clean_image
from napari_convnet.prediction import PredictionInterrupted, segment_image, segment_stack
from napari_convnet.prediction.stacks import StackObjects
from synthetic_pictures import draw_blobs


def balls(shape=(12, 80, 90), seed=0, n=14):
    """Balls that do not touch, each a label of its own."""
    random = np.random.default_rng(seed)
    grid, labels = np.indices(shape), np.zeros(shape, int)
    for centre in random.uniform(0, shape, (200, 3)):
        radius = random.uniform(2, 7)
        ball = sum((axis - c) ** 2 for axis, c in zip(grid, centre, strict=True)) <= radius**2
        if not labels[ndimage.binary_dilation(ball, np.ones((3, 3, 3)))].any() and ball.any():
            labels[ball] = labels.max() + 1
        if labels.max() == n:
            break
    return labels


def link(labels, linked_axis=0, values=None):
    """Number a stack of labels plane by plane, where each plane begins again with 1."""
    stack = StackObjects(labels.shape, linked_axis)
    for index in np.ndindex(*labels.shape[:-2]):
        present, plane = np.unique(labels[index], return_inverse=True)
        plane = plane.reshape(labels.shape[-2:]) + (present[0] != 0)
        n = plane.max()
        stack.add(index, plane, np.r_[0, np.full(n, 2) if values is None else values[index][:n]])
    return stack


def same_objects(found, truth) -> bool:
    """Whether two label images differ in the numbers only."""
    pairs = np.unique(np.stack([found[truth > 0], truth[truth > 0]]), axis=1)
    return (found > 0).sum() == (truth > 0).sum() and pairs.shape[1] == len(
        np.unique(pairs[0])
    ) == len(np.unique(pairs[1]))


def test_objects_that_do_not_touch_are_the_connected_components_of_the_stack():
    truth = balls()
    found = link(truth)
    assert same_objects(found.objects, ndimage.label(truth > 0)[0])
    assert len(found.values) == 15


def test_objects_that_touch_stay_apart_in_every_slice():
    truth = np.zeros((6, 30, 60), int)
    truth[:, 5:25, 5:30], truth[:, 5:25, 30:55] = 1, 2
    assert ndimage.label(truth > 0)[1] == 1
    assert same_objects(link(truth).objects, truth)


def test_an_object_that_divides_gives_its_number_to_the_larger_part():
    truth = np.zeros((2, 30, 60), int)
    truth[0, 5:25, 5:55] = 1
    truth[1, 5:25, 5:40], truth[1, 5:25, 42:55] = 1, 2
    found = link(truth).objects
    assert found[1, 10, 10] == found[0, 10, 10]
    assert found[1, 10, 50] == 2


def test_neighbours_of_another_class_or_with_little_overlap_are_other_objects():
    truth = np.zeros((2, 30, 30), int)
    truth[0, 5:15, 5:15] = truth[1, 5:15, 5:15] = 1
    assert link(truth).objects.max() == 1
    assert link(truth, values={(0,): [2], (1,): [3]}).objects.max() == 2
    truth[1] = np.roll(truth[1], 7, axis=0)
    assert link(truth).objects.max() == 2


def test_in_a_film_every_frame_has_objects_of_its_own_and_depth_is_followed_at_each_time():
    truth = np.stack([balls(seed=1, n=8)] * 3)
    film = link(truth, None)
    assert len(film.values) - 1 == sum(len(np.unique(p)) - 1 for p in truth.reshape(-1, 80, 90))
    both = link(truth, 1)
    for time in range(3):
        assert same_objects(both.objects[time], truth[time])
    assert len(both.values) - 1 == 3 * 8


@pytest.fixture(scope="module")
def film():
    return np.stack([draw_blobs(seed=k)[0] for k in range(5)])


def planes(film):
    return [clean_image(frame, "YX", f"frame {k}") for k, frame in enumerate(film)]


def test_every_plane_of_a_stack_is_segmented_as_it_would_be_alone(segmenter, film):
    taken = []
    result = run(
        segment_stack(segmenter, planes(film), film.shape, take=lambda n, *_: taken.append(n))
    )
    for k, image in enumerate(planes(film)):
        alone = run(segment_image(segmenter, image))
        assert (result.classes[k] == alone.classes).all()
        assert ((result.objects[k] > 0) == (alone.objects > 0)).all()
    ids = [set(np.unique(plane)) - {0} for plane in result.objects]
    assert sum(map(len, ids)) == len(set.union(*ids)) == len(result.object_values) - 1
    assert taken == [0, 1, 2, 3, 4]


def test_a_stop_keeps_the_planes_that_are_done(segmenter, film):
    stop = threading.Event()

    def take(number, *_):
        if number == 1:
            stop.set()

    result = run(segment_stack(segmenter, planes(film), film.shape, take=take, stop=stop))
    assert result.n_planes == 2
    assert result.classes[:2].all()
    assert not result.classes[2:].any()


def test_a_plane_that_cannot_be_read_keeps_those_before(segmenter, film):
    def read(block, block_info=None):
        if block_info[0]["chunk-location"][0] == 3:
            raise OSError("disk I/O error")
        return block

    lazy = da.from_array(film, chunks=(1, 96, 96)).map_blocks(read, dtype=film.dtype)

    class Planes(list):
        def __getitem__(self, k):
            return clean_image(LazyPlane(lazy, (k,), f"frame {k}"), "YX", f"frame {k}")

    with pytest.raises(PredictionInterrupted, match="frame 3") as end:
        run(segment_stack(segmenter, Planes(range(5)), film.shape))
    assert end.value.result.n_planes == 3


def test_a_stack_whose_result_does_not_fit_is_refused(segmenter, film):
    with pytest.raises(UserError, match="1,000,000 x 96") as refused:
        next(segment_stack(segmenter, planes(film), (1_000_000, 1_000_000, 96, 96)))
    assert refused.value.code == "CN-605"
