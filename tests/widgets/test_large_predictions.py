"""The Predict dock on large images and stacks: tiles as they come, results in a file, all planes."""

from __future__ import annotations

import re
import threading
from dataclasses import replace

import dask.array as da
import numpy as np
import pytest
import torch
from dock_helpers import press

from napari_convnet import prediction, run
from napari_convnet.images import clean_image
from napari_convnet.prediction import fitting, measure_objects, segment_image
from napari_convnet.widgets.layers import find_layer, layer_id
from napari_convnet.widgets.placement import placement_of
from synthetic_pictures import draw_blobs

PLACED = {"scale": (0.5, 0.4), "translate": (7, -3), "rotate": 20, "units": ("um", "um")}


@pytest.fixture(scope="module")
def slide():
    return draw_blobs(size=1100, n=900)[0][:, :560]


class Patient(torch.nn.Module):
    """A network that waits after two tiles until the window has shown them."""

    def __init__(self, network) -> None:
        super().__init__()
        self.network, self.n_tiles, self.is_seen = network, 0, threading.Event()
        self.multiple, self.receptive_radius = network.multiple, network.receptive_radius

    def forward(self, image):
        self.n_tiles += 1
        assert self.n_tiles < 3 or self.is_seen.wait(60)
        return self.network(image)


@pytest.fixture(scope="module")
def in_memory(segmenter, slide):
    return run(segment_image(segmenter, clean_image(slide, "YX")))


@pytest.fixture
def little_memory(monkeypatch):
    monkeypatch.setattr(fitting, "available_memory", lambda _device: 15_000_000)


def predict_dock(desk, model):
    dock = desk.open_dock("Predict")
    desk.session.set_model(model)
    return dock


def finish(desk, dock) -> None:
    desk.qtbot.waitUntil(lambda: dock.runner.state == "idle", timeout=60_000)


def growing(desk, image):
    return find_layer(desk.viewer, "growing-mask", layer_id(image))


def test_the_mask_fills_tile_by_tile_from_the_middle_of_the_view(desk, segmenter, slide):
    network = Patient(segmenter.network)
    image = desk.viewer.add_image(slide, name="slide", **PLACED)
    dock = predict_dock(desk, replace(segmenter, network=network))
    desk.viewer.scene.camera.center = image.data_to_world((900, 500))
    press(dock.predict_button)
    desk.qtbot.waitUntil(lambda: growing(desk, image) is not None, timeout=60_000)
    layer = growing(desk, image)
    full, half = (np.array(level) for level in layer.data)
    assert full[900, 500] > 0
    assert 0 < (full > 0).mean() < 0.3
    assert (half == full[::2, ::2]).all()
    assert layer.get_value(image.data_to_world((900, 500)), world=True)[1] > 0
    assert np.allclose(layer.data_to_world((5, 9)), image.data_to_world((5, 9)))
    network.is_seen.set()
    finish(desk, dock)
    assert [each.name for each in desk.viewer.layers] == ["slide", "slide mask", "slide objects"]
    assert desk.viewer.layers["slide mask"].data.all()
    assert not desk.messages


def test_an_earlier_result_is_hidden_while_a_new_one_comes_and_seen_again(desk, segmenter, slide):
    image = desk.viewer.add_image(slide, name="slide")
    dock, network = predict_dock(desk, segmenter), Patient(segmenter.network)
    press(dock.predict_button)
    finish(desk, dock)
    mask = desk.viewer.layers["slide mask"]
    desk.session.set_model(replace(segmenter, network=network))
    press(dock.predict_button)
    desk.qtbot.waitUntil(lambda: growing(desk, image) is not None, timeout=60_000)
    assert not mask.visible
    network.is_seen.set()
    finish(desk, dock)
    assert mask.visible
    assert mask in desk.viewer.layers


def test_a_result_that_does_not_fit_is_laid_over_the_image_from_a_file_beside_the_project(
    desk, segmenter, slide, in_memory, little_memory, tmp_path
):
    image = desk.viewer.add_image(da.from_array(slide, chunks=300), name="slide", **PLACED)
    dock = predict_dock(desk, segmenter)
    for _ in range(2):  # the second takes the first one's place
        press(dock.predict_button)
        finish(desk, dock)
    folders = list((tmp_path / "projects").glob("*.zarr*"))
    assert [re.sub("[0-9a-f]{8}", "ID", folder.name) for folder in folders] == [
        "slide ID mask.zarr"
    ]
    assert str(folders[0]) in dock.result.text()
    assert [each.name for each in desk.viewer.layers] == ["slide", "slide mask", "slide objects"]
    mask, objects = (desk.viewer.layers[f"slide {kind}"] for kind in ("mask", "objects"))
    assert (np.asarray(mask.data[0]) == in_memory.classes).all()
    assert ((np.asarray(objects.data[0]) > 0) == (in_memory.objects > 0)).mean() > 0.99
    assert objects.data[0][:].max() == len(dock.table.table)
    for layer in (mask, objects):
        assert layer.multiscale
        assert np.allclose(layer.extent.world, image.extent.world)
        assert placement_of(layer).units == placement_of(image).units
    other = desk.viewer.add_image(da.from_array(slide, chunks=300), name="slide", **PLACED)
    paths = {dock.runner._result_path(each, ()) for each in (image, other)}
    assert len(paths) == 2  # images of one name do not take the place of each other's masks
    desk.viewer.layers.remove(other)
    assert not desk.messages
    # Its objects are formed with the next prediction; then in memory, the layers are plain again.
    dock.objects.changed.emit()
    desk.qtbot.waitUntil(lambda: "is in a file" in dock.objects.status.text(), timeout=5_000)


def test_the_mask_so_far_is_seen_until_the_objects_are_measured(
    desk, segmenter, slide, little_memory, monkeypatch, tmp_path
):
    image = desk.viewer.add_image(da.from_array(slide, chunks=300), name="slide")
    network, is_seen = Patient(segmenter.network), threading.Event()
    dock = predict_dock(desk, replace(segmenter, network=network))

    def wait_first(*arguments, **settings):
        assert is_seen.wait(60)
        return (yield from measure_objects(*arguments, **settings))

    monkeypatch.setattr(prediction, "measure_objects", wait_first)
    press(dock.predict_button)
    desk.qtbot.waitUntil(lambda: growing(desk, image) is not None, timeout=60_000)
    layer = growing(desk, image)
    network.is_seen.set()

    def is_whole() -> bool:
        return bool(np.asarray(layer.data[0]).all())

    # The file has got its own name by then, where the layer has to look for it.
    folder = tmp_path / "projects"
    desk.qtbot.waitUntil(lambda: any(folder.glob("slide*mask.zarr")) and is_whole(), timeout=60_000)
    is_seen.set()
    finish(desk, dock)
    assert growing(desk, image) is None
    assert desk.viewer.layers["slide mask"].multiscale
    assert not desk.messages


def test_a_plane_of_a_stack_from_a_file_lies_on_its_plane(desk, segmenter, slide, little_memory):
    stack = da.stack([da.from_array(slide, chunks=300)] * 3)
    image = desk.viewer.add_image(stack, name="stack", scale=(3, 1, 1))
    desk.viewer.dims.set_current_step(0, 2)
    dock = predict_dock(desk, segmenter)
    press(dock.predict_button)
    finish(desk, dock)
    mask = desk.viewer.layers["stack mask"]
    assert mask.data[0].shape == (1, *slide.shape)
    assert np.allclose(mask.data_to_world((0, 4, 5)), image.data_to_world((2, 4, 5)))
    assert mask.get_value(image.data_to_world((2, 40, 50)), world=True) is not None


def test_results_in_memory_and_in_a_file_take_each_others_place(
    desk, segmenter, slide, monkeypatch
):
    desk.viewer.add_image(da.from_array(slide, chunks=300), name="slide")
    dock = predict_dock(desk, segmenter)
    for free, is_file in ((10**12, False), (15_000_000, True), (10**12, False)):
        monkeypatch.setattr(fitting, "available_memory", lambda _device, free=free: free)
        press(dock.predict_button)
        finish(desk, dock)
        assert [each.name for each in desk.viewer.layers] == [
            "slide",
            "slide mask",
            "slide objects",
        ]
        assert desk.viewer.layers["slide mask"].multiscale == is_file
    assert not desk.messages


def test_stop_keeps_what_is_done_in_the_file(desk, segmenter, slide, little_memory):
    desk.viewer.add_image(da.from_array(slide, chunks=300), name="slide")
    network = Patient(segmenter.network)
    dock = predict_dock(desk, replace(segmenter, network=network))
    press(dock.predict_button)
    desk.qtbot.waitUntil(lambda: dock.bar.value() > 0, timeout=60_000)
    press(dock.stop_button)
    network.is_seen.set()
    finish(desk, dock)
    done = np.asarray(desk.viewer.layers["slide mask"].data[0]) > 0
    assert 0 < done.mean() < 1
    assert len(dock.table.table) > 0


# Stacks ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cells():
    """Six slices of the same blobs."""
    return np.stack([draw_blobs(seed=3, size=96)[0]] * 6)


def predict_stack(desk, segmenter, cells, labels):
    image = desk.viewer.add_image(cells, name="cells", scale=(2, 0.5, 0.5), units=("um",) * 3)
    image.axis_labels = labels
    dock = predict_dock(desk, segmenter)
    assert not dock.planes_box.isHidden()
    dock.planes_box.click()
    assert dock.planes_box.isChecked()
    press(dock.predict_button)
    finish(desk, dock)
    return image, dock


def test_along_depth_objects_keep_their_number_and_the_table_has_one_row_each(
    desk, segmenter, cells
):
    image, dock = predict_stack(desk, segmenter, cells, ("z", "y", "x"))
    mask, objects = (desk.viewer.layers[f"cells {kind}"] for kind in ("mask", "objects"))
    assert mask.data.shape == objects.data.shape == cells.shape
    assert mask.data.all()
    assert (objects.data == objects.data[0]).all()
    table = dock.table.table
    assert len(table) == objects.data.max()
    assert (table["planes"] == 6).all()
    assert (table["pixels"] == np.bincount(objects.data.ravel())[1:]).all()
    assert (table["z_min"] == 0).all()
    assert (table["z_max"] == 5).all()
    assert "in 6 planes" in dock.result.text()
    assert np.allclose(objects.extent.world, image.extent.world)
    assert objects.features["index"].tolist() == table["index"].tolist()
    dock.go_to(3)
    assert not desk.messages


def test_in_time_every_frame_has_objects_of_its_own(desk, segmenter, cells):
    _, dock = predict_stack(desk, segmenter, cells, ("t", "y", "x"))
    objects = desk.viewer.layers["cells objects"].data
    ids = [set(np.unique(frame)) - {0} for frame in objects]
    assert sum(map(len, ids)) == len(set.union(*ids)) == len(dock.table.table)
    assert (dock.table.table["planes"] == 1).all()


def test_stop_keeps_the_planes_that_are_done(desk, segmenter, cells):
    many = np.concatenate([cells] * 10)
    image = desk.viewer.add_image(many, name="cells")
    image.axis_labels = ("z", "y", "x")
    network = Patient(segmenter.network)
    dock = predict_dock(desk, replace(segmenter, network=network))
    dock.planes_box.click()
    press(dock.predict_button)
    desk.qtbot.waitUntil(lambda: dock.bar.value() >= 100, timeout=60_000)
    press(dock.stop_button)
    network.is_seen.set()
    finish(desk, dock)
    done = desk.viewer.layers["cells mask"].data.all(axis=(1, 2))
    assert done[0]
    assert not done[-1]
    assert dock.table.n_planes == done.sum()


def test_the_box_for_planes_is_there_for_stacks_only(desk, segmenter, slide):
    desk.viewer.add_image(slide, name="slide")
    dock = predict_dock(desk, segmenter)
    assert dock.planes_box.isHidden()


def test_a_dock_that_is_closed_meanwhile_leaves_no_half_mask(desk, segmenter, slide):
    network = Patient(segmenter.network)
    image = desk.viewer.add_image(slide, name="slide")
    dock = predict_dock(desk, replace(segmenter, network=network))
    press(dock.predict_button)
    desk.qtbot.waitUntil(lambda: growing(desk, image) is not None, timeout=60_000)
    network.is_seen.set()
    desk.close_dock(dock)
    desk.wait_until_idle()
    assert growing(desk, image) is None
