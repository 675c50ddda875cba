"""Training on all images of a project, also those that are not open."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import tifffile
from dock_helpers import press

from napari_convnet.sample_data import read_sample
from napari_convnet.widgets.training_data import collect_planes


def open_file(desk, path):
    """Open an image alone in the viewer; what the tools added goes with the one before."""
    desk.session.set_tool(None)
    for layer in list(desk.viewer.layers):
        layer.locked = False
        desk.viewer.layers.remove(layer)
    return desk.viewer.open(path, plugin="napari")[0]


@pytest.fixture
def smears(desk, tmp_path):
    """Two images of cells, picked and annotated one after the other; only the second is open."""
    dock = desk.open_dock("Annotate")
    for name in ("blood_smear_1", "blood_smear_2"):
        sample = read_sample(name)
        path = tmp_path / f"{name}.tif"
        tifffile.imwrite(path, sample.image, photometric="rgb")
        open_file(desk, path)
        tool = desk.use_tool(dock, "pick_patches")
        tool.size = 40
        for value, kind in enumerate(("normal", "sickled"), start=1):
            desk.session.set_current_class(value)
            for label in [k for k, found in sample.classes.items() if found == kind][:15]:
                tool.pick_at(tuple(np.argwhere(sample.labels == label).mean(0)))
    return [tmp_path / f"blood_smear_{n}.tif" for n in (1, 2)]


def test_a_closed_image_is_read_from_its_file(desk, smears):
    planes = collect_planes(desk.session)
    assert [len(plane.values) for plane in planes] == [30, 30]
    opened, closed = (plane.arrays.clean() for plane in planes)
    assert np.array_equal(opened.pixels, np.moveaxis(read_sample("blood_smear_2").image, -1, 0))
    assert np.array_equal(closed.pixels, np.moveaxis(read_sample("blood_smear_1").image, -1, 0))


def test_images_train_together_and_the_chosen_one_is_held_out(desk, smears):
    project = desk.session.project
    project.set_split(project.images()[0].id, "validation")
    train = desk.open_dock("Train")
    train.form.epochs.setValue(3)
    desk.train(train)
    assert "30 held-out" in train.result.text()
    assert "1 images chosen by you" in train.result.text()
    project.set_split(project.images()[0].id, "test")
    (only,) = collect_planes(desk.session)
    assert np.array_equal(
        only.arrays.clean().pixels, np.moveaxis(read_sample("blood_smear_2").image, -1, 0)
    )


def test_a_file_that_is_gone_or_changed_is_said(desk, smears):
    moved = smears[0].rename(smears[0].with_name("elsewhere.tif"))
    assert len(collect_planes(desk.session)) == 1
    assert "'blood_smear_1'" in desk.messages[-1]
    pixels = tifffile.imread(moved)
    pixels[0, 0] ^= 1
    tifffile.imwrite(smears[0], pixels, photometric="rgb")
    train = desk.open_dock("Train")
    press(train.train_button)
    desk.qtbot.waitUntil(lambda: train.training.state == "idle", timeout=30_000)
    assert any("other pixels than when it was annotated" in line for line in desk.messages)
    assert train.train_button.isEnabled()


def test_strokes_on_a_closed_plane_of_a_stack_are_learned(desk, tmp_path):
    stack = np.random.default_rng(0).integers(0, 2**16, (5, 60, 70)).astype(np.uint16)
    for name in ("a", "b"):
        tifffile.imwrite(tmp_path / f"{name}.tif", stack, photometric="minisblack")
        stack = stack[::-1]
    dock = desk.open_dock("Annotate")
    press(dock.task_buttons["segment"])
    open_file(desk, tmp_path / "a.tif").axis_labels = ("z", "y", "x")
    desk.viewer.dims.set_current_step(0, 2)
    tool = desk.use_tool(dock, "paint_strokes")
    for value, row in ((1, 20), (2, 40)):
        desk.choose_class(value)
        desk.stroke(tool.layer, [(2, row, 10), (2, row, 40)])
    painted = tool.layer.data[2].copy()
    open_file(desk, tmp_path / "b.tif").axis_labels = ("z", "y", "x")
    (plane,) = collect_planes(desk.session)
    assert np.array_equal(plane.painted, painted)
    assert np.array_equal(plane.arrays.clean().pixels[0], tifffile.imread(tmp_path / "a.tif")[2])
    assert replace(plane).split == "automatic"
