"""The frame around the painted part of a large image: where it lies, when it is seen, and that it goes."""

from __future__ import annotations

import numpy as np
import pytest
from dock_helpers import press
from qtpy.QtCore import QEvent, QPoint
from qtpy.QtGui import QImage
from qtpy.QtWidgets import QApplication

from napari_convnet.widgets.canvas_frame import LINE, LayerFrame, _Outline

SHAPE = (6000, 9000)


def dark(shape) -> np.ndarray:
    """Return zeros that take no memory."""
    return np.lib.stride_tricks.as_strided(np.zeros(1, np.uint8), shape, (0,) * len(shape))


@pytest.fixture
def dock(desk):
    desk.viewer.window.resize(1100, 700)
    dock = desk.open_dock("Annotate")
    press(dock.task_buttons["segment"])
    return dock


def open_brush(desk, dock, shape, **placement):
    """Take the brush on a dark image."""
    desk.viewer.add_image(dark(shape), name="slide", contrast_limits=(0, 1), **placement)
    return desk.use_tool(dock, "paint_strokes")


@pytest.fixture
def tool(desk, dock):
    """A brush on a turned, sheared and shifted slide, all of which is in view."""
    placement = {"scale": (0.5, 0.5), "translate": (100, -50), "rotate": 20, "shear": (0.2,)}
    tool = open_brush(desk, dock, SHAPE, **placement)
    desk.viewer.reset_view()
    draw(desk)
    return tool


def draw(desk) -> None:
    """Draw the canvas, which is when it takes over where the camera looks."""
    QApplication.processEvents()
    desk.canvas.grab()
    QApplication.processEvents()


def outlines(desk) -> list[_Outline]:
    """Return all frames on the canvas, also hidden ones, but none that is on its way out."""
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    return desk.canvas.findChildren(_Outline)


def is_seen(desk) -> bool:
    """Return whether a frame is shown; the window of a test is not, so nothing in it is visible."""
    return any(not outline.isHidden() for outline in outlines(desk))


def expected_corners(desk, tool, plane=()) -> np.ndarray:
    """Return where the canvas draws the corners of the region, told by the image and not by the painted layer."""
    (top, left), (height, width) = tool.region.origin, tool.region.shape
    rows, columns = (top - 0.5, top + height - 0.5), (left - 0.5, left + width - 0.5)
    image, canvas = desk.viewer.layers["slide"], desk._canvas
    transform = canvas.view.transform * canvas.view.scene.transform
    across, down = desk.viewer.dims.displayed[::-1]
    places = []
    for row, column in ((0, 0), (0, 1), (1, 1), (1, 0)):
        world = image.data_to_world((*plane, rows[row], columns[column]))
        places.append(transform.map([world[across], world[down]])[:2])
    return np.array(places)


def check_corners(desk, tool, plane=()) -> None:
    draw(desk)
    (outline,) = outlines(desk)
    assert not outline.isHidden()
    assert outline.size() == desk.canvas.size()
    assert outline._corners == pytest.approx(expected_corners(desk, tool, plane), abs=0.01)


def test_the_frame_lies_around_the_region_wherever_the_view_and_the_image_go(desk, tool):
    viewer, camera = desk.viewer, desk.viewer.scene.camera
    image = viewer.layers["slide"]
    check_corners(desk, tool)
    camera.zoom *= 1.7
    check_corners(desk, tool)
    camera.center = (0, *np.add(camera.center[1:], (40, -60)))
    check_corners(desk, tool)
    camera.orientation2d = ("up", "left")
    check_corners(desk, tool)
    before = tool.region
    camera.center = (0, *image.data_to_world((5000, 8000)))
    desk.qtbot.waitUntil(lambda: tool.region != before, timeout=5000)
    check_corners(desk, tool)
    for changed in (image, tool.layer):
        changed.translate, changed.shear, changed.rotate = (-30, 800), (-0.1,), -35
    tool.layer.translate = image.data_to_world(tool.region.origin)
    check_corners(desk, tool)
    viewer.dims.order = (1, 0)
    check_corners(desk, tool)
    viewer.window.resize(900, 600)
    desk.qtbot.wait(50)
    check_corners(desk, tool)


def line_pixels(desk) -> np.ndarray:
    """Return rows and columns of the canvas where the frame's line is."""
    picture = desk.canvas.grab().toImage().convertToFormat(QImage.Format.Format_Grayscale8)
    values = np.frombuffer(picture.constBits().asstring(picture.sizeInBytes()), np.uint8)
    values = values.reshape(picture.height(), picture.bytesPerLine())[:, : picture.width()]
    return np.argwhere(values > 0.8 * LINE.lightness())


def test_the_line_is_seen_at_the_border_of_the_region_and_nowhere_else(desk, tool):
    draw(desk)
    corners = expected_corners(desk, tool)
    found = line_pixels(desk)
    ends = list(zip(corners, np.roll(corners, -1, axis=0), strict=True))
    distances = [np.inf] * len(found)
    for start, end in ends:
        along = (end - start) / np.linalg.norm(end - start)
        steps = (found[:, ::-1] + 0.5 - start) @ along
        nearest = start + np.outer(steps.clip(0, np.linalg.norm(end - start)), along)
        away = np.linalg.norm(found[:, ::-1] + 0.5 - nearest, axis=1)
        assert (away < 2).sum() > 50  # each side is drawn
        distances = np.minimum(distances, away)
    assert distances.max() < 2
    tool.layer.visible = False
    assert not len(line_pixels(desk))


def test_the_frame_is_seen_where_the_view_is_much_closer(desk, tool):
    image, (top, left) = desk.viewer.layers["slide"], tool.region.origin
    desk.viewer.scene.camera.zoom = 50  # corners are a hundred thousand screen pixels away
    desk.viewer.scene.camera.center = (0, *image.data_to_world((top + 700.3, left - 0.5)))
    draw(desk)
    found = line_pixels(desk)
    places = [desk.on_screen(image, (top + 700.3 + d, left - 0.5)) for d in (-6, 0, 6)]
    for place in places:
        away = np.abs(found - (place.y(), place.x())).max(axis=1)
        assert away.min() <= 2
    assert len(found) < 5 * max(desk.canvas.width(), desk.canvas.height())


def test_the_mouse_does_not_notice_the_frame(desk, tool):
    (outline,) = outlines(desk)
    corner = QPoint(*(round(c) for c in outline._corners[0]))
    assert desk.canvas.rect().contains(corner)
    assert desk.canvas.childAt(corner) is None
    top, left = tool.region.origin
    desk.stroke(tool.layer, [(10, 10), (10, 300)])
    desk.session.save_tools()
    strip = desk.session.project.read_painting(tool.image.image_id, (), (60, 400), (top, left))
    assert strip.any()


@pytest.mark.filterwarnings("ignore:data shape:UserWarning")  # too large to be shown as a volume
@pytest.mark.parametrize("what", ["hidden", "not selected", "volume", "grid"])
def test_the_frame_is_seen_only_while_the_brush_is_and_in_a_plane(desk, tool, what):
    viewer, layer = desk.viewer, tool.layer
    switch = {
        "hidden": lambda is_off: setattr(layer, "visible", not is_off),
        "not selected": lambda is_off: setattr(
            viewer.layers.selection, "active", viewer.layers["slide"] if is_off else layer
        ),
        "volume": lambda is_off: setattr(viewer.dims, "ndisplay", 3 if is_off else 2),
        "grid": lambda is_off: setattr(viewer.canvas.grid, "enabled", is_off),
    }[what]
    assert is_seen(desk)
    switch(True)
    assert not is_seen(desk)
    switch(False)
    assert is_seen(desk)
    check_corners(desk, tool)


@pytest.mark.filterwarnings("ignore:Non-orthogonal slicing:UserWarning")
def test_a_stack_is_framed_in_its_own_planes_only(desk, dock):
    placement = {"scale": (2, 0.5, 0.5), "rotate": (0, 0, 10), "axis_labels": ("z", "y", "x")}
    tool = open_brush(desk, dock, (3, *SHAPE), **placement)
    desk.viewer.dims.set_current_step(0, 1)
    check_corners(desk, tool, plane=(1,))
    desk.viewer.dims.order = (1, 0, 2)
    assert not is_seen(desk)


def test_an_image_that_is_painted_as_a_whole_has_no_frame(desk, dock):
    open_brush(desk, dock, (4000, 4000))
    assert not outlines(desk)


def test_the_frame_comes_and_goes_with_its_layer_and_leaves_nothing(desk, dock, tool, tmp_path):
    viewer, session = desk.viewer, desk.session
    for number in range(3):  # a second line of napari's own ends it here
        session.new_project(tmp_path / f"{number}.convnet")
        assert not outlines(desk)
        listeners = [each[0]() for each in viewer.scene.camera.events.callbacks]
        assert not any(isinstance(each, LayerFrame) for each in listeners)
        tool = desk.use_tool(dock, "paint_strokes")
        draw(desk)
        assert len(outlines(desk)) == 1
    viewer.layers.remove(tool.layer)  # a person deletes it
    assert not outlines(desk)
    tool.start()
    assert is_seen(desk)
    assert len(outlines(desk)) == 1


def test_without_a_window_there_is_no_frame_and_no_error(desk, tool):
    (outline,) = outlines(desk)
    outline.setParent(None)
    outline.deleteLater()  # as Qt does with all that is on the canvas when the window goes
    assert not outlines(desk)
    desk.viewer.scene.camera.zoom *= 2
    tool.layer.visible = False
    assert isinstance(tool._frame, LayerFrame)
    tool._frame.close()
