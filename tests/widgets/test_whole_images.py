"""Models of whole images: trained on a folder for each class, applied to an image or to the planes of a stack."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from dock_helpers import press
from PIL import Image
from qtpy.QtWidgets import QFileDialog

from napari_convnet.images import clean_image
from napari_convnet.prediction import classify_images
from napari_convnet.progress import run


def picture(name: str, seed: int) -> np.ndarray:
    level = {"bright": 180, "dark": 60}[name]
    return np.random.default_rng(seed).normal(level, 12, (28, 32)).clip(0, 255).astype(np.uint8)


@pytest.fixture
def predict(desk, tmp_path, monkeypatch):
    """The Predict dock with a model that tells dark from bright pictures, trained in the Train dock."""
    for name in ("bright", "dark"):
        (tmp_path / "set" / name).mkdir(parents=True)
        for index in range(16):
            Image.fromarray(picture(name, index)).save(tmp_path / "set" / name / f"{index}.png")
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path / "set"))
    train = desk.open_dock("Train")
    press(train.folder_panel.choose_button)
    desk.wait_until_idle()
    train.form.epochs.setValue(6)
    train.form.patch_size.setValue(16)
    desk.train(train)
    assert desk.session.model.card.patch_size is None, desk.messages
    return desk.open_dock("Predict")


def finish(desk, predict) -> None:
    press(predict.predict_button)
    desk.qtbot.waitUntil(lambda: predict.runner.state == "idle", timeout=60_000)


def test_an_image_and_every_plane_of_a_stack_are_classified_as_wholes(
    desk, predict, monkeypatch, tmp_path
):
    desk.viewer.add_image(picture("dark", 101), name="one")
    n_layers = len(desk.viewer.layers)
    finish(desk, predict)
    assert predict.result.text().startswith("The whole image is 'dark' (probability "), (
        desk.messages,
        predict.result.text(),
    )
    assert predict.table.table["image"].tolist() == ["one"]
    assert len(desk.viewer.layers) == n_layers

    truth = ["dark", "bright", "bright", "dark", "bright", "dark"]
    stack = np.stack([picture(name, 100 + k) for k, name in enumerate(truth)])
    layer = desk.viewer.add_image(stack, name="stack", axis_labels=("z", "y", "x"))
    predict.picker.set_value(type(desk.session.source)((str(layer.unique_id),)))
    finish(desk, predict)
    assert predict.result.text() == "6 planes, each classified as a whole: 3 dark, 3 bright"
    assert predict.result_table.model().rowCount() == 6
    path = tmp_path / "planes.csv"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(path), ""))
    press(predict.table_button)
    saved = pd.read_csv(path)
    assert saved.columns.tolist() == ["image", "z", "class", "probability", "p bright", "p dark"]
    assert saved["z"].tolist() == list(range(6))
    assert saved["class"].tolist() == truth
    assert saved["probability"].between(0.5, 1).all()

    predict.orientations_box.click()
    finish(desk, predict)
    assert predict.result.text().endswith("3 dark, 3 bright (mean over 8 orientations)")
    images = [clean_image(picture, "YX") for picture in stack]
    steps = classify_images(
        desk.session.model, images.__getitem__, len(images), orientations=8, device="cpu"
    )
    found = predict.table.table[["p bright", "p dark"]]
    np.testing.assert_allclose(found, run(steps).probabilities, atol=1e-6)
    assert not desk.messages


def test_colour_pictures_are_refused_with_the_reason_and_cells_are_still_classified_one_by_one(
    desk, predict
):
    rgb = np.stack([picture("dark", 101)] * 3, axis=-1)
    layer = desk.viewer.add_image(np.pad(rgb, ((20, 20), (20, 20), (0, 0))), name="rgb", rgb=True)
    finish(desk, predict)
    assert "channel" in desk.messages[-1]
    desk.viewer.layers.remove(layer)
    image = desk.viewer.add_image(np.hstack([picture("dark", 102)] * 3), name="cells in here")
    cells = np.zeros(image.data.shape, int)
    cells[5:15, 5:15], cells[5:15, 40:50] = 1, 2
    desk.viewer.add_labels(cells, name="cells")
    assert predict.picker.value().labels_id
    finish(desk, predict)
    assert predict.result.text().startswith("2 cells: ")
