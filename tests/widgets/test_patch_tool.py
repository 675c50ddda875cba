"""Patches: placed, drawn, moved, relabelled, removed and snapped with the mouse; every step undone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from dock_helpers import ALT, CONTROL, SHIFT
from qtpy.QtCore import Qt


@pytest.fixture
def dock(desk):
    """The Annotate dock over a stack of two planes with a bright disc in the first."""
    image = np.zeros((2, 120, 160), np.uint8)
    rows, columns = np.ogrid[:120, :160]
    image[0][(rows - 60) ** 2 + (columns - 80) ** 2 < 80] = 200
    desk.viewer.add_image(
        image,
        name="stack",
        axis_labels=("t", "y", "x"),
        scale=(1, 0.25, 0.25),
        units=("um",) * 3,
        contrast_limits=(0, 255),
    )
    desk.viewer.dims.set_current_step(0, 0)
    return desk.open_dock("Annotate")


@pytest.fixture
def tool(desk, dock):
    return desk.use_tool(dock, "pick_patches")


def centres(tool) -> list[tuple[float, ...]]:
    """Return the centres; the picture must show what the project holds."""
    saved = tool.session.project.patches(tool.image.image_id)
    assert [replace(patch, annotated_at="") for patch in saved] == [
        replace(patch, annotated_at="") for patch in tool.patches()
    ]
    shown = [tuple(place) for place in tool.layer.data]
    assert shown == [(*patch.plane, *patch.centre) for patch in saved]
    return [patch.centre for patch in saved]


def test_the_size_is_shown_in_the_images_unit(desk, dock, tool):
    assert dock.patch_form.extent.text() == "12 x 12 µm"
    dock.patch_form.size.setValue(20)
    assert dock.patch_form.extent.text() == "5 x 5 µm"
    desk.click(tool.layer, (0, 30, 30))
    assert tool.patches()[0].size == 20


def test_a_patch_is_dragged_by_its_middle_and_the_view_stays(desk, tool):
    desk.click(tool.layer, (0, 40, 40))
    before = desk.canvas_centre
    desk.stroke(tool.layer, [(0, 40, 40), (0, 50, 50), (0, 70, 90)])
    assert centres(tool)[0] == pytest.approx((70, 90), abs=1)
    assert desk.canvas_centre == pytest.approx(before)
    desk.key(Qt.Key.Key_Z, CONTROL)
    assert centres(tool)[0] == pytest.approx((40, 40), abs=1)
    desk.key(Qt.Key.Key_Z, CONTROL | SHIFT)
    assert centres(tool)[0] == pytest.approx((70, 90), abs=1)


def test_a_click_on_the_middle_gives_another_class(desk, tool):
    desk.click(tool.layer, (0, 40, 40))
    desk.choose_class(2)
    desk.click(tool.layer, (0, 41, 41))
    assert [patch.value for patch in tool.patches()] == [2]
    assert len(centres(tool)) == 1
    desk.key(Qt.Key.Key_Z, CONTROL)
    assert [patch.value for patch in tool.patches()] == [1]


def test_a_drawn_box_becomes_a_square_around_its_middle(desk, tool):
    desk.stroke(tool.layer, [(0, 30, 40), (0, 40, 60), (0, 50, 80)], CONTROL)
    (patch,) = tool.patches()
    assert patch.centre == pytest.approx((40, 60), abs=1)
    assert patch.size == pytest.approx(40, abs=2)


def test_a_patch_snaps_to_the_object_on_its_plane(desk, dock, tool):
    dock.patch_form.snap.setCurrentIndex(1)
    desk.click(tool.layer, (0, 66, 74))
    assert centres(tool)[0] == pytest.approx((60, 80), abs=0.5)
    desk.viewer.dims.set_current_step(0, 1)
    desk.click(tool.layer, (1, 30, 30))  # nothing to snap to
    assert centres(tool)[1] == pytest.approx((30, 30), abs=1)
    assert [patch.plane for patch in tool.patches()] == [(0,), (1,)]


@pytest.mark.parametrize("by_key", [True, False])
def test_a_patch_is_removed_and_comes_back(desk, tool, by_key):
    for column in (30, 120):
        desk.click(tool.layer, (0, 40, column))
    if by_key:
        desk.hover(tool.layer, (0, 45, 35))
        desk.key(Qt.Key.Key_Delete)
    else:
        desk.click(tool.layer, (0, 45, 35), ALT)
    assert centres(tool) == [pytest.approx((40, 120), abs=1)]
    desk.key(Qt.Key.Key_Z, CONTROL)
    assert sorted(c[1] for c in centres(tool)) == pytest.approx([30, 120], abs=1)


def test_patches_follow_an_edit_of_the_classes(desk, tool):
    desk.session.add_class()
    for value, column in ((1, 30), (3, 120)):
        desk.session.set_current_class(value)
        desk.click(tool.layer, (0, 40, column))
    desk.session.delete_class(1, give_to=2)
    assert [patch.value for patch in tool.patches()] == [1, 2]
    assert len(centres(tool)) == 2
    for _ in range(3):
        desk.key(Qt.Key.Key_Z, CONTROL)
    assert centres(tool) == []


def test_appended_patches_look_as_if_all_were_shown_anew_and_napari_is_told(desk, tool):
    told = []
    tool.layer.events.data.connect(lambda event: told.append((event.action, event.data_indices)))
    desk.click(tool.layer, (0, 20, 20))
    told.clear()  # of the first patch, which is not appended
    for column, value, size in ((60, 2, 24), (100, 2, 16), (140, 1, 30)):
        desk.choose_class(value)
        tool.size = size
        desk.click(tool.layer, (0, 30, column))
    drawn = desk._canvas.layer_to_visual[tool.layer].node.points_markers._data["a_position"]
    shown = tool.layer.data[:, :0:-1]  # x before y
    np.testing.assert_allclose(drawn[:, :2], shown, rtol=1e-5)
    desk.qtbot.waitUntil(lambda: sum(len(new) for _, new in told) == 3, timeout=5000)
    assert {action for action, _ in told} == {"added"}
    assert told[-1][1][-1] == -1
    parts = ("data", "size", "border_color", "face_color", "border_width", "symbol", "features")
    shown = {name: np.array(getattr(tool.layer, name)) for name in parts}
    tool.discard_layer()
    tool.start()
    for name, values in shown.items():
        np.testing.assert_array_equal(values, np.array(getattr(tool.layer, name)), name)
    assert len(tool.layer.selected_data) == 0
