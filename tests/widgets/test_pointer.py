"""The mouse on a layer of ours: clicks that nobody searches the scene for, and drags that move the view."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import Qt
from vispy.scene import SceneCanvas


@pytest.fixture
def tool(desk):
    """The cell tool on three planes with one cell, their pixels half as wide as high, and turned."""
    cells = np.zeros((3, 60, 80), np.int32)
    cells[:, 20:40, 30:50] = 1
    placement = {
        "axis_labels": ("z", "y", "x"),
        "scale": (1, 1, 0.5),
        "rotate": np.array([[1, 0, 0], [0, 0.8, -0.6], [0, 0.6, 0.8]]),
    }
    desk.viewer.add_image((cells > 0).astype(np.uint8), name="cell", **placement)
    desk.viewer.add_labels(cells, name="cells", **placement)
    return desk.use_tool(desk.open_dock("Annotate"), "click_cells")


@pytest.fixture
def searches(monkeypatch) -> list:
    """What vispy searched the scene for, each time by drawing it."""
    places, search = [], SceneCanvas.visual_at

    def noted(canvas, place):
        places.append(place)
        return search(canvas, place)

    monkeypatch.setattr(SceneCanvas, "visual_at", noted)
    return places


def test_a_click_does_not_have_the_scene_drawn_to_find_what_was_hit(desk, tool, searches):
    desk.click(tool.layer, (1, 30, 40))
    assert desk.session.class_counts() == [1, 0]
    assert searches == []
    desk.viewer.layers.selection.active = tool.labels  # napari's own
    desk.click(tool.layer, (1, 30, 40))
    assert len(searches) == 1


def test_what_was_under_the_mouse_stays_under_it_in_a_drag(desk, tool):
    start, end = desk.on_screen(tool.layer, (1, 30, 40)), desk.on_screen(tool.layer, (1, 50, 70))
    assert (end - start).manhattanLength() > 20
    desk.stroke(tool.layer, [(1, 30, 40), (1, 35, 50), (1, 50, 70)])
    assert desk.session.class_counts() == [0, 0]
    assert (desk.on_screen(tool.layer, (1, 30, 40)) - end).manhattanLength() <= 2
    assert tuple(desk.viewer.scene.camera.center[-2:]) == pytest.approx(desk.canvas_centre[1::-1])


def test_a_drag_moves_nothing_with_a_modifier_or_where_napari_may_not(desk, tool):
    before = desk.canvas_centre
    desk.stroke(
        tool.layer, [(1, 30, 40), (1, 35, 50), (1, 50, 70)], Qt.KeyboardModifier.MetaModifier
    )
    assert desk.canvas_centre == pytest.approx(before)
    desk.viewer.scene.camera.mouse_pan = False
    desk.stroke(tool.layer, [(1, 30, 40), (1, 35, 50), (1, 50, 70)])
    assert desk.canvas_centre == pytest.approx(before)


def test_a_volume_is_still_turned_by_napari(desk, tool):
    tool.labels.contour = 0  # napari draws no outlines of volumes, and warns
    desk.viewer.dims.ndisplay = 3
    before = desk.on_screen(tool.layer, (0, 0, 0)) - desk.on_screen(tool.layer, (0, 59, 0))
    desk.stroke(tool.layer, [(1, 30, 40), (1, 35, 50), (1, 50, 70)])
    after = desk.on_screen(tool.layer, (0, 0, 0)) - desk.on_screen(tool.layer, (0, 59, 0))
    assert (after - before).manhattanLength() > 4
