"""What the axes of an image mean is asked once, never guessed, and remembered for its file."""

from __future__ import annotations

from types import SimpleNamespace

import dask.array as da
import imageio.v3 as imageio
import numpy as np
import pytest
import tifffile
import zarr
from dock_helpers import press
from napari.components import ViewerModel
from napari.layers import Image
from qtpy.QtCore import QTimer
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QDialog, QDialogButtonBox, QWidget

from napari_convnet.errors import UserError
from napari_convnet.widgets.axes import AxesDialog, known_axes, settle_axes
from napari_convnet.widgets.layers import image_data
from napari_convnet.widgets.placement import placement_of
from napari_convnet.widgets.remembered import read_remembered, remembered_file
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
    asked.answer = ("z", "c", "y", "x")
    dock = desk.open_dock("Annotate")
    desk.viewer.dims.set_current_step(0, 3)
    tool = paint(desk, dock, (3,))
    assert asked == [["", "", "y", "x"]]
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
    asked.answer = ("t", "c", "y", "x")
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
    assert asked == [["", "y", "x"]]
    assert not dock.tool_buttons["paint_strokes"].isChecked()
    assert len(desk.viewer.layers) == 1
    assert desk.session.project is None


@pytest.mark.parametrize("labels", [("z", "y", "x"), ("time", "y", "x"), ("Z", "Y", "X")])
def test_what_the_file_says_is_not_asked(desk, asked, pixels, labels):
    desk.viewer.add_image(pixels[:, 0], name="stack", axis_labels=labels)
    paint(desk, desk.open_dock("Annotate"), (0,))
    assert asked == []


# Every shape that napari may take for something else ------------------------------------------


@pytest.fixture
def headless(tmp_path, monkeypatch):
    """The layers of a viewer without its window, which would take most of the time."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "user data"))
    return SimpleNamespace(viewer=ViewerModel())


def settle(desk, layer) -> list[Image]:
    """Do what a tool does before it starts."""
    return settle_axes(desk.viewer, layer, None)


def numbers(shape, dtype=np.uint8) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 200, shape).astype(dtype)


@pytest.mark.parametrize(
    "side", [30, 31]
)  # napari takes 31 x 31 x 3 for colours and 30 x 30 x 3 for a stack
def test_three_values_a_pixel_of_a_small_image_are_asked_not_guessed(headless, asked, side):
    pixels = numbers((side, side, 3))
    asked.answer = ("y", "x", "r")
    (colours,) = settle(headless, headless.viewer.add_image(pixels, name="a"))
    assert (colours.rgb, colours.ndim, image_data(colours).array.shape) == (True, 2, pixels.shape)
    assert settle(headless, colours) == [colours]
    asked.answer = ("y", "x", "c")
    channels = settle(headless, headless.viewer.add_image(pixels, name="b"))
    assert [layer.rgb for layer in channels] == [False] * 3
    assert all(np.array_equal(channels[k].data, pixels[..., k]) for k in range(3))
    asked.answer = ("z", "y", "x")
    (stack,) = settle(headless, headless.viewer.add_image(pixels, name="c", scale=None))
    assert (stack.rgb, stack.axis_labels) == (False, ("z", "y", "x"))
    assert np.array_equal(stack.data, pixels)
    assert asked == [["y", "x", ""]] * 3


@pytest.mark.parametrize(
    ("shape", "dtype", "is_asked"),
    [
        ((64, 64, 3), "u1", False),
        ((64, 64, 4), "u1", False),
        ((64, 64, 4), "u2", True),
        ((63, 90, 3), "u1", True),
    ],
)
def test_large_pictures_of_bytes_are_colour_and_other_pixels_may_not_be(
    headless, asked, shape, dtype, is_asked
):
    layer = headless.viewer.add_image(numbers(shape, dtype))
    assert layer.rgb
    asked.answer = ("y", "x", "r")
    assert settle(headless, layer) == [layer]
    assert bool(asked) is is_asked


def write(path, pixels, **options):
    if path.suffix == ".png":
        imageio.imwrite(path, pixels)
    else:
        tifffile.imwrite(path, pixels, **options)
    return path


@pytest.mark.parametrize(
    ("name", "shape", "options", "n_layers"),
    [
        ("small.png", (20, 30, 3), {}, 1),
        ("rgb.tif", (20, 30, 3), {"photometric": "rgb"}, 1),
        ("samples.tif", (40, 50, 4), {"photometric": "minisblack", "planarconfig": "contig"}, 4),
        ("imagej.tif", (4, 3, 40, 50), {"imagej": True, "metadata": {"axes": "ZCYX"}}, 3),
        ("ome.ome.tif", (2, 40, 50), {"ome": True, "metadata": {"axes": "CYX"}}, 2),
    ],
)
def test_what_a_file_format_says_is_not_asked(
    headless, asked, tmp_path, name, shape, options, n_layers
):
    pixels = numbers(shape)
    (layer,) = headless.viewer.open(write(tmp_path / name, pixels, **options), plugin="napari")
    found = settle(headless, layer)
    assert asked == []
    assert len(found) == len(headless.viewer.layers) == n_layers
    assert all(layer.rgb is ("png" in name or "rgb" in name) for layer in found)
    if n_layers > 1:
        axis = shape.index(n_layers) if name != "imagej.tif" else 1
        assert np.array_equal(np.stack([np.asarray(each.data) for each in found], axis), pixels)


@pytest.mark.parametrize(
    ("shape", "answer"),
    [
        ((2, 64, 64), "cyx"), ((64, 64, 2), "yxc"), ((64, 3, 60), "ycx"), ((3, 62, 60, 2), "zyxc"),
        ((2, 62, 3, 60), "cyzx"),
    ],
)  # fmt: skip
def test_any_axis_may_hold_channels_and_the_answer_is_kept_for_the_file(
    headless, asked, tmp_path, shape, answer
):
    pixels = numbers(shape, np.uint16)
    path = write(tmp_path / "stack.tif", pixels, photometric="minisblack")
    asked.answer = tuple(answer)
    axis = answer.index("c")
    order = [k for k in range(len(shape)) if answer[k] not in "cyx"]
    order += [answer.index("y"), answer.index("x")]
    for _ in range(2):
        headless.viewer.layers.clear()
        channels = settle(headless, headless.viewer.open(path, plugin="napari")[0])
        expected = np.transpose(pixels, [axis, *order])
        assert np.array_equal(np.stack([layer.data for layer in channels]), expected)
        assert channels[0].axis_labels == tuple(answer[k] for k in order)
    assert len(asked) == 1


def test_forty_five_channels_are_forty_five_layers(headless, asked):
    pixels = numbers((45, 64, 64))
    asked.answer = ("c", "y", "x")
    channels = settle(headless, headless.viewer.add_image(pixels))
    assert np.array_equal(np.stack([layer.data for layer in channels]), pixels)


def test_training_reads_channels_that_come_last_from_a_closed_file(desk, asked, tmp_path):
    pixels = numbers((64, 60, 5), np.uint16)
    path = write(tmp_path / "last.tif", pixels, photometric="minisblack")
    asked.answer = ("y", "x", "c")
    dock = desk.open_dock("Annotate")
    desk.viewer.open(path, plugin="napari")
    tool = paint(desk, dock, ())
    assert len(tool.image.source.image_ids) == 5
    (opened,) = collect_planes(desk.session)
    desk.session.set_tool(None)
    desk.viewer.layers.clear()
    (closed,) = collect_planes(desk.session)
    for plane in (opened, closed):
        assert np.array_equal(plane.arrays.clean().pixels, np.moveaxis(pixels, -1, 0))
    assert np.array_equal(opened.painted, closed.painted)


def test_five_axes_are_worked_on_at_the_plane_that_is_shown(desk, asked):
    pixels = numbers((2, 3, 4, 64, 60))
    desk.viewer.add_image(pixels, name="film")
    desk.viewer.dims.set_current_step([0, 1], [1, 2])
    asked.answer = tuple("tzcyx")
    paint(desk, desk.open_dock("Annotate"), (1, 2))
    (plane,) = collect_planes(desk.session)
    assert plane.arrays.plane == (1, 2)
    assert np.array_equal(plane.arrays.clean().pixels, pixels[1, 2])


@pytest.mark.filterwarnings("ignore:Non-orthogonal slicing")
@pytest.mark.parametrize("kind", ["dask", "zarr", "multiscale"])
def test_planes_that_come_last_stay_lazy_and_where_they_were(headless, asked, kind):
    """The axes Y, X, Z of a sheared and rotated image become Z, Y, X."""
    read, pixels = [], numbers((40, 50, 6))

    def note(block):
        read.append(block.shape)
        return block

    array = da.from_array(pixels, chunks=(20, 25, 1)).map_blocks(
        note, dtype=pixels.dtype, meta=np.empty((0, 0, 0), "u1")
    )
    if kind == "zarr":
        array = zarr.create_array(
            zarr.storage.MemoryStore(), shape=pixels.shape, dtype="u1", chunks=(20, 25, 1)
        )
        array[:] = pixels
    data = [array, array[::2, ::2]] if kind == "multiscale" else array
    layer = headless.viewer.add_image(
        data, scale=(2, 3, 5), translate=(7, -8, 9), shear=(0.1, 0.2, 0.3), rotate=(10, 20, 30), affine=np.eye(4),
        contrast_limits=(0, 255), rgb=False,
    )  # fmt: skip
    expected = np.asarray(layer.data_to_world((11, 22, 3)))
    asked.answer = ("y", "x", "z")
    read.clear()
    (stack,) = settle(headless, layer)
    assert asked == [["y", "x", ""]]
    assert sum(np.prod(shape) for shape in read) < pixels.size
    assert np.array_equal(np.asarray(image_data(stack).array), np.moveaxis(pixels, -1, 0))
    assert np.allclose(stack.data_to_world((3, 11, 22)), expected[[2, 0, 1]], atol=1e-6)
    assert stack.axis_labels == ("z", "y", "x")


def test_labels_may_name_the_axes_in_any_order(headless, asked):
    pixels = numbers((40, 50, 4, 3))
    layer = headless.viewer.add_image(
        pixels, axis_labels=("X", "height", "Time", "channel"), rgb=False
    )
    assert known_axes(layer) == ("x", "y", "t", "c")
    channels = settle(headless, layer)
    assert asked == []
    assert np.array_equal(channels[1].data, pixels[..., 1].transpose(2, 1, 0))


def test_a_locked_layer_is_not_replaced(headless, asked):
    layer = headless.viewer.add_image(numbers((40, 50, 2)))
    layer.locked = True
    asked.answer = ("y", "x", "c")
    with pytest.raises(UserError, match="is locked") as caught:
        settle(headless, layer)
    assert caught.value.code == "CN-403"
    assert list(headless.viewer.layers) == [layer]


@pytest.mark.parametrize(
    "text", ["", "[", '{"a": 7}', "[]", '{"PATH": "qyx"}', '{"PATH": "yyx"}', '{"PATH": "yx"}']
)
def test_damaged_answers_are_asked_for_again(headless, asked, tmp_path, text):
    path = write(tmp_path / "stack.tif", numbers((5, 40, 50)), photometric="minisblack")
    remembered_file("axes").parent.mkdir(parents=True, exist_ok=True)
    remembered_file("axes").write_text(text.replace("PATH", str(path)))
    asked.answer = ("z", "y", "x")
    settle(headless, headless.viewer.open(path, plugin="napari")[0])
    assert len(asked) == 1
    assert read_remembered("axes")[str(path)] == "zyx"


# The dialog itself ----------------------------------------------------------------------------


def dialog_for(qtbot, shape, known=None) -> AxesDialog:
    layer = Image(np.zeros(shape, np.uint8), rgb=False)
    dialog = AxesDialog(layer, known or ("",) * len(shape), None)
    qtbot.addWidget(dialog)
    return dialog


def choose(dialog, axis, letter):
    dialog.choices[axis].setCurrentIndex(dialog.choices[axis].findData(letter))


def is_ready(dialog) -> bool:
    return dialog.buttons.button(QDialogButtonBox.StandardButton.Ok).isEnabled()


@pytest.mark.parametrize(
    ("shape", "suggestion"),
    [
        ((2, 64, 64), "-yx"),
        ((64, 64, 2), "yx-"),
        ((45, 64, 64), "-yx"),
        ((200, 64, 64), "-yx"),
        ((5, 64, 64, 4), "-yx-"),
    ],
)
def test_only_height_and_width_are_suggested(qtbot, shape, suggestion):
    dialog = dialog_for(qtbot, shape)
    assert "".join(letter or "-" for letter in dialog.answer()) == suggestion
    assert not is_ready(dialog)


def test_the_dialog_says_what_an_answer_makes_of_the_image(qtbot):
    dialog = dialog_for(qtbot, (5, 2, 60, 70))
    assert dialog.outcome.text() == "Choose what axis 0 is."
    choose(dialog, 0, "z")
    choose(dialog, 1, "c")
    assert (
        dialog.outcome.text()
        == "2 layers, one for each channel, of 60 x 70 pixels with 5 planes in depth."
    )
    assert is_ready(dialog)
    choose(dialog, 0, "y")  # no two axes are the height: they change places
    assert dialog.answer() == ("y", "c", "z", "x")
    assert "of 5 x 70 pixels with 60 planes in depth" in dialog.outcome.text()
    choose(dialog, 2, "")
    assert not is_ready(dialog)


def test_hundreds_of_channels_are_not_made_layers(qtbot):
    dialog = dialog_for(qtbot, (400, 60, 70))
    choose(dialog, 0, "c")
    assert "400 channels would be 400 layers" in dialog.outcome.text()
    assert not is_ready(dialog)


def test_the_question_is_answered_by_hand(viewer, qtbot):
    """The real dialog, shown, with keys typed into it."""
    pixels = numbers((64, 60, 2))
    layer, parent = viewer.add_image(pixels, name="two stains"), QWidget()
    qtbot.addWidget(parent)

    def answer():
        dialog = next(
            w for w in QApplication.topLevelWidgets() if isinstance(w, AxesDialog) and w.isVisible()
        )
        QTest.keyClicks(dialog.choices[2], "channels")
        dialog.buttons.button(QDialogButtonBox.StandardButton.Ok).click()

    QTimer.singleShot(200, answer)
    channels = settle_axes(viewer, layer, parent)
    assert [each.name for each in channels] == ["two stains channel 1", "two stains channel 2"]
    assert np.array_equal(channels[1].data, pixels[..., 1])


@pytest.mark.filterwarnings("ignore:Non-orthogonal slicing")
def test_axes_in_another_order_lie_in_the_same_place():
    random = np.random.default_rng(0)
    for _ in range(50):
        n = int(random.integers(2, 5))
        layer = Image(
            np.zeros((2,) * n), scale=random.uniform(0.1, 9, n), translate=random.normal(0, 9, n),
            shear=random.uniform(-0.5, 0.5, n * (n - 1) // 2),
            rotate=np.linalg.qr(random.normal(0, 1, (n, n)))[0],
            affine=np.vstack([np.hstack([np.eye(n) + random.normal(0, 0.1, (n, n)), random.normal(0, 5, (n, 1))]),
                              [0] * n + [1]]),
        )  # fmt: skip
        order = random.permutation(n)
        other = Image(np.zeros((2,) * n), **placement_of(layer).reordered(order).as_arguments())
        point = random.uniform(0, 100, n)
        expected = np.asarray(layer.data_to_world(point))[order]
        np.testing.assert_allclose(other.data_to_world(point[order]), expected, atol=1e-6)
