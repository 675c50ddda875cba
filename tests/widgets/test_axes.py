"""What the axes of an image mean is asked once, never guessed, and remembered for its file."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from dock_helpers import press
from qtpy.QtWidgets import QDialog, QDialogButtonBox

from napari_convnet.widgets.axes import AxesDialog
from napari_convnet.widgets.training_data import collect_planes


@pytest.fixture
def asked(monkeypatch):
    """Return the dialogs that were shown; ``asked.answer`` is what the person chooses."""

    class Asked(list):
        answer: tuple[str, ...] = ()

    asked = Asked()

    def fill_in(dialog):
        asked.append([choice.currentData() for choice in dialog.choices])
        ok = dialog.buttons.button(QDialogButtonBox.StandardButton.Ok)
        for choice, letter in zip(dialog.choices, asked.answer, strict=False):
            choice.setCurrentIndex(choice.findData(letter))
        return QDialog.DialogCode.Accepted if ok.isEnabled() else QDialog.DialogCode.Rejected

    monkeypatch.setattr(AxesDialog, "exec", fill_in)
    return asked


@pytest.fixture
def pixels():
    """Return 2 channels of 5 planes of 60 x 70 pixels."""
    return np.random.default_rng(0).integers(0, 4000, (5, 2, 60, 70)).astype(np.uint16)


def paint(desk, dock, plane):
    press(dock.task_buttons["segment"])
    tool = desk.use_tool(dock, "paint_strokes")
    for value, row in ((1, 20), (2, 40)):
        desk.choose_class(value)
        desk.stroke(tool.layer, [(*plane, row, 10), (*plane, row, 40)])
    return tool


def test_channels_become_layers_that_are_learned_together(desk, asked, pixels):
    layer = desk.viewer.add_image(pixels, name="stack", scale=(2, 1, 0.5, 0.5), rotate=(0, 0, 10))
    layer.translate = (3, 0, 5, 6)
    expected = layer.data_to_world((4, 0, 30, 40))
    asked.answer = ("z", "c")
    dock = desk.open_dock("Annotate")
    desk.viewer.dims.set_current_step(0, 3)
    tool = paint(desk, dock, (3,))
    assert asked == [["", ""]]
    channels = [desk.viewer.layers[f"stack channel {n}"] for n in (1, 2)]
    assert "stack" not in desk.viewer.layers
    assert channels[0].data.base is pixels or np.shares_memory(channels[0].data, pixels)
    assert np.allclose(channels[1].data_to_world((4, 30, 40)), np.delete(expected, 1), atol=1e-6)
    assert len(tool.image.source.image_ids) == 2
    (plane,) = collect_planes(desk.session)
    assert np.array_equal(plane.arrays.clean().pixels, pixels[3])
    assert [axes.axes for axes in desk.session.project.images()] == ["zYX"]


def test_an_answer_is_remembered_for_the_file(desk, asked, pixels, tmp_path):
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, pixels, photometric="minisblack")
    dock = desk.open_dock("Annotate")
    asked.answer = ("t", "c")
    for _ in range(2):
        desk.viewer.open(path, plugin="napari")
        desk.viewer.dims.set_current_step(0, 0)
        tool = paint(desk, dock, (0,))
        assert len(tool.image.source.image_ids) == 2
        desk.session.set_tool(None)
        for layer in list(desk.viewer.layers):
            layer.locked = False
            desk.viewer.layers.remove(layer)
    assert len(asked) == 1
    # And training finds the channels in the file again.
    (plane,) = collect_planes(desk.session)
    assert np.array_equal(plane.arrays.clean().pixels, pixels[0])


def test_without_an_answer_nothing_happens(desk, asked, pixels):
    desk.viewer.add_image(pixels[:, 0], name="stack")
    dock = desk.open_dock("Annotate")
    press(dock.task_buttons["segment"])
    press(dock.tool_buttons["paint_strokes"])
    assert asked == [[""]]
    assert not dock.tool_buttons["paint_strokes"].isChecked()
    assert len(desk.viewer.layers) == 1
    assert desk.session.project is None


@pytest.mark.parametrize("labels", [("z", "y", "x"), ("time", "y", "x"), ("Z", "Y", "X")])
def test_what_the_file_says_is_not_asked(desk, asked, pixels, labels):
    desk.viewer.add_image(pixels[:, 0], name="stack", axis_labels=labels)
    paint(desk, desk.open_dock("Annotate"), (0,))
    assert asked == []
