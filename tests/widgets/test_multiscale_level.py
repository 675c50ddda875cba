"""Which resolution of a multiscale image is worked on is shown and can be chosen, and the project remembers it."""

from __future__ import annotations

import numpy as np
import pytest
import zarr
from dock_helpers import press
from napari.components import ViewerModel
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_convnet.widgets.axes import file_of
from napari_convnet.widgets.image_switching import ImageSwitcher
from napari_convnet.widgets.levels import show_level
from napari_convnet.widgets.project_reader import open_project
from napari_convnet.widgets.source import find_by_id
from napari_convnet.widgets.training_data import collect_planes


def halved(pixels: np.ndarray) -> np.ndarray:
    """Return the means of 2 x 2 pixels."""
    y, x = pixels.shape[-2] // 2 * 2, pixels.shape[-1] // 2 * 2
    parts = pixels[..., :y, :x].reshape(*pixels.shape[:-2], y // 2, 2, x // 2, 2)
    return parts.mean((-3, -1)).astype(pixels.dtype)


def pyramid(shape=(200, 160), n_levels=3) -> list[np.ndarray]:
    levels = [np.random.default_rng(0).integers(0, 4000, shape).astype(np.uint16)]
    for _ in range(n_levels - 1):
        levels.append(halved(levels[-1]))
    return levels


def write(folder, levels) -> str:
    """Write levels as napari's own reader takes them: the arrays of a zarr group."""
    group = zarr.open_group(str(folder), mode="w", zarr_format=2)
    for number, level in enumerate(levels):
        array = group.create_array(
            str(number), shape=level.shape, dtype=level.dtype, chunks=level.shape
        )
        array[:] = level
    return str(folder)


def open_slide(desk, path):
    (layer,) = desk.viewer.open(path, plugin="napari")
    assert layer.multiscale
    return layer


def choose(desk, picker, number) -> None:
    """Choose a level with the keys, as a person would."""
    picker.level.setFocus()
    QTest.keyClick(picker.level, Qt.Key.Key_Home)
    for _ in range(number):
        QTest.keyClick(picker.level, Qt.Key.Key_Down)
    desk.qtbot.waitUntil(lambda: picker.level.currentIndex() == number)


def annotate(desk, dock, ndim=2):
    """Paint two strokes and pick two patches on what is chosen."""
    press(dock.task_buttons["segment"])
    tool = desk.use_tool(dock, "paint_strokes")
    for value, row in ((1, 10), (2, 30)):
        desk.choose_class(value)
        desk.stroke(tool.layer, [(*(1,) * (ndim - 2), row, 5), (*(1,) * (ndim - 2), row, 30)])
    return tool


def chosen(desk) -> list[str]:
    return [find_by_id(desk.viewer, key).name for key in desk.session.source.image_ids]


def test_the_level_is_shown_full_resolution_first(desk):
    dock = desk.open_dock("Annotate")
    level = dock.picker.level
    desk.viewer.add_image(np.zeros((50, 50)), name="plain")
    assert not level.isVisibleTo(dock)
    desk.viewer.layers.clear()
    desk.viewer.add_image(pyramid(), name="slide")
    assert level.isVisibleTo(dock)
    assert [level.itemText(k) for k in range(level.count())] == [
        "0: 200 x 160 pixels, full resolution", "1: 100 x 80 pixels, 1/2 scale", "2: 50 x 40 pixels, 1/4 scale",
    ]  # fmt: skip
    assert level.currentIndex() == 0
    assert "full resolution" in level.toolTip()
    assert annotate(desk, dock).layer.data.shape == (200, 160)


def test_another_level_is_annotated_and_trained_on_also_from_its_file(desk, tmp_path):
    levels = pyramid()
    slide = open_slide(desk, write(tmp_path / "slide.zarr", levels))
    dock = desk.open_dock("Annotate")
    choose(desk, dock.picker, 2)
    assert chosen(desk) == ["slide, level 2"]
    assert [layer.name for layer in desk.viewer.layers if layer.visible] == ["slide, level 2"]
    assert dock.picker.level.currentText() == "2: 50 x 40 pixels, 1/4 scale"
    tool = annotate(desk, dock)
    assert tool.layer.data.shape == (50, 40)
    (image,) = desk.session.project.images()
    assert (image.name, image.shape, image.source) == ("slide, level 2", (50, 40), file_of(slide))
    (opened,) = collect_planes(desk.session)
    desk.session.set_tool(None)
    desk.viewer.layers.clear()
    (closed,) = collect_planes(desk.session)
    for plane in (opened, closed):
        assert np.array_equal(plane.arrays.clean().pixels[0], levels[2])
        assert plane.painted[10, 8:28].all()


def test_the_project_opens_the_level_again(desk, tmp_path):
    open_slide(desk, write(tmp_path / "slide.zarr", pyramid()))
    dock = desk.open_dock("Annotate")
    annotate(desk, dock)
    choose(desk, dock.picker, 1)
    annotate(desk, dock)
    desk.session.set_tool(None)
    desk.viewer.layers.clear()
    full, half = desk.session.project.images()
    switcher = ImageSwitcher(desk.session)
    switcher.open(half, [full, half])
    assert chosen(desk) == ["slide, level 1"]
    assert dock.picker.level.currentIndex() == 1
    tool = desk.use_tool(dock, "paint_strokes")
    assert tool.image.image_id == half.id
    assert (tool.layer.data[10, 8:28] == 1).all()
    switcher.open(full, [full, half])  # its file is open already
    assert chosen(desk) == ["slide"]
    names = [layer.name for layer in desk.viewer.layers if layer._type_string == "image"]
    assert names == ["slide", "slide, level 1"]
    assert not desk.viewer.layers["slide, level 1"].visible


def test_a_project_is_opened_at_the_level_that_was_annotated(desk, tmp_path):
    open_slide(desk, write(tmp_path / "slide.zarr", pyramid()))
    dock = desk.open_dock("Annotate")
    choose(desk, dock.picker, 2)
    annotate(desk, dock)
    path = desk.session.project.path
    desk.session.new_project(tmp_path / "other.convnet")
    desk.viewer.layers.clear()
    open_project(desk.session, path)
    assert [layer.name for layer in desk.viewer.layers] == ["slide", "slide, level 2"]
    assert [layer.name for layer in desk.viewer.layers if layer.visible] == ["slide, level 2"]


def test_going_back_takes_the_layers_that_are_there(desk):
    desk.viewer.add_image(pyramid(), name="slide")
    picker = desk.open_dock("Annotate").picker
    for number in (1, 0, 1, 2, 0):
        choose(desk, picker, number)
    assert [layer.name for layer in desk.viewer.layers] == [
        "slide",
        "slide, level 2",
        "slide, level 1",
    ]
    assert [layer.name for layer in desk.viewer.layers if layer.visible] == ["slide"]
    choose(desk, picker, 1)
    desk.viewer.layers.remove(desk.viewer.layers["slide"])
    assert picker.level.currentText() == "1: 100 x 80 pixels, 1/2 scale"
    assert not picker.level.isEnabled()


def test_channels_change_their_level_together(desk):
    for name, colour in (("DNA", "green"), ("actin", "magenta")):
        desk.viewer.add_image(pyramid(), name=name, blending="additive", colormap=colour)
    dock = desk.open_dock("Annotate")
    choose(desk, dock.picker, 1)
    assert chosen(desk) == ["DNA, level 1", "actin, level 1"]
    assert desk.viewer.layers["actin, level 1"].colormap.name == "magenta"
    annotate(desk, dock)
    (plane,) = collect_planes(desk.session)
    assert plane.arrays.clean().pixels.shape == (2, 100, 80)


@pytest.mark.parametrize("kind", ["stack", "colours"])
def test_levels_of_stacks_and_of_colours(desk, kind):
    stack = pyramid((3, 200, 160))
    if kind == "colours":
        stack = [np.moveaxis(level, 0, -1).astype(np.uint8) for level in stack]
    layer = desk.viewer.add_image(stack, name=kind)
    if kind == "stack":
        layer.axis_labels = ("z", "y", "x")
    dock = desk.open_dock("Annotate")
    choose(desk, dock.picker, 1)
    annotate(desk, dock, layer.ndim)
    (plane,) = collect_planes(desk.session)
    expected = stack[1][1:2] if kind == "stack" else np.moveaxis(stack[1], -1, 0)
    assert np.array_equal(plane.arrays.clean().pixels, expected)


def test_a_level_covers_the_area_of_the_full_image():
    """Corners of the pixel areas, not centres of pixels, coincide, whatever the transform."""
    random = np.random.default_rng(0)
    for _ in range(30):
        shape = tuple(random.integers(20, 60, 2))
        other = tuple(int(-(-n // f)) for n, f in zip(shape, random.integers(2, 6, 2), strict=True))
        viewer = ViewerModel()
        whole = viewer.add_image(
            [np.zeros(shape), np.zeros(other)], multiscale=True, scale=random.uniform(0.1, 9, 2),
            translate=random.normal(0, 50, 2), rotate=random.uniform(0, 360), shear=[random.uniform(-0.5, 0.5)],
            units=("um", "um"),
        )  # fmt: skip
        whole.affine = np.array([[1.1, 0.2, 3], [-0.1, 0.9, -4], [0, 0, 1]])
        (level,) = show_level(viewer, [whole], 1)
        assert not level.multiscale
        assert level.units == whole.units
        for corner in ((0, 0), (0, 1), (1, 0), (1, 1)):
            here, there = (np.array(corner) * np.array(n) - 0.5 for n in (shape, other))
            np.testing.assert_allclose(
                whole.data_to_world(here), level.data_to_world(there), atol=1e-6
            )


def test_levels_are_read_when_they_are_needed(tmp_path):
    import dask.array as da

    read = []

    def note(block):
        read.append(block.shape)
        return block

    levels = [
        da.zeros((n, n), chunks=1000, dtype="u2").map_blocks(note, dtype="u2", meta=np.empty((0, 0), "u2"))
        for n in (20_000, 10_000, 5_000)
    ]  # fmt: skip
    viewer = ViewerModel()
    whole = viewer.add_image(levels, multiscale=True, contrast_limits=(0, 100))
    read.clear()
    (level,) = show_level(viewer, [whole], 1)
    level_read = sum(np.prod(shape) for shape in read)
    assert level.data is levels[1]
    assert level_read <= 10_000 * 10_000  # at most what napari draws, nothing of level 0
