"""Models that locate: trained, saved, opened, and applied to films, images and files."""

import csv
import json
import threading
from dataclasses import replace

import numpy as np
import pytest
import tifffile

from data_folders import command, one_message
from model_file_builders import put_together, take_apart
from napari_convnet import TrainingSettings, UserError, run, segment_image, train
from napari_convnet.images import clean_image
from napari_convnet.model_file import (
    LocateCard,
    load_model,
    model_bytes,
    model_from_bytes,
    save_model,
)
from napari_convnet.prediction import locate_in_frames, locate_positions
from napari_convnet.samples import (
    AnnotatedFrames,
    AnnotatedPositions,
    HeatMapSet,
    PositionSet,
)
from test_locate_samples import fields, film_of

SIZE = 20


def wandering(n, seed=0):
    """Return positions ``(n, 2)`` inside frames of 20 x 20 pixels."""
    return np.random.default_rng(seed).uniform(6, 13, (n, 2))


@pytest.fixture(scope="module")
def film_model():
    """A model trained on 60 frames of 20 x 20 pixels."""
    positions = wandering(60)
    film = film_of(positions, (SIZE, SIZE))
    samples = PositionSet.from_frames([AnnotatedFrames(film, positions)])
    settings = TrainingSettings(epochs=25, batch_size=16, learning_rate=3e-3, device="cpu")
    return run(train(samples, settings=settings))


@pytest.fixture(scope="module")
def field_model():
    """A small UNet trained on the heat maps of four images."""
    samples = HeatMapSet.from_images(fields(4), patch_size=32)
    settings = TrainingSettings(epochs=16, batch_size=8, learning_rate=5e-3, device="cpu")
    return run(train(samples, settings=settings, network_settings={"width": 8, "levels": 2}))


def root_mean_square(errors):
    return float(np.sqrt((errors**2).sum(1).mean()))


def test_a_film_is_located_to_a_fraction_of_a_pixel(film_model):
    positions = wandering(50, seed=1)
    result = run(locate_in_frames(film_model, film_of(positions, (SIZE, SIZE))))
    assert root_mean_square(result.positions - positions) < 0.35
    assert result.tracks.shape == (50, 4)
    np.testing.assert_array_equal(result.tracks[:, 0], 1)
    np.testing.assert_array_equal(result.tracks[:, 1], np.arange(50))
    np.testing.assert_array_equal(result.tracks[:, 2:], result.positions)
    assert ((result.confidence > 0) & (result.confidence <= 1)).all()


def test_the_scores_say_how_far_positions_are_off(film_model):
    scores = film_model.card.scores
    measured = scores["validation"]
    assert measured["n"] == 12
    assert 0 < measured["median_error_pixels"] <= measured["largest_error_pixels"]
    assert measured["root_mean_square_error_pixels"] < 1
    assert "last frames" in scores["measured_on"]
    assert film_model.card.locate == LocateCard(mode="patch", orientations=8)


def test_the_mean_of_eight_looks_is_turned_back(film_model):
    positions = wandering(30, seed=2)
    film = film_of(positions, (SIZE, SIZE))
    one = film_model.card.model_copy(update={"locate": LocateCard(mode="patch")})
    single = run(locate_in_frames(replace(film_model, card=one), film))
    eight = run(locate_in_frames(film_model, film))
    assert root_mean_square(eight.positions - positions) < root_mean_square(
        single.positions - positions
    )
    assert np.isnan(single.confidence).all()


def test_a_network_that_never_saw_turned_frames_looks_once():
    positions = wandering(20)
    samples = PositionSet.from_frames(
        [AnnotatedFrames(film_of(positions, (SIZE, SIZE)), positions)]
    )
    settings = TrainingSettings(epochs=1, rotation_min=0.0, rotation_max=0.0, device="cpu")
    assert run(train(samples, settings=settings)).card.locate.orientations == 1


def test_frames_smaller_than_the_patch_are_located_in_their_own_pixels(film_model):
    positions = wandering(30, seed=3)
    film = film_of(positions, (SIZE, SIZE))
    cropped = [clean_image(film[k].pixels[0, 1:, 2:], "YX") for k in range(30)]
    result = run(locate_in_frames(film_model, cropped))
    # no exact answer is asked for: the border is made up, and the normalisation another one
    assert root_mean_square(result.positions + np.array([1, 2]) - positions) < 1.0


def test_a_stopped_film_gives_what_was_done(film_model):
    stop = threading.Event()
    stop.set()
    film = film_of(wandering(80), (SIZE, SIZE))
    assert len(run(locate_in_frames(film_model, film, stop=stop)).positions) == 32


def test_all_positions_of_an_image_are_found(field_model):
    (truth,) = fields(1, n_points=14, seed=9)
    result = run(locate_positions(field_model, truth.image))
    distances = np.linalg.norm(truth.centres[:, None] - result.positions, axis=2)
    assert (distances.min(1) < 1).sum() >= 12
    assert (distances.min(0) < 1).mean() >= 0.85
    assert (result.values == 1).all()
    assert (np.diff(result.confidence) <= 0).all()
    assert 0.1 < field_model.card.locate.threshold < 1
    assert field_model.card.scores["validation"]["f1"] > 0.8


def test_tiles_give_the_positions_of_the_whole_image(field_model):
    (truth,) = fields(1, seed=4)
    whole = run(locate_positions(field_model, truth.image, tile_size=512))
    tiled = run(locate_positions(field_model, truth.image, tile_size=32))
    np.testing.assert_allclose(tiled.heat_maps, whole.heat_maps, atol=1e-4)
    np.testing.assert_allclose(tiled.positions, whole.positions, atol=1e-2)


def test_a_heat_map_gives_one_position_a_frame_of_a_film(field_model):
    parts = fields(3, n_points=1, seed=5)
    result = run(locate_in_frames(field_model, [part.image for part in parts]))
    truth = np.concatenate([part.centres for part in parts])
    assert np.linalg.norm(result.positions - truth, axis=1).max() < 1


@pytest.mark.parametrize("name", ["film_model", "field_model"])
def test_an_opened_model_locates_as_the_saved_one(name, request, tmp_path):
    model = request.getfixturevalue(name)
    save_model(model, tmp_path / "m.safetensors")
    opened = load_model(tmp_path / "m.safetensors")
    assert opened.card == model.card
    assert opened.card.format_version == 2
    frames = film_of(wandering(3), (SIZE, SIZE))[:]
    results = [run(locate_in_frames(m, frames)).positions for m in (model, opened)]
    np.testing.assert_array_equal(*results)


def test_a_program_that_knows_format_1_only_says_that_it_is_too_old(film_model, monkeypatch):
    from napari_convnet.model_file import reading

    data = model_bytes(film_model)
    monkeypatch.setattr(reading, "FORMAT_VERSION", 1)
    with pytest.raises(UserError, match="newer version") as refused:
        model_from_bytes(data, "bead")
    assert refused.value.code == "CN-104"


@pytest.mark.parametrize(
    "changes",
    [
        {"locate": None},
        {"format_version": 1},
        {"task": "segment"},
        {"locate": {"mode": "heat_map"}},
        {"locate": {"mode": "patch", "sigma": 2.0}},
        {"locate": {"mode": "patch", "orientations": 3}},
        {"locate": {"mode": "patch", "run": "rm"}},
        {"patch_size": 19},
    ],
)
def test_a_card_that_contradicts_itself_is_refused(film_model, changes):
    tensors, card = take_apart(model_bytes(film_model))
    with pytest.raises(UserError) as refused:
        model_from_bytes(put_together(tensors, {**card, **changes}), "bead")
    assert refused.value.code == "CN-105"


def test_models_are_refused_where_they_do_not_fit(film_model, field_model):
    large = clean_image(np.zeros((40, 40)), "YX", "large")
    image = clean_image(np.zeros((SIZE, SIZE)), "YX", "field")
    colour = clean_image(np.zeros((SIZE, SIZE, 3)), "YXC", "colour")
    for steps, words in (
        (locate_in_frames(film_model, [large]), "40 x 40"),
        (locate_in_frames(film_model, [colour]), "3"),
        (locate_positions(film_model, image), "film"),
        (segment_image(field_model, image), "trained to locate"),
    ):
        with pytest.raises(UserError, match=words) as refused:
            run(steps)
        assert refused.value.code == "CN-106"


def test_positions_of_two_classes_are_told_apart():
    random = np.random.default_rng(0)
    parts = []
    for number in range(4):
        points = random.uniform(5, 90, (16, 2))
        values = np.arange(16) % 2 + 1
        small, large = (
            fields_pixels(points[values == value], sigma) for value, sigma in ((1, 1.0), (2, 3.0))
        )
        pixels = small + large + random.normal(0, 0.03, (96, 96))
        parts.append(AnnotatedPositions(clean_image(pixels, "YX", f"f{number}"), points, values))
    from napari_convnet import make_classes

    samples = HeatMapSet.from_images(parts, make_classes(("small", "large")), patch_size=32)
    settings = TrainingSettings(epochs=20, batch_size=8, learning_rate=5e-3, device="cpu")
    model = run(train(samples, settings=settings, network_settings={"width": 8, "levels": 2}))
    validation = model.card.scores["validation"]
    assert set(validation["classes"]) == {"small", "large"}
    assert validation["f1"] > 0.7


def fields_pixels(points, sigma):
    from test_locate_samples import spots

    return spots(points, (96, 96), sigma)[0].numpy()


@pytest.fixture
def film_folder(tmp_path):
    """A film as a TIFF file with a pixel size, and the table of its first 40 positions."""
    positions = wandering(50)
    frames = np.stack([frame.pixels[0] for frame in film_of(positions, (SIZE, SIZE))])
    (tmp_path / "films").mkdir()
    tifffile.imwrite(
        tmp_path / "films" / "bead.tif", frames, imagej=True, resolution=(10, 10),
        metadata={"axes": "TYX", "unit": "um"},
    )  # fmt: skip
    rows = [f"bead.tif,{frame},{y},{x}\n" for frame, (y, x) in enumerate(positions[:40])]
    (tmp_path / "positions.csv").write_text("image,frame,y,x\n" + "".join(rows))
    return tmp_path, positions


def test_a_film_is_trained_predicted_and_measured_on_the_command_line(film_folder):
    root, positions = film_folder
    table, films, model = root / "positions.csv", root / "films", root / "m.safetensors"
    trained = command(
        "train", "locate", "--images", films, "--positions", table, "-o", model,
        "--epochs", 15, "--device", "cpu", "--report", root / "r.json",
    )  # fmt: skip
    assert trained.exit_code == 0, trained.output
    report = json.loads((root / "r.json").read_text())
    assert report["data"]["unit"] == "positions"
    assert "last frames" in report["data"]["held_out"]
    predicted = command("predict", model, films, "-o", root / "out", "--device", "cpu")
    assert predicted.exit_code == 0, predicted.output
    with (root / "out" / "positions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["frame"] for row in rows] == [str(k) for k in range(50)]
    found = np.array([[float(row["y"]), float(row["x"])] for row in rows])
    assert root_mean_square(found - positions) < 1
    assert float(rows[0]["y_um"]) == pytest.approx(found[0, 0] * 0.1, abs=1e-4)
    assert (root / "out" / "bead_positions.png").stat().st_size > 1000
    with (root / "out" / "summary.csv").open(newline="") as file:
        (summary,) = csv.DictReader(file)
    assert (summary["frames"], summary["objects"], summary["problem"]) == ("50", "50", "")
    again = command("predict", model, films, "-o", root / "out", "--device", "cpu")
    assert "1 of 1 images predicted (1 of them before)" in again.stderr
    measured = command(
        "evaluate", model, "--images", films, "--positions", table, "--report", root / "e.json"
    )
    assert measured.exit_code == 0, measured.output
    scores = json.loads((root / "e.json").read_text())
    assert scores["n"] == 40
    assert scores["root_mean_square_error_pixels"] == pytest.approx(
        root_mean_square(found[:40] - positions[:40]), abs=2e-3
    )
    assert scores["root_mean_square_error_um"] == pytest.approx(
        scores["root_mean_square_error_pixels"] * 0.1, rel=1e-3
    )


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        ("bead.tif,99,3,3", "CN-652", "line 2"),
        ("bead.tif,,3,3", "CN-652", "film"),
        ("bead.tif,0,three,3", "CN-652", "three"),
        ("other.tif,0,3,3", "CN-631", "other.tif"),
        ("../positions.csv,0,3,3", "CN-652", "not in the folder"),
        ("bead.tif,0,300,3", "CN-644", "frame 0"),
    ],
)
def test_a_wrong_table_is_refused_with_its_line(film_folder, line, code, words):
    root, _ = film_folder
    (root / "wrong.csv").write_text(f"image,frame,y,x\n{line}\n")
    result = command(
        "train", "locate", "--images", root / "films", "--positions", root / "wrong.csv",
        "-o", root / "m.safetensors",
    )  # fmt: skip
    assert words in one_message(result, code)
    assert not (root / "m.safetensors").exists()


def test_images_with_several_positions_are_trained_as_heat_maps(tmp_path):
    (tmp_path / "images").mkdir()
    lines = ["image,y,x,class"]
    for number, part in enumerate(fields(3, n_points=8, size=64)):
        tifffile.imwrite(tmp_path / "images" / f"{number}.tif", part.image.pixels[0])
        lines += [f"{number}.tif,{y},{x},spot" for y, x in part.centres]
    (tmp_path / "table.csv").write_text("\n".join(lines))
    model = tmp_path / "m.safetensors"
    result = command(
        "train", "locate", "--images", tmp_path / "images", "--positions", tmp_path / "table.csv",
        "-o", model, "--epochs", 1, "--size", 32, "--sigma", 2, "--device", "cpu",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    card = load_model(model).card
    assert (card.locate.mode, card.locate.sigma, card.network) == ("heat_map", 2.0, "unet")
    assert [entry.name for entry in card.classes] == ["spot"]
    result = command("predict", model, tmp_path / "images", "-o", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert len(list((tmp_path / "out").glob("*_positions.png"))) == 3
