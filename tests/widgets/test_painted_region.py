"""Painting on images that are larger than what is painted on at once."""

from __future__ import annotations

import numpy as np
import pytest
from dock_helpers import CONTROL, SHIFT, press
from napari.layers import Image
from qtpy.QtCore import Qt

from napari_convnet.widgets.painted_region import (
    WINDOW_SIDE,
    Region,
    find_stroke,
    region_around,
)
from napari_convnet.widgets.placement import placement_of
from napari_convnet.widgets.source import current_plane

SIDE = 20_000


@pytest.fixture
def tool(desk):
    """A brush on an image of 20,000 x 20,000 pixels of 0.5 micrometres, turned and shifted."""
    image = np.lib.stride_tricks.as_strided(np.zeros(1, np.uint8), (SIDE, SIDE), (0, 0))
    desk.viewer.add_image(
        image,
        name="slide",
        contrast_limits=(0, 1),
        scale=(0.5, 0.5),
        translate=(100, -50),
        rotate=3,
    )
    dock = desk.open_dock("Annotate")
    press(dock.task_buttons["segment"])
    return desk.use_tool(dock, "paint_strokes")


def look_at(desk, tool, row, column, zoom=2.0) -> None:
    """Move the camera and wait until the painted region has followed."""
    image = desk.viewer.layers["slide"]
    desk.viewer.scene.camera.center = (0, *image.data_to_world((row, column)))
    desk.viewer.scene.camera.zoom = zoom
    wanted = region_around((row, column), (SIDE, SIDE))
    desk.qtbot.waitUntil(
        lambda: not tool.region.is_left_by((row, column), (SIDE, SIDE)), timeout=5000
    )
    assert (
        max(abs(a - b) for a, b in zip(tool.region.origin, wanted.origin, strict=True))
        <= WINDOW_SIDE // 4
    )


def paint_at(desk, tool, row, column) -> None:
    """Paint a short stroke with the mouse at a place of the image."""
    top, left = tool.region.origin
    desk.stroke(tool.layer, [(row - top, column - left + d) for d in (0, 10, 20)])


def stored(desk, tool, row, column) -> int:
    place = desk.session.project.read_painting(tool.image.image_id, (), (1, 1), (row, column))
    return int(place[0, 0])


def test_strokes_land_where_the_mouse_was_wherever_the_view_goes(desk, tool):
    places = [(500, 600), (19_400, 700), (10_000, 19_500)]
    for row, column in places:
        look_at(desk, tool, row, column)
        assert tool.layer.data.shape == (WINDOW_SIDE, WINDOW_SIDE)
        paint_at(desk, tool, row, column)
    desk.session.save_tools()
    for row, column in places:
        assert stored(desk, tool, row, column + 10) == 1
        assert stored(desk, tool, row + 40, column + 10) == 0
    assert desk.session.class_counts()[0] < 2000
    # Back at the first place, the stroke is shown at its place in the world.
    look_at(desk, tool, *places[0])
    image, top_left = desk.viewer.layers["slide"], tool.region.origin
    row, column = places[0]
    inside = (row - top_left[0], column + 10 - top_left[1])
    assert tool.layer.data[inside] == 1
    assert np.allclose(
        tool.layer.data_to_world(inside), image.data_to_world((row, column + 10)), atol=1e-6
    )


def test_a_stroke_is_undone_also_when_the_view_is_elsewhere(desk, tool):
    look_at(desk, tool, 500, 600)
    paint_at(desk, tool, 500, 600)
    look_at(desk, tool, 15_000, 15_000)
    paint_at(desk, tool, 15_000, 15_000)
    for expected in ((1, 0), (0, 0)):
        desk.key(Qt.Key.Key_Z, CONTROL)
        assert (stored(desk, tool, 500, 610), stored(desk, tool, 15_000, 15_010)) == expected
    assert not tool.layer.data.any()
    for _ in range(2):
        desk.key(Qt.Key.Key_Z, CONTROL | SHIFT)
    assert (stored(desk, tool, 500, 610), stored(desk, tool, 15_000, 15_010)) == (1, 1)


@pytest.mark.filterwarnings("ignore:Non-orthogonal slicing")
def test_a_part_of_an_image_lies_on_its_image_for_any_transform():
    random = np.random.default_rng(0)
    for _ in range(1000):
        n = int(random.integers(2, 5))
        affine = np.eye(n + 1)
        affine[:n] += random.normal(0, 0.1, (n, n + 1))
        rotate = np.linalg.qr(random.normal(size=(n, n)))[0]
        layer = Image(
            np.zeros((4,) * n), scale=random.uniform(0.1, 5, n), translate=random.normal(0, 50, n),
            rotate=rotate, shear=random.normal(0, 0.3, n * (n - 1) // 2), affine=affine,
        )  # fmt: skip
        origin, inside = random.integers(0, 9999, n), random.uniform(0, 100, n)
        part = Image(np.zeros((4,) * n), **placement_of(layer).moved(origin).as_arguments())
        assert np.allclose(
            part.data_to_world(inside), layer.data_to_world(origin + inside), rtol=0, atol=1e-6
        )


def test_a_stroke_remembers_only_what_it_changed():
    before = np.zeros((50, 60), np.uint8)
    after = before.copy()
    after[10:13, 20:25] = 2
    stroke = find_stroke(before, after, (3,), (100, 200))
    assert (stroke.origin, stroke.shape, stroke.plane) == ((110, 220), (3, 5), (3,))
    assert (stroke.block(True) == 2).all()
    assert not stroke.block(False).any()
    assert find_stroke(after, after.copy(), (), (0, 0)) is None


def test_a_window_is_what_a_block_and_a_region_share():
    region = Region((100, 200), (50, 60))
    assert region.window((90, 250), (20, 100)) == (
        (slice(0, 10), slice(50, 60)),
        (slice(10, 20), slice(0, 10)),
    )
    here, _ = region.window((0, 0), (10, 10))
    assert np.zeros((50, 60))[here].size == 0


def test_a_plane_of_a_stack_is_painted_alone(desk):
    desk.viewer.add_image(
        np.zeros((5, 40, 50), np.uint8), contrast_limits=(0, 1), axis_labels=("z", "y", "x")
    )
    dock = desk.open_dock("Annotate")
    press(dock.task_buttons["segment"])
    tool = desk.use_tool(dock, "paint_strokes")
    for plane in (1, 3):
        desk.viewer.dims.set_current_step(0, plane)
        desk.stroke(tool.layer, [(plane, 20, 10), (plane, 20, 30)])
        assert current_plane(desk.viewer, tool.layer) == (plane,)
    desk.session.save_tools()
    assert desk.session.project.painted_planes(tool.image.image_id) == ((1,), (3,))
    desk.key(Qt.Key.Key_Z, CONTROL)
    assert desk.session.project.painted_planes(tool.image.image_id) == ((1,),)
