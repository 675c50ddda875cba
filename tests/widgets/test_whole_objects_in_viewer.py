"""Painted areas learned as whole objects, from the Train dock."""

from __future__ import annotations

import numpy as np
from dock_helpers import press

from napari_convnet.seams import instance_classes
from napari_convnet.widgets.layers import layer_id
from napari_convnet.widgets.position_mode import WHOLE_OBJECTS
from napari_convnet.widgets.resuming import request_again
from napari_convnet.widgets.source import Source
from whole_object_pictures import draw_rods


def test_painted_areas_are_learned_as_whole_objects(desk):
    image, instances = draw_rods(1)
    layer = desk.viewer.add_image(image.pixels[0], name="rods")
    annotate, train = desk.open_dock("Annotate"), desk.open_dock("Train")
    assert not train.mode_form.whole_objects.isVisibleTo(train)
    press(annotate.task_buttons["segment"])
    assert train.mode_form.whole_objects.isVisibleTo(train)
    assert not train.mode_form.positions.isVisibleTo(train)
    desk.session.set_source(Source((layer_id(layer),)))
    tool = desk.use_tool(annotate, "paint_strokes")
    painted = instance_classes(instances)
    tool.layer.data_setitem(np.nonzero(painted), painted[painted > 0])
    desk.session.save_tools()
    desk.qtbot.waitUntil(train.train_button.isEnabled, timeout=5000)
    train.form.epochs.setValue(2)
    assert train.mode_form.mode == ""
    train.mode_form.whole_objects.setChecked(True)
    desk.train(train)
    assert desk.session.model.card.has_depth, desk.messages
    assert desk.viewer.layers["rods objects"].data.max() > 0
    (run,) = desk.session.project.runs()
    assert run.data["mode"] == WHOLE_OBJECTS
    assert request_again(run, desk.session)().mode == WHOLE_OBJECTS
    train.mode_form.whole_objects.setChecked(False)
    desk.train(train)
    assert not desk.session.model.card.has_depth
    assert not desk.messages
    train.mode_form.whole_objects.setChecked(True)
    train.form.network.setCurrentText("unet3d")
    assert not train.mode_form.whole_objects.isEnabled()
    assert "classes of voxels" in train.mode_form.whole_objects.toolTip()
    assert train.mode_form.mode == ""
    train.form.network.setCurrentText("unet")
    assert train.mode_form.mode == WHOLE_OBJECTS
    desk.close_dock(train)
    train = desk.open_dock("Train")
    assert train.mode_form.mode == WHOLE_OBJECTS  # remembered
    press(annotate.task_buttons["locate"])
    assert not train.mode_form.whole_objects.isVisibleTo(train)
    assert train.mode_form.mode == "heat_map"


def test_objects_of_a_label_layer_are_painted_and_taken_back(desk):
    image, instances = draw_rods(1)
    layer = desk.viewer.add_image(image.pixels[0], name="rods")
    desk.viewer.add_labels(instances, name="from cellpose")
    desk.viewer.add_labels(instances[:5], name="of another image")
    annotate = desk.open_dock("Annotate")
    bar = annotate.exchange
    bar.layer_menu.aboutToShow.emit()
    assert [entry.text() for entry in bar.layer_menu.actions()] == [
        "Choose an image and paint first"
    ]
    press(annotate.task_buttons["segment"])
    desk.session.set_source(Source((layer_id(layer),)))
    tool = desk.use_tool(annotate, "paint_strokes")
    bar.layer_menu.aboutToShow.emit()
    entries = {entry.text(): entry for entry in bar.layer_menu.actions()}
    assert set(entries) == {"of another image", "from cellpose"}
    entries["from cellpose"].trigger()
    desk.wait_until_idle()
    assert np.array_equal(tool.layer.data, instance_classes(instances))
    assert "whole objects" in bar.status.text()
    desk.session.undo()
    desk.wait_until_idle()
    assert not np.any(tool.layer.data)
    entries["of another image"].trigger()
    desk.wait_until_idle()
    assert "has shape" in bar.status.text()
    assert not np.any(tool.layer.data)
