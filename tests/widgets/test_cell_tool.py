"""Ways to annotate cells: sweeps, rectangles, the key that clears; each one step of the history."""

from __future__ import annotations

import numpy as np
import pytest
from dock_helpers import CONTROL, SHIFT
from qtpy.QtCore import Qt


@pytest.fixture
def tool(desk):
    """The cell tool on a grid of 5 x 8 cells of 12 pixels, in a stack of two planes that differ."""
    square = np.zeros((20, 20), np.int32)
    square[4:16, 4:16] = 1
    numbers = np.arange(1, 41).reshape(5, 8)
    plane = np.kron(numbers, np.ones((20, 20), np.int32)) * np.tile(square, (5, 8))
    cells = np.stack([plane, np.where(plane, plane + 40, 0)])
    placement = {"scale": (1, 0.5, 0.5), "axis_labels": ("z", "y", "x")}
    desk.viewer.add_image((cells > 0).astype(np.uint8), name="grid", **placement)
    desk.viewer.add_labels(cells, name="cells", **placement)
    desk.viewer.dims.set_current_step(0, 0)
    return desk.use_tool(desk.open_dock("Annotate"), "click_cells")


def middle(label: int) -> tuple[int, int, int]:
    row, column = divmod(label - 1, 8)
    return 0, 20 * row + 10, 20 * column + 10


def classes_of(tool) -> dict[int, int]:
    project = tool.session.project
    found = project.object_annotations(tool.image.image_id, tool.image.labels_name)
    shown = {
        int(label): int(tool.layer.data[tool.labels.data == label].max())
        for label in np.unique(tool.labels.data[tool.layer.data > 0])
    }
    assert shown == {a.label: a.value for a in found}  # what is shown is what is saved
    return shown


def test_a_sweep_with_shift_annotates_every_cell_it_passes_as_one_step(desk, tool):
    desk.choose_class(2)
    before = desk.canvas_centre
    desk.stroke(tool.layer, [middle(k) for k in (9, 10, 11, 12)], SHIFT)
    assert classes_of(tool) == dict.fromkeys((9, 10, 11, 12), 2)
    assert desk.canvas_centre == pytest.approx(before)  # the view did not move
    desk.key(Qt.Key.Key_Z, CONTROL)
    assert classes_of(tool) == {}
    desk.key(Qt.Key.Key_Z, CONTROL | SHIFT)
    assert classes_of(tool) == dict.fromkeys((9, 10, 11, 12), 2)


def test_a_rectangle_annotates_the_cells_without_a_class_on_the_plane_that_is_shown(desk, tool):
    desk.choose_class(2)
    desk.click(tool.layer, middle(10))
    desk.choose_class(1)
    desk.stroke(tool.layer, [(0, 1, 1), (0, 20, 30), (0, 58, 58)], CONTROL)
    assert classes_of(tool) == {k: 2 if k == 10 else 1 for k in (1, 2, 3, 9, 10, 11, 17, 18, 19)}
    desk.key(Qt.Key.Key_Z, CONTROL)
    assert classes_of(tool) == {10: 2}


def test_delete_clears_the_cell_under_the_mouse(desk, tool):
    desk.click(tool.layer, middle(5))
    desk.click(tool.layer, middle(6))
    desk.hover(tool.layer, middle(5))
    desk.key(Qt.Key.Key_Delete)
    assert classes_of(tool) == {6: 1}
    desk.key(Qt.Key.Key_Z, CONTROL)
    assert classes_of(tool) == {5: 1, 6: 1}


def test_shift_and_a_click_annotate_one_cell_once(desk, tool):
    desk.click(tool.layer, middle(7), SHIFT)
    assert classes_of(tool) == {7: 1}
    desk.key(Qt.Key.Key_Z, CONTROL)
    assert classes_of(tool) == {}
    desk.click(tool.layer, middle(8), CONTROL)
    assert classes_of(tool) == {8: 1}
