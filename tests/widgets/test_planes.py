"""Planes of an image, read one after the other; those before one that cannot be read are kept."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from napari_convnet.images import UnreadableError
from napari_convnet.progress import Progress
from napari_convnet.widgets.planes import in_blocks, planes_of
from napari_convnet.widgets.source import Source
from napari_convnet.widgets.triton_guard import keep_triton_out
from training_helpers import listen


class OnServer:
    """A lazy stack whose planes from ``first_lost`` on cannot be read."""

    ndim, shape, dtype = 3, (150, 8, 9), np.dtype(np.uint8)

    def __init__(self, first_lost: int) -> None:
        self.first_lost = first_lost

    def __getitem__(self, index):
        first = index[0] if isinstance(index, tuple) else index
        if isinstance(first, int | np.integer) and first >= self.first_lost:
            raise OSError("the server is gone")
        return np.zeros((150, 8, 9), np.uint8)[index]


def mean_steps(part):
    found = []
    for number, image in enumerate(part, start=1):
        found.append(image.pixels.mean())
        yield Progress(done=number, total=len(part), text="")
    return found


def test_planes_are_counted_through_all_blocks_and_a_stop_keeps_what_is_done(viewer):
    layer = viewer.add_image(np.arange(150 * 72).reshape(150, 8, 9), axis_labels=("z", "y", "x"))
    planes = planes_of(viewer, Source((str(layer.unique_id),)))
    assert planes.axis_names == ("z", "y", "x")
    assert len(planes) == 150
    events, (results, problem) = listen(in_blocks(planes, mean_steps, threading.Event()))
    assert [event.done for event in events] == list(range(1, 151))
    assert events[-1].text == "plane 150 of 150"
    assert np.allclose(np.concatenate(results), layer.data.mean((1, 2)))
    assert problem == ""
    stop = threading.Event()
    stop.set()
    _, (results, _) = listen(in_blocks(planes, mean_steps, stop))
    assert len(results) == 1


def test_planes_before_an_unreadable_one_are_kept_and_the_problem_is_said(viewer):
    keep_triton_out()  # as every job does before torch is imported
    layer = viewer.add_image(np.zeros((150, 8, 9), np.uint8), name="stack")
    planes = planes_of(viewer, Source((str(layer.unique_id),)))
    for first_lost, n_kept in ((140, 128), (3, 0)):
        planes.channels = ((OnServer(first_lost), "YX", "stack"),)
        steps = in_blocks(planes, mean_steps, threading.Event())
        if not n_kept:
            with pytest.raises(UnreadableError, match="plane 3"):
                listen(steps)
            continue
        _, (results, problem) = listen(steps)
        assert sum(map(len, results)) == n_kept
        assert "plane 140' cannot be read" in problem
        assert "predicted before is kept" in problem
