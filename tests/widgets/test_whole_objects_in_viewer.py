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
    press(annotate.task_buttons["locate"])
    assert not train.mode_form.whole_objects.isVisibleTo(train)
    assert train.mode_form.mode == "heat_map"
