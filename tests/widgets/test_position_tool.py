"""Positions: marked, moved, relabelled, removed and snapped with the mouse; every step saved and undone."""

from __future__ import annotations

import sqlite3
from dataclasses import replace

import numpy as np
import pytest
from dock_helpers import ALT, CONTROL, SHIFT, press
from napari.utils.colormaps.standardize_color import transform_color
from qtpy.QtCore import Qt

from napari_convnet.project import Project
from napari_convnet.widgets.layers import mark_of


@pytest.fixture
def dock(desk):
    """The Annotate dock over a placed film of three frames with a spot between pixels in the first."""
    rows, columns = np.ogrid[:120, :160]
    film = np.zeros((3, 120, 160), np.float32)
    film[0] = 10 + 200 * np.exp(-((rows - 60.3) ** 2 + (columns - 80.6) ** 2) / 8)
    desk.viewer.add_image(
        film, name="film", axis_labels=("t", "y", "x"), scale=(1, 0.25, 0.25), rotate=(0, 0, 20),
        translate=(0, 5, -3), units=("s", "um", "um"),
    )  # fmt: skip
    desk.viewer.dims.set_current_step(0, 0)
    desk.viewer.reset_view()
    dock = desk.open_dock("Annotate")
    press(dock.task_buttons["locate"])
    return dock


@pytest.fixture
def tool(desk, dock):
    return desk.use_tool(dock, "mark_positions")


def centres(tool) -> list[tuple[float, ...]]:
    """Return the centres; project, tool and picture must say the same."""
    saved = tool.session.project.positions(tool.image.image_id)
    shown = sorted(tool.positions(), key=lambda each: each.id)
    assert [replace(each, annotated_at="") for each in saved] == [
        replace(each, annotated_at="") for each in shown
    ]
    assert tool.layer.data.tolist() == [[*each.plane, *each.centre] for each in tool.positions()]
    names = ["", *(info.name for info in tool.session.classes_of("locate"))]
    assert list(tool.layer.features["position"]) == [each.id for each in tool.positions()]
    assert list(tool.layer.features["class"]) == [names[each.value] for each in tool.positions()]
    return [each.centre for each in saved]


def test_clicks_mark_to_a_fraction_of_a_pixel_in_the_plane_that_is_shown(desk, tool):
    layer, image = tool.layer, desk.viewer.layers["film"]
    assert mark_of(layer)["kind"] == "annotation-positions"
    for name in ("scale", "translate", "rotate", "shear", "units"):
        assert np.array_equal(getattr(layer, name), getattr(image, name))
    desk.viewer.scene.camera.center = image.data_to_world((0, 33.4, 41.7))
    desk.viewer.scene.camera.zoom = 60  # 15 screen pixels each
    desk.click(layer, (0, 33.4, 41.7))
    desk.viewer.dims.set_current_step(0, 2)
    desk.click(layer, (2, 33.4, 41.7))  # marked in another plane only
    assert centres(tool) == [pytest.approx((33.4, 41.7), abs=0.05)] * 2
    assert [each.plane for each in tool.positions()] == [(0,), (2,)]
    assert desk.session.class_counts() == [2]
    assert desk.session.project.annotated_images() == {tool.image.image_id: (2, False)}


def test_a_drag_moves_a_position_and_the_view_stays(desk, tool):
    desk.click(tool.layer, (0, 40, 40))
    before = desk.canvas_centre
    desk.stroke(tool.layer, [(0, 40, 40), (0, 50, 50), (0, 70, 90)])
    assert centres(tool) == [pytest.approx((70, 90), abs=0.5)]
    assert desk.canvas_centre == pytest.approx(before)
    desk.key(Qt.Key.Key_Z, CONTROL)
    assert centres(tool) == [pytest.approx((40, 40), abs=0.5)]
    desk.key(Qt.Key.Key_Z, CONTROL | SHIFT)
    assert centres(tool) == [pytest.approx((70, 90), abs=0.5)]
    desk.stroke(
        tool.layer, [(0, 70, 90), (0, 70, 130), (0, -20, 90)]
    )  # out of the image: it goes back
    assert centres(tool) == [pytest.approx((70, 90), abs=0.5)]


def test_a_click_on_a_position_gives_it_the_chosen_class(desk, tool):
    desk.session.add_class("speck")
    desk.choose_class(1)
    desk.click(tool.layer, (0, 40, 40))
    desk.click(tool.layer, (0, 40, 40))  # again: nothing to do
    desk.choose_class(2)
    desk.click(tool.layer, (0, 41, 41))
    assert [each.value for each in tool.positions()] == [2]
    assert len(centres(tool)) == 1
    colour = desk.session.classes[1].colour
    assert np.round(tool.layer.border_color[0, :3] * 255) == pytest.approx(
        [int(colour[k : k + 2], 16) for k in (1, 3, 5)]
    )
    desk.key(Qt.Key.Key_Z, CONTROL)
    assert [each.value for each in tool.positions()] == [1]
    centres(tool)


@pytest.mark.parametrize("key", [None, Qt.Key.Key_Delete, Qt.Key.Key_Backspace])
def test_a_position_is_removed_and_comes_back_as_it_was(desk, tool, key):
    for column in (30, 80, 120):
        desk.click(tool.layer, (0, 40, column))
    before = tool.session.project.positions(tool.image.image_id)
    if key is None:
        desk.click(tool.layer, (0, 41, 79), ALT)
    else:
        desk.hover(tool.layer, (0, 41, 79))
        desk.key(key)
    assert [round(c[1]) for c in centres(tool)] == [30, 120]
    desk.key(Qt.Key.Key_Z, CONTROL)
    assert [round(c[1]) for c in centres(tool)] == [30, 80, 120]
    assert tool.session.project.positions(tool.image.image_id) == before
    for _ in range(3):
        desk.key(Qt.Key.Key_Z, CONTROL)
    assert centres(tool) == []
    desk.key(Qt.Key.Key_Z, CONTROL | SHIFT)
    assert [round(c[1]) for c in centres(tool)] == [30]


def test_a_position_snaps_to_the_middle_of_the_spot_on_its_plane(desk, dock, tool):
    dock.position_form.snap.setCurrentIndex(1)
    desk.click(tool.layer, (0, 58, 83))
    assert centres(tool) == [pytest.approx((60.3, 80.6), abs=0.05)]
    desk.viewer.dims.set_current_step(0, 1)
    desk.click(tool.layer, (1, 30, 30))  # nothing to snap to
    assert centres(tool)[1] == pytest.approx((30, 30), abs=0.5)


@pytest.mark.filterwarnings("ignore:Non-orthogonal slicing:UserWarning")
def test_outside_the_image_and_across_its_planes_nothing_is_marked(desk, tool):
    tool.mark_at((-3, 5), (0,))
    desk.viewer.dims.ndisplay = 3
    desk.click(tool.layer, (0, 60, 60))
    assert len(desk.messages) == 1
    assert "3-D view" in desk.messages[0]
    desk.viewer.dims.ndisplay = 2
    desk.viewer.dims.order = (1, 0, 2)
    desk.click(tool.layer, (0, 60, 60))
    assert len(desk.messages) == 2
    assert centres(tool) == []


def test_positions_follow_edits_of_their_classes_also_from_another_task(desk, dock, tool):
    desk.session.add_class("speck")
    for value, column in ((1, 30), (2, 120)):
        desk.choose_class(value)
        desk.click(tool.layer, (0, 40, column))
    desk.session.delete_class(1, give_to=2)
    desk.wait_until_idle()
    assert [each.value for each in tool.positions()] == [1, 1]
    assert set(tool.layer.features["class"]) == {"speck"}
    desk.session.undo()
    desk.wait_until_idle()
    assert [each.value for each in tool.positions()] == [1, 2]
    press(dock.task_buttons["classify"])
    desk.session.undo()  # the second click
    assert len(centres(tool)) == 1
    press(dock.task_buttons["locate"])
    assert desk.session.class_counts() == [1, 0]


def test_edits_of_classes_leave_the_layer_the_selection_and_the_view_as_they_are(desk, tool):
    session, layer = desk.session, tool.layer
    viewer = session.viewer
    session.add_class("speck")
    session.add_class("dust")
    for value, column in ((1, 30), (2, 80), (3, 120)):
        desk.choose_class(value)
        desk.click(layer, (0, 40, column))
    viewer.scene.camera.zoom *= 1.5
    layer.opacity = 0.6
    layers, camera = list(viewer.layers), viewer.scene.camera.model_dump()
    first, second, third = session.classes
    edits = (
        (lambda: session.set_classes((replace(first, name="bead"), second, third)), [1, 2, 3]),
        (lambda: session.move_class(3, 1), [2, 3, 1]),
        (lambda: session.delete_class(1, give_to=3), [1, 2, 2]),  # merged
        (lambda: session.delete_class(2), [1]),
        (session.undo, [1, 2, 2]),
        (session.undo, [2, 3, 1]),
    )
    for edit, values in edits:
        edit()
        desk.wait_until_idle()
        assert list(viewer.layers) == layers  # the same ones, in their places
        assert tool.layer is layer
        assert viewer.layers.selection.active is layer
        assert (viewer.scene.camera.model_dump(), layer.opacity) == (camera, 0.6)
        assert [each.value for each in tool.positions()] == values
        assert len(centres(tool)) == len(values)  # and the table says the same
        colours = [session.classes[value - 1].colour for value in values]
        np.testing.assert_allclose(layer.border_color, transform_color(colours))
    desk.click(layer, (0, 80, 80))
    desk.key(Qt.Key.Key_Z, CONTROL)
    assert len(centres(tool)) == 3


def test_the_only_class_cannot_be_deleted(desk, dock):
    press(dock.class_table.delete_button)
    assert "One class is the least" in desk.messages[-1]
    assert [info.name for info in desk.session.classes] == ["object"]


def test_imported_positions_are_shown_and_those_without_a_class_are_grey(desk, tool):
    project = desk.session.project
    project.add_positions(tool.image.image_id, [((0,), (20.5, 30.5), 0), ((1,), (5, 5), 1)])
    desk.session.show_annotations_again()
    assert centres(tool) == [(20.5, 30.5), (5, 5)]
    red, green, blue = tool.layer.border_color[0, :3]
    assert red == green == blue
    desk.click(tool.layer, (0, 20.5, 30.5))
    assert [each.value for each in tool.positions()] == [1, 1]


def test_napari_adds_nothing_that_the_project_does_not_hear_of(desk, tool):
    tool.layer.mode = "add"
    desk.qtbot.waitUntil(lambda: tool.layer.mode == "pan_zoom", timeout=2000)
    desk.click(tool.layer, (0, 60, 60))
    assert len(centres(tool)) == 1


def test_a_project_for_reading_shows_positions_and_says_once_that_it_takes_none(desk, dock, tool):
    desk.click(tool.layer, (0, 40, 40))
    path = desk.session.project.path
    desk.session.close_project()
    with Project.open(path):  # another program has it
        desk.session.open_project(path)
        assert desk.session.project.read_only
        desk.messages.clear()
        tool = desk.use_tool(dock, "mark_positions")
        desk.click(tool.layer, (0, 90, 90))
        desk.click(tool.layer, (0, 90, 90))
        desk.stroke(tool.layer, [(0, 40, 40), (0, 50, 50), (0, 70, 70)])
        desk.click(tool.layer, (0, 40, 40), ALT)
        assert len(desk.messages) == 1
        assert "reading only" in desk.messages[0]
        assert centres(tool) == [pytest.approx((40, 40), abs=0.5)]
        desk.session.close_project()


def test_a_project_from_before_this_task_gets_its_class(desk, dock, tmp_path):
    path = tmp_path / "older.convnet"
    Project.create(path).close()
    desk.session.open_project(path)
    tool = desk.use_tool(dock, "mark_positions")
    desk.click(tool.layer, (0, 40, 40))
    desk.session.close_project()
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT value FROM position").fetchall() == [(1,)]
        found = connection.execute("SELECT name FROM class WHERE task = 'locate'").fetchall()
    assert found == [("object",)]


def test_the_key_n_goes_to_planes_without_positions(desk, dock, tool):
    desk.click(tool.layer, (0, 40, 40))
    seen = []
    for _ in range(2):
        desk.key(ord("N"))
        seen.append(desk.viewer.dims.current_step[0])
        desk.click(tool.layer, (seen[-1], 40, 40))
    assert seen == [1, 2]
    desk.key(ord("N"))
    assert dock.status.text().startswith("All planes have positions")


def test_the_key_n_goes_to_places_of_a_picture_without_positions(desk):
    desk.viewer.add_image(np.zeros((256, 384)), name="picture")
    dock = desk.open_dock("Annotate")
    press(dock.task_buttons["locate"])
    tool = desk.use_tool(dock, "mark_positions")
    desk.click(tool.layer, (50, 50))
    desk.key(ord("N"))
    assert dock.status.text().startswith("One of up to 5 places")


def test_the_train_dock_counts_positions_and_can_begin_with_one(desk, tool):
    train = desk.open_dock("Train")
    desk.open_dock("Predict")
    assert not train.train_button.isEnabled()
    desk.click(tool.layer, (0, 40, 40))
    assert "positions" in train.summary.text()
    assert "object: 1" in train.summary.text()
    assert train.train_button.isEnabled()
    desk.session.set_task("classify")
    assert train.form.network.count() > 0
