"""Faults of the catalogue that no other test injects into a real viewer."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
from dock_helpers import press
from qtpy.QtWidgets import QDialog, QInputDialog

from napari_convnet.widgets.axes import AxesDialog
from napari_convnet.widgets.training_data import collect_planes


@pytest.fixture
def asked(monkeypatch):
    """Close the dialog for axes without an answer; return the layers' shapes it asked for."""
    shapes = []

    def close(dialog):
        shapes.append(len(dialog.choices))
        return QDialog.DialogCode.Rejected

    monkeypatch.setattr(AxesDialog, "exec", close)
    return shapes


def start_painting(desk):
    annotate = desk.open_dock("Annotate")
    press(annotate.task_buttons["segment"])
    return annotate


def paint_two_rows(desk, annotate, plane=()):
    tool = desk.use_tool(annotate, "paint_strokes")
    for value, row in ((1, 20), (2, 40)):
        desk.choose_class(value)
        desk.stroke(tool.layer, [(*plane, row, 10), (*plane, row, 50)])
    desk.session.save_tools()
    return tool


@pytest.mark.parametrize("side", [30, 31])
def test_three_planes_are_asked_for_whether_or_not_napari_guesses_colour(desk, asked, side):
    desk.viewer.add_image(np.random.default_rng(0).integers(0, 255, (side, side, 3), "u1"))
    annotate = start_painting(desk)
    press(annotate.tool_buttons["paint_strokes"])
    desk.qtbot.wait(300)
    assert asked == [3]  # one question, about all three axes
    assert not annotate.tool_buttons["paint_strokes"].isChecked()


def test_an_image_of_five_axes_is_annotated_where_the_sliders_stand(desk):
    pixels = np.random.default_rng(0).integers(0, 4000, (2, 3, 4, 64, 64)).astype(np.uint16)
    labels = ("t", "z", "s", "y", "x")
    desk.viewer.add_image(pixels, name="film", axis_labels=labels)
    for axis, step in enumerate((1, 2, 3)):
        desk.viewer.dims.set_current_step(axis, step)
    paint_two_rows(desk, start_painting(desk), (1, 2, 3))
    (plane,) = collect_planes(desk.session)
    assert plane.arrays.plane == (1, 2, 3)
    assert np.array_equal(plane.arrays.clean().pixels[0], pixels[1, 2, 3])
    assert not desk.messages


def test_an_image_without_a_valid_pixel_cannot_be_trained_on_and_is_named(desk):
    desk.viewer.add_image(np.full((64, 64), np.nan), name="dark", contrast_limits=(0, 1))
    paint_two_rows(desk, start_painting(desk))
    train = desk.open_dock("Train")
    desk.wait_until_idle()
    desk.messages.clear()
    press(train.train_button)  # may be refused before a job would be seen to run
    desk.qtbot.waitUntil(lambda: bool(desk.messages), timeout=60_000)
    desk.wait_until_idle()
    assert len(desk.messages) == 1
    assert "dark" in desk.messages[0]
    assert desk.session.model is None
    assert all(desk.session.class_counts())


def test_a_thousand_dabs_in_a_row_all_reach_the_project(desk):
    desk.viewer.add_image(np.zeros((256, 256), np.uint8), name="flat")
    tool = desk.use_tool(start_painting(desk), "paint_strokes")
    random = np.random.default_rng(0)
    for number in range(1000):
        tool.layer.paint(tuple(random.integers(0, 256, 2)), 1 + number % 2)
    shown = tool.layer.data.copy()
    desk.session.save_tools()
    (image,) = desk.session.project.images()
    assert np.array_equal(desk.session.project.read_painting(image.id, (), (256, 256)), shown)
    assert desk.session.class_counts() == [int((shown == k).sum()) for k in (1, 2)]


def weights(desk):
    tensors = desk.session.model.network.state_dict()
    return {name: value.cpu().numpy().copy() for name, value in tensors.items()}


def test_painting_while_training_does_not_change_what_is_learned(desk):
    image = np.random.default_rng(0).normal(100, 8, (64, 64)).astype(np.float32)
    desk.viewer.add_image(image, name="noise")
    tool = paint_two_rows(desk, start_painting(desk))
    train = desk.open_dock("Train")
    desk.wait_until_idle()
    train.form.epochs.setValue(3)
    desk.train(train)
    undisturbed = weights(desk)
    press(train.train_button)
    random, n_painted = np.random.default_rng(1), 0
    while train.training.state != "idle":
        tool.layer.paint(tuple(random.integers(0, 64, 2)), 1 + n_painted % 2)
        n_painted += 1
        desk.qtbot.wait(5)
    assert n_painted > 3
    disturbed = weights(desk)
    assert all(np.array_equal(undisturbed[name], disturbed[name]) for name in undisturbed)
    assert not desk.messages


def test_a_class_deleted_while_training_leaves_the_run_its_own_classes(desk, monkeypatch):
    desk.open_sample("blood-smear-1")
    annotate, train = desk.open_dock("Annotate"), desk.open_dock("Train")
    desk.annotate_smear(annotate, n=40)
    desk.wait_until_idle()
    names = [info.name for info in desk.session.classes]
    train.form.epochs.setValue(4)
    press(train.train_button)
    desk.qtbot.waitUntil(lambda: bool(train.curves._points["batch"].values), timeout=60_000)
    monkeypatch.setattr(QInputDialog, "getItem", lambda *_: ("delete them too", True))
    desk.session.set_current_class(1)
    press(annotate.class_table.delete_button)
    assert [info.name for info in desk.session.classes] == names[1:]
    desk.qtbot.waitUntil(lambda: train.training.state == "idle", timeout=60_000)
    assert [entry.name for entry in desk.session.model.card.classes] == names
    assert desk.session.project.runs()[-1].outcome == "finished"


def test_a_chunk_that_cannot_be_read_is_told_and_nothing_is_lost(desk):
    faults: list[str] = []

    def read(block):
        if faults:
            raise OSError(faults[0])
        return block

    pixels = da.zeros((64, 64), chunks=(64, 64), dtype="u1").map_blocks(read, dtype="u1")
    desk.viewer.add_image(pixels, name="lazy", contrast_limits=(0, 9), cache=False)
    paint_two_rows(desk, start_painting(desk))
    train = desk.open_dock("Train")
    desk.wait_until_idle()
    faults.append("chunk 1.0 is gone")
    press(train.train_button)
    assert train.training.state == "idle"
    assert len(desk.messages) == 1
    assert "'lazy'" in desk.messages[0]
    assert "chunk 1.0 is gone" in desk.messages[0]
    assert all(desk.session.class_counts())
    faults.clear()
    train.form.epochs.setValue(1)
    desk.train(train)
    assert desk.session.model is not None
