"""The Annotate dock: tools, tasks, bad layers, locked layers, names for screen readers."""

from __future__ import annotations

import numpy as np
import pytest
from dock_helpers import press
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLineEdit, QListView, QListWidget, QWidget

from napari_convnet.sample_data import read_sample


@pytest.mark.parametrize("name", ["Annotate", "Train", "Predict"])
def test_every_control_that_takes_focus_has_a_name_and_a_tooltip(desk, name):
    dock = desk.open_dock(name)
    unnamed = []
    for widget in dock.findChildren(QWidget):
        # The field of a spin box and the list of a combo box are read under their owner's name.
        is_part = isinstance(widget, QLineEdit | QListView) and not isinstance(widget, QListWidget)
        takes_focus = widget.focusPolicy() != Qt.FocusPolicy.NoFocus
        if takes_focus and not is_part and not (widget.accessibleName() and widget.toolTip()):
            unnamed.append(f"{type(widget).__name__} '{widget.objectName()}' {widget.parent()}")
    assert not unnamed


def test_without_an_image_a_tool_says_so_and_starts_no_project(desk):
    annotate = desk.open_dock("Annotate")
    press(annotate.tool_buttons["pick_patches"])
    assert len(desk.messages) == 1
    assert "no image" in desk.messages[0]
    assert desk.session.project is None
    assert not annotate.tool_buttons["pick_patches"].isChecked()


def test_labels_of_another_shape_are_refused_with_both_shapes(desk):
    desk.viewer.add_image(np.zeros((64, 64), np.uint8), name="image")
    desk.viewer.add_labels(np.ones((60, 64), np.int32), name="cells")
    annotate = desk.open_dock("Annotate")
    annotate.picker.cells.setCurrentIndex(annotate.picker.cells.findText("cells"))
    press(annotate.tool_buttons["click_cells"])
    assert len(desk.messages) == 1
    assert "(60, 64)" in desk.messages[0]
    assert "(64, 64)" in desk.messages[0]
    assert desk.session.project is None


def test_a_locked_layer_is_respected_and_nothing_is_saved(desk):
    desk.open_sample("blood-smear-1")
    annotate = desk.open_dock("Annotate")
    tool = desk.use_tool(annotate, "click_cells")
    tool.layer.locked = True
    desk.click(tool.labels, np.argwhere(tool.labels.data == 20)[30])
    assert len(desk.messages) == 1
    assert "locked" in desk.messages[0]
    assert sum(desk.session.class_counts()) == 0
    assert not tool.layer.data.any()


def test_locked_cells_of_the_person_keep_their_outline_setting(desk):
    desk.open_sample("blood-smear-1")
    desk.viewer.layers["cells"].locked = True
    desk.use_tool(desk.open_dock("Annotate"), "click_cells")
    assert desk.viewer.layers["cells"].contour == 0


def test_an_annotation_layer_that_was_deleted_comes_back_from_the_project(desk):
    desk.open_sample("blood-smear-1")
    annotate = desk.open_dock("Annotate")
    tool = desk.annotate_smear(annotate, n=5)
    expected = tool.layer.data.copy()
    desk.viewer.layers.remove(tool.layer)
    assert not annotate.tool_buttons["click_cells"].isChecked()
    tool = desk.use_tool(annotate, "click_cells")
    assert np.array_equal(tool.layer.data, expected)
    desk.click(tool.labels, np.argwhere(tool.labels.data == 60)[30])
    assert sum(desk.session.class_counts()) == 6


def test_the_button_of_a_tool_shows_whether_clicks_reach_it(desk):
    desk.open_sample("blood-smear-1")
    annotate = desk.open_dock("Annotate")
    tool = desk.use_tool(annotate, "click_cells")
    desk.viewer.layers.selection.active = desk.viewer.layers["cells"]
    assert not annotate.tool_buttons["click_cells"].isChecked()
    press(annotate.tool_buttons["click_cells"])
    assert tool.is_selected
    press(annotate.task_buttons["segment"])
    assert annotate.active_tool is None
    assert annotate.tool_buttons["click_cells"].isHidden()
    desk.use_tool(annotate, "paint_strokes")
    press(annotate.task_buttons["classify"])
    assert desk.use_tool(annotate, "click_cells") is tool


def test_the_layers_list_may_be_cleared_and_reordered_at_any_time(desk):
    desk.open_sample("blood-smear-1")
    annotate = desk.open_dock("Annotate")
    desk.open_dock("Predict")
    desk.use_tool(annotate, "click_cells")
    for index in range(20):
        desk.viewer.layers.move(index % 3, (index * 7) % 3)
    desk.viewer.layers.clear()
    assert annotate.active_tool is None
    desk.open_sample("blood-smear-2")
    desk.use_tool(annotate, "click_cells")
    assert not desk.messages


def test_labels_that_lie_elsewhere_are_refused_until_they_are_moved(desk):
    cells = np.zeros((64, 64), np.int32)
    cells[8:20, 8:20] = 7
    placement = {"scale": (0.5, 0.5), "translate": (3, 4)}
    desk.viewer.add_image(cells.astype(float), name="image", **placement)
    labels = desk.viewer.add_labels(cells, name="cells", scale=(1, 1), translate=(0, 0))
    dock = desk.open_dock("Annotate")
    press(dock.tool_buttons["click_cells"])
    assert dock.active_tool is None
    assert "(1, 1) and (0.5, 0.5)" in desk.messages[-1]
    labels.scale, labels.translate = placement["scale"], placement["translate"]
    tool = desk.use_tool(dock, "click_cells")
    desk.click(tool.layer, (12, 12))
    assert desk.session.class_counts() == [1, 0]


def test_cells_of_a_stack_are_annotated_in_the_plane_that_shows_most_of_them(desk):
    stack = np.zeros((4, 64, 64), np.int32)
    stack[1, 10:14, 10:14] = 7
    stack[2, 8:20, 8:20] = 7
    image = np.random.default_rng(0).random((4, 64, 64))
    desk.viewer.add_image(image, name="stack", axis_labels=("z", "y", "x"))
    desk.viewer.add_labels(stack, name="cells")
    tool = desk.use_tool(desk.open_dock("Annotate"), "click_cells")
    tool.annotate_at((1, 12, 12), 2)
    (annotation,) = desk.session.project.object_annotations(tool.image.image_id)
    assert (annotation.plane, annotation.label, annotation.value) == ((2,), 7, 2)
    assert np.array_equal(tool.layer.data > 0, stack > 0)


def test_annotations_of_a_label_layer_are_found_again_under_another_name(desk):
    desk.open_sample("blood-smear-1")
    annotate = desk.open_dock("Annotate")
    desk.annotate_smear(annotate, n=4)
    desk.viewer.layers.clear()
    desk.open_sample("blood-smear-1")
    desk.viewer.layers["cells"].name = "outlines"
    tool = desk.use_tool(annotate, "click_cells")
    assert (
        sorted(np.unique(tool.labels.data[tool.layer.data > 0]))
        == sorted(read_sample("blood_smear_1").classes)[:4]
    )
