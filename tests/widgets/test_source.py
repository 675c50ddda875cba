"""Which layers are worked on, and their pixels as a worker gets them."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_convnet.errors import UserError
from napari_convnet.widgets.layers import layer_id
from napari_convnet.widgets.source import Source, copy_plane
from napari_convnet.widgets.source_picker import SourcePicker


@pytest.fixture
def picker(viewer, qtbot):
    picker = SourcePicker(viewer)
    qtbot.addWidget(picker)
    yield picker
    picker.release()


def names(viewer, source: Source) -> list[str]:
    return [layer.name for layer in viewer.layers if layer_id(layer) in source.image_ids]


def test_channels_that_came_together_are_ticked_and_their_cells_chosen(viewer, picker):
    viewer.open_sample("napari-convnet", "nuclei-1")
    assert names(viewer, picker.value()) == ["DNA", "marker"]
    assert picker.cells.currentText() == "cells"
    arrays = copy_plane(viewer, picker.value())
    assert arrays.channel_names == ("DNA", "marker")
    assert arrays.clean().pixels.shape == (2, *viewer.layers["DNA"].data.shape)


def test_a_second_image_of_the_same_kind_is_not_taken_for_channels(viewer, picker):
    for key in ("nuclei-1", "nuclei-2"):
        viewer.open_sample("napari-convnet", key)
    assert names(viewer, picker.value()) == ["DNA", "marker"]
    picker.images.itemClicked.emit(picker.images.item(2))
    assert names(viewer, picker.value()) == ["DNA [1]", "marker [1]"]
    assert picker.cells.currentText() == "cells [1]"


def test_ticking_an_image_of_another_shape_lets_go_of_the_first(viewer, picker):
    viewer.add_image(np.zeros((32, 32)), name="small")
    viewer.add_labels(np.zeros((32, 32), int), name="small cells")
    viewer.add_image(np.zeros((48, 48)), name="large")
    viewer.add_labels(np.zeros((48, 48), int), name="large cells")
    assert names(viewer, picker.value()) == ["small"]
    assert picker.cells.currentText() == "small cells"
    picker.images.item(1).setCheckState(Qt.CheckState.Checked)
    assert names(viewer, picker.value()) == ["large"]
    assert picker.cells.currentText() == "large cells"


def test_renamed_and_reordered_layers_stay_chosen_and_removed_ones_go(viewer, picker):
    image = viewer.add_image(np.zeros((32, 32)), name="image")
    viewer.add_image(np.zeros((48, 48)), name="other")
    before = picker.value()
    image.name = "renamed"
    assert picker.images.item(0).text() == "renamed"
    viewer.layers.move(0, 2)
    assert picker.value() == before
    viewer.layers.remove(image)
    assert names(viewer, picker.value()) == ["other"]


def test_our_own_result_layers_are_not_offered_as_cells(viewer, picker):
    viewer.add_image(np.zeros((32, 32)), name="image")
    mark = {"napari_convnet": {"kind": "predicted-classes", "source": "x"}}
    viewer.add_labels(np.zeros((32, 32), int), name="predicted", metadata=mark)
    assert picker.cells.count() == 1


def test_a_worker_gets_copies_of_the_plane_that_is_shown(viewer, picker):
    stack = np.random.default_rng(0).random((5, 20, 30)).astype(np.float32)
    layer = viewer.add_image(stack, name="stack", scale=(3.0, 0.5, 0.5))
    viewer.dims.set_point(0, 6.0)
    arrays = copy_plane(viewer, picker.value())
    assert arrays.plane == (2,)
    assert np.array_equal(arrays.channels[0][0], stack[2])
    layer.data[2] = 0
    assert arrays.channels[0][0].any()


def test_a_multiscale_image_is_read_at_full_resolution(viewer, picker):
    full = np.random.default_rng(0).random((64, 64)).astype(np.float32)
    viewer.add_image([full, full[::2, ::2]], name="pyramid", multiscale=True)
    assert copy_plane(viewer, picker.value()).shape == (64, 64)


@pytest.mark.parametrize(
    ("source", "code"), [(Source(), "CN-404"), (Source(("gone",)), "CN-401")], ids=["none", "gone"]
)
def test_missing_layers_are_refused(viewer, source, code):
    with pytest.raises(UserError) as caught:
        copy_plane(viewer, source)
    assert caught.value.code == code
