"""What the docks say of images that cannot be used as they are, once; and of images that cannot be read."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import tifffile
import zarr
from dock_helpers import press
from qtpy.QtWidgets import QApplication, QFileDialog

from napari_convnet.images import lazy_plane
from napari_convnet.widgets import planes
from napari_convnet.widgets.layers import find_layer, layer_id
from synthetic_pictures import draw_blobs


def noise(shape=(64, 64), seed=0):
    return np.random.default_rng(seed).normal(100, 8, shape).astype(np.float32)


def paint(desk):
    """Paint two rows of two classes on the image that is open; return the Annotate dock."""
    annotate = desk.open_dock("Annotate")
    press(annotate.task_buttons["segment"])
    tool = desk.use_tool(annotate, "paint_strokes")
    for value, row in ((1, 20), (2, 40)):
        tool.layer.data_setitem((np.full(40, row), np.arange(10, 50)), value)
    desk.session.save_tools()
    return annotate


def paint_and_open_train(desk):
    paint(desk)
    train = desk.open_dock("Train")
    desk.wait_until_idle()
    train.form.epochs.setValue(1)
    assert train.train_button.isEnabled(), train.summary.text()
    return train


def train_now(desk, train):
    """Press Train and return what the dock says in the end; so short a training may end within the click."""
    press(train.train_button)
    desk.qtbot.waitUntil(lambda: train.training.state == "idle", timeout=60_000)
    desk.qtbot.waitUntil(lambda: train.predicting.state == "idle", timeout=60_000)
    return train.result.text()


def open_predict(desk, model):
    predict = desk.open_dock("Predict")
    desk.session.set_model(model)
    return predict


def predict_now(desk, predict):
    press(predict.predict_button)
    desk.qtbot.waitUntil(lambda: predict.runner.state == "idle", timeout=60_000)
    return predict.result.text()


def test_invalid_pixels_are_said_once_for_an_image_until_it_changes(desk):
    pixels = noise()
    pixels[20, 11:14] = np.nan
    layer = desk.viewer.add_image(pixels, name="cells", contrast_limits=(50, 150))
    train = paint_and_open_train(desk)
    text = train_now(desk, train)
    told = "'cells': 3 invalid pixels (NaN or infinite) were treated as background."
    assert text.count(told) == 1
    weights = desk.session.model.network.state_dict().values()
    assert all(np.isfinite(w.cpu().numpy()).all() for w in weights)
    text = train_now(desk, train)
    assert "invalid" not in text
    assert "objects" in text
    layer.data[30, 30] = np.inf
    assert "'cells': 4 invalid pixels" in train_now(desk, train)
    assert not desk.messages


@pytest.mark.parametrize(
    ("pixels", "note"),
    [
        (np.full((64, 64), 7, np.uint16), "no contrast, all pixels are 7"),
        ((noise().astype(np.uint32) << 20), "values above 16,777,216 are rounded"),
        (noise((64, 64, 4)).astype(np.uint8), "its transparency (fourth channel) was left out"),
    ],
    ids=["constant", "large integers", "transparency"],
)
def test_the_train_dock_says_what_is_odd_about_an_image_and_trains(desk, pixels, note):
    desk.viewer.add_image(pixels, name="odd", contrast_limits=(0, 255))
    train = paint_and_open_train(desk)
    assert f"'odd': {note}" in train_now(desk, train)
    assert desk.session.model is not None
    assert not desk.messages


def test_the_predict_dock_says_it_once_and_names_each_image(desk, segmenter):
    first = noise(seed=1)
    first[5, 5] = np.inf
    one = desk.viewer.add_image(first, name="one", contrast_limits=(50, 150))
    predict = open_predict(desk, segmenter)
    assert "'one': 1 invalid pixel (NaN or infinite) was treated" in predict_now(desk, predict)
    assert "invalid" not in predict_now(desk, predict)
    desk.viewer.layers.remove(one)
    desk.viewer.add_image(np.full((64, 64), 3.0), name="two", contrast_limits=(0, 9))
    assert "'two': no contrast, all pixels are 3." in predict_now(desk, predict)


@pytest.fixture
def strip():
    """A long image of blobs, of which only parts are looked at for its brightness."""
    return np.tile(draw_blobs(size=500, n=120)[0][:, :250], (10, 1))


@pytest.fixture(autouse=True)
def small_memory(monkeypatch):
    """Take images of 20,000 pixels for large ones, and keep no chunk."""
    monkeypatch.setattr(planes, "READ_WHOLE", 20_000)
    monkeypatch.setattr(lazy_plane, "_BYTES_KEPT", 0)


def mask_of(desk, layer):
    return find_layer(desk.viewer, "predicted-mask", layer_id(layer)).data


def test_a_chunk_that_raises_ends_a_prediction_whose_finished_part_is_shown(desk, segmenter, strip):
    faults: list[str] = []

    def read(block, block_info=None):
        if faults and block_info[0]["chunk-location"][0] == 3:
            raise OSError(faults[0])
        return block

    lazy = da.from_array(strip, chunks=(600, 250)).map_blocks(read, dtype=strip.dtype)
    layer = desk.viewer.add_image(lazy, name="slide", contrast_limits=(50, 200), cache=False)
    predict = open_predict(desk, segmenter)
    faults.append("disk I/O error")
    text = predict_now(desk, predict)
    place = "'slide' cannot be read at rows 1,800 to 2,399, columns 0 to 249 (disk I/O error)"
    assert place in text
    assert "What was predicted before is kept." in text
    assert " objects of class '" in text
    assert [place in message for message in desk.messages] == [True]
    mask = mask_of(desk, layer)
    assert mask.shape == strip.shape
    assert 0 < (mask > 0).mean() < 1
    assert not mask[1800:2400].any()
    faults.clear()
    assert "cannot be read" not in predict_now(desk, predict)
    assert (mask_of(desk, layer) > 0).all()


def test_a_store_that_vanishes_while_predicting_does_the_same(desk, segmenter, strip, tmp_path):
    array = zarr.create_array(
        str(tmp_path / "slide.zarr"), shape=strip.shape, chunks=(1000, 250), dtype=strip.dtype
    )
    array[:] = strip
    lazy = da.from_zarr(str(tmp_path / "slide.zarr"))
    layer = desk.viewer.add_image(lazy, name="slide", contrast_limits=(50, 200), cache=False)
    predict = open_predict(desk, segmenter)
    tiles = []

    def unplug(event):
        tiles.append(event)
        if "tile" in event.text and (tmp_path / "slide.zarr").exists():
            (tmp_path / "slide.zarr").rename(tmp_path / "moved.zarr")

    predict.runner.progressed.connect(unplug)
    text = predict_now(desk, predict)
    assert "'slide' cannot be read at rows" in text
    assert "No array found in store" in text
    assert len(desk.messages) == 1
    mask = mask_of(desk, layer)
    assert 0 < (mask > 0).mean() < 1


def test_a_small_lazy_image_is_predicted_as_the_same_pixels_in_memory(
    desk, segmenter, strip, monkeypatch
):
    monkeypatch.setattr(planes, "READ_WHOLE", 4096**2)
    predict, found = open_predict(desk, segmenter), []
    for pixels in (strip[:300], da.from_array(strip[:300], chunks=(100, 70))):
        layer = desk.viewer.add_image(pixels, name="cells", contrast_limits=(50, 200))
        predict_now(desk, predict)
        found.append(mask_of(desk, layer).copy())
        desk.viewer.layers.clear()
    assert (found[0] == found[1]).all()


def test_float_labels_are_imported_when_the_person_accepts_the_conversion(
    desk, monkeypatch, tmp_path
):
    desk.viewer.add_image(noise(), name="cells")
    bar = paint(desk).exchange
    labels = np.zeros((64, 64), np.float32)
    labels[5, 5:20], labels[50:55] = 1, 2
    (tmp_path / "masks").mkdir()
    tifffile.imwrite(tmp_path / "masks" / "cells.tif", labels)
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path / "masks"))

    def import_painted(accepts):
        action = next(a for a in bar.import_menu.actions() if a.text() == "Painted labels…")
        action.trigger()
        QApplication.processEvents()
        bar._dialog._convert.setChecked(accepts)
        press(bar._dialog.go_on)
        desk.wait_until_idle()
        return bar.status.text()

    assert "'Convert decimals'" in import_painted(False)
    assert desk.session.class_counts() == [40, 40]
    assert "float32 values were converted" in import_painted(True)
    assert desk.session.class_counts() == [55, 40 + 5 * 64]
