"""Flow C: mark positions, train, and see a track over a film or points over an image; save, load, apply."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from dock_helpers import press
from qtpy.QtWidgets import QFileDialog

from napari_convnet.project import MarkedPlane
from napari_convnet.widgets.closed_images import read_planes
from napari_convnet.widgets.layers import mark_of
from napari_convnet.widgets.position_mode import choose_mode
from napari_convnet.widgets.position_training import position_set
from napari_convnet.widgets.training_data import collect_planes

sys.path.insert(0, str(Path(__file__).parents[2] / "sample_images"))
from simulated_bead import bead_film

_N_FRAMES, _MARKED = 120, 90
_PLACEMENT = {
    "scale": (2, 0.1, 0.1), "translate": (0, 4, -3), "rotate": (0, 0, 20),
    "units": ("ms", "um", "um"), "axis_labels": ("t", "y", "x"),
}  # fmt: skip


def root_mean_square(errors) -> float:
    return float(np.sqrt((errors**2).sum(1).mean()))


def spots_image(seed: int, n: int = 14, shape=(128, 144)):
    """Return a noisy image of spots that do not touch, and where they are."""
    random = np.random.default_rng(seed)
    places = np.empty((0, 2))
    while len(places) < n:
        place = random.uniform(8, np.array(shape) - 9)
        if len(places) == 0 or np.linalg.norm(places - place, axis=1).min() > 12:
            places = np.vstack([places, place])
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    image = random.normal(100, 5, shape)
    for y, x in places:
        image += 80 * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / 8)
    return image.astype(np.float32), places


def mark(desk, dock, image, by_place) -> None:
    """Mark positions (plane, place); the first three with real clicks."""
    tool = desk.use_tool(dock, "mark_positions")
    for number, (plane, place) in enumerate(by_place):
        if number < 3:
            if plane:
                desk.viewer.dims.set_current_step(0, plane[0])
            desk.viewer.scene.camera.center = image.data_to_world((*plane, *place))[-2:]
            desk.viewer.scene.camera.zoom = 40 / image.scale[-1]
            desk.click(tool.layer, (*plane, *place))
        else:
            tool.mark_at(tuple(place), plane)
    assert [p.centre for p in tool.positions()] == [
        pytest.approx(place, abs=0.05) for _, place in by_place
    ]


def sets_of(desk):
    """Return the training set that the dock would make now."""
    planes = collect_planes(desk.session)
    images = read_planes([plane.arrays for plane in planes])
    return position_set(
        planes, images, desk.session.classes, "patch", patch_size=0, validation_fraction=0.2, seed=0
    )


@pytest.fixture
def docks(desk):
    """The Annotate dock with the task "locate", and the Train dock."""

    def open_docks():
        annotate, train = desk.open_dock("Annotate"), desk.open_dock("Train")
        press(annotate.task_buttons["locate"])
        return annotate, train

    return open_docks


def test_a_spinning_bead_becomes_a_track(desk, docks, monkeypatch, tmp_path):
    film, truth = bead_film(3, _N_FRAMES)
    image = desk.viewer.add_image(film.image, name="bead", **_PLACEMENT)
    annotate, train = docks()
    mark(desk, annotate, image, [((t,), tuple(truth[t])) for t in range(_MARKED)])
    assert train.mode_form.mode == "patch"
    assert train.mode_form.reason.text().startswith("One position in each marked frame (90)")
    assert train.form.network.currentText() == "position_convnet"
    train.form.epochs.setValue(30)
    desk.train(train)
    assert "Root mean square error 0." in train.result.text(), desk.messages
    assert "µm) on 18 held-out positions (the last frames of the film" in train.result.text()
    assert train.curves._score_name == "error (px)"
    assert "shown as a track" in train.result.text()

    track, points = desk.viewer.layers["bead track"], desk.viewer.layers["bead located"]
    assert mark_of(track)["kind"] == "predicted-tracks"
    assert mark_of(points)["kind"] == "predicted-positions"
    assert track.data[:, :2].tolist() == [[1, t] for t in range(_N_FRAMES)]
    unseen = slice(_MARKED + 5, None)
    assert root_mean_square(track.data[unseen, 2:] - truth[unseen]) <= 0.3
    for layer in (track, points):
        for name in ("scale", "translate", "rotate", "affine", "units", "axis_labels"):
            assert np.array_equal(getattr(layer, name), getattr(image, name)), (layer, name)
        assert (layer.features["class"] == "object").all()
        assert np.allclose(layer.features["y_um"], track.data[:, 2] * 0.1)

    path = tmp_path / "bead.safetensors"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(path), ""))
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(path), ""))
    press(train.model_bar.save_button)
    before = track.data.copy()
    predict = desk.open_dock("Predict")
    press(predict.model_bar.load_button)
    assert desk.session.model.card.pixel_size == (0.1, 0.1)
    track.name = "my track"
    press(predict.predict_button)
    desk.qtbot.waitUntil(lambda: predict.runner.state == "idle", timeout=60_000)
    kinds = [mark_of(layer).get("kind", "") for layer in desk.viewer.layers]
    assert kinds.count("predicted-tracks") == kinds.count("predicted-positions") == 1
    assert np.allclose(desk.viewer.layers["my track"].data, before, atol=1e-3)
    assert predict.result_table.model().rowCount() == _N_FRAMES
    predict.result_table.chosen.emit(17)  # a click on a row
    assert desk.viewer.dims.current_step[0] == 17
    table = tmp_path / "bead.csv"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(table), ""))
    press(predict.table_button)
    saved = pd.read_csv(table)
    assert list(saved.columns) == ["t", "y", "x", "t_ms", "y_um", "x_um", "class", "agreement"]
    assert np.allclose(saved["t_ms"], 2 * saved["t"])
    assert not desk.messages


def test_spots_of_an_image_are_found_through_a_map(desk, docks):
    for seed in (1, 2):
        pixels, places = spots_image(seed)
        image = desk.viewer.add_image(pixels, name=f"spots {seed}", scale=(0.2, 0.2))
    truth = places
    annotate, train = docks()
    desk.viewer.layers.selection.active = image
    annotate.picker.set_value(type(desk.session.source)((str(image.unique_id),)))
    mark(desk, annotate, image, [((), tuple(place)) for place in truth])
    assert train.mode_form.mode == "heat_map"
    assert "Up to 14 positions in a plane" in train.mode_form.reason.text()
    assert "counts as background" in train.mode_form.reason.text()
    assert train.form.network.currentText() == "unet"
    train.form.epochs.setValue(45)
    desk.train(train)
    text = train.result.text()
    assert "Precision " in text, desk.messages
    assert "px, root mean square error 0." in text
    assert "held-out positions" in text
    found = desk.viewer.layers["spots 2 located"]
    assert found.features.columns.tolist() == ["y", "x", "class", "height"]
    distances = np.linalg.norm(found.data[:, None] - truth[None], axis=2)
    assert (distances.min(0) < 1).mean() >= 0.9
    assert (distances.min(1) < 1).mean() >= 0.9
    assert f"{len(found.data)} positions of class 'object'" in text


def test_films_that_are_not_open_are_read_and_held_out_as_the_person_chose(desk, docks, tmp_path):
    annotate, _ = docks()
    for name, seed in (("one", 1), ("two", 2)):
        film, truth = bead_film(seed, 24)
        path = tmp_path / f"{name}.tif"
        tifffile.imwrite(path, film.image, metadata={"axes": "TYX"})
        desk.session.set_tool(None)
        desk.viewer.layers.clear()
        desk.viewer.open(path, plugin="napari")
        tool = desk.use_tool(annotate, "mark_positions")
        for t in range(24):
            tool.mark_at(tuple(truth[t]), (t,))
    project, (closed, opened) = desk.session.project, desk.session.project.images()
    samples = sets_of(desk)
    assert (samples.n_training, samples.n_validation) == (34, 10)
    assert "the last frames of each of 2 films" in samples.description
    middle = (40 - 1) / 2
    found = {tuple(np.round(target + middle, 3)) for target in samples.targets.double().numpy()}
    assert found >= {tuple(np.round(place, 3)) for place in truth}
    project.set_split(closed.id, "validation")
    assert sets_of(desk).split.validation.tolist() == list(
        range(24, 48)
    )  # the open one comes first
    project.set_split(closed.id, "training")
    assert sets_of(desk).split.validation.tolist() == list(range(24))
    project.set_split(opened.id, "training")
    assert sets_of(desk).n_validation == 0
    project.set_split(closed.id, "test")
    assert len(sets_of(desk).targets) == 24


def test_one_in_each_frame_cannot_be_learned_from_two_in_a_frame(desk, docks):
    film, truth = bead_film(1, 6)
    desk.viewer.add_image(film.image, name="bead", axis_labels=("t", "y", "x"))
    annotate, train = docks()
    tool = desk.use_tool(annotate, "mark_positions")
    assert not train.train_button.isEnabled()
    for t in range(6):
        tool.mark_at(tuple(truth[t]), (t,))
    assert train.mode_form.mode == "patch"
    tool.mark_at((3.0, 3.0), (2,))
    assert train.mode_form.mode == "heat_map"
    train.mode_form.choice.setCurrentIndex(1)
    assert train.form.network.currentText() == "position_convnet"
    desk.train(train)
    assert "plane 2' has 2 positions" in train.result.text()
    assert desk.session.model is None


def test_the_way_to_learn_is_chosen_from_the_data():
    class Record:
        def __init__(self, image_id, shape, split="automatic"):
            self.id, self.shape, self.split = image_id, shape, split

    images = [Record(1, (50, 40, 60)), Record(2, (50, 40, 600)), Record(3, (40, 60), "test")]
    one = [MarkedPlane(1, (t,), 1, (1, 1)) for t in range(9)]
    in_test_set = MarkedPlane(3, (), 30, (1, 2))
    assert choose_mode([*one, in_test_set], images).mode == "patch"
    several = choose_mode([*one, MarkedPlane(1, (9,), 4, (1, 1))], images)
    assert several.mode == "heat_map"
    assert several.reason.startswith("Up to 4 positions in a plane")
    assert choose_mode([*one, MarkedPlane(1, (9,), 1, (2, 2))], images).mode == "heat_map"
    large = choose_mode([MarkedPlane(2, (t,), 1, (1, 1)) for t in range(9)], images)
    assert large.mode == "heat_map"
    assert "600 pixels, too large" in large.reason
    assert choose_mode(one, images, "heat_map").mode == "heat_map"
