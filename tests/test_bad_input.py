"""Wrong input of every kind: one clear message with a code, and nothing lost."""

import json
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing

import numpy as np
import pytest
import tifffile

from data_folders import (
    command,
    make_blob_folders,
    make_shape_folder,
    no_temporary_files,
    one_message,
)
from napari_convnet.errors import UserError
from napari_convnet.images import clean_image
from napari_convnet.model_file import load_model
from napari_convnet.prediction import segment_image
from napari_convnet.project import Project
from napari_convnet.training import TrainingInterrupted, run

FAST = ("--epochs", 1, "--device", "cpu")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Models that were trained on grey images: (classifier, segmentation)."""
    root = tmp_path_factory.mktemp("trained")
    shapes, (images, labels) = make_shape_folder(root / "s", n=4), make_blob_folders(root / "b")
    models = root / "classify.safetensors", root / "segment.safetensors"
    done = [
        command("train", "classify", shapes, "-o", models[0], "--size", 24, *FAST),
        train_segment(images, labels, models[1]),
    ]
    assert [result.exit_code for result in done] == [0, 0], done
    return models


@pytest.fixture
def blobs(tmp_path):
    return make_blob_folders(tmp_path / "data")


def train_segment(images, labels, model, *options):
    data = ("--images", images, "--labels", labels, "-o", model)
    return command("train", "segment", *data, "--size", 32, *FAST, *options)


def refuse_training(images, labels, code):
    """Check that training is refused with one message, and an older model stays as it was."""
    model = images.parent / "model.safetensors"
    model.write_bytes(b"old")
    message = one_message(train_segment(images, labels, model), code)
    assert model.read_bytes() == b"old"
    assert no_temporary_files(images.parent)
    return message


def change(path, edit):
    """Write an image again, edited."""
    tifffile.imwrite(path, edit(tifffile.imread(path)))


def test_no_image(tmp_path, trained):
    (tmp_path / "empty").mkdir()
    predict = ("predict", trained[0], tmp_path / "empty", "-o", tmp_path / "out")
    one_message(command(*predict), "CN-636")
    assert not (tmp_path / "out").exists()
    missing = ("predict", trained[0], tmp_path / "missing.tif", "-o", tmp_path / "out")
    assert "missing.tif" in one_message(command(*missing), "CN-631")


def test_no_annotation(blobs):
    images, labels = blobs
    for path in labels.iterdir():
        change(path, np.zeros_like)
    refuse_training(images, labels, "CN-621")


def test_an_image_without_labels(blobs):
    images, labels = blobs
    (labels / "field_1.tif").unlink()
    assert "field_1" in refuse_training(images, labels, "CN-636")


def test_one_class_only(blobs, tmp_path):
    images, labels = blobs
    for path in labels.iterdir():
        change(path, lambda values: np.minimum(values, 1))
    refuse_training(images, labels, "CN-622")

    shapes = make_shape_folder(tmp_path / "shapes", n=2)
    shutil.move(shapes / "square", tmp_path / "square")
    model = tmp_path / "m.safetensors"
    one_message(command("train", "classify", shapes, "-o", model, *FAST), "CN-622")
    assert not model.exists()


def test_label_and_image_of_different_shapes(blobs):
    images, labels = blobs
    change(labels / "field_0.tif", lambda values: values[:-1])
    message = refuse_training(images, labels, "CN-613")
    assert "(63, 64)" in message
    assert "(64, 64)" in message


def test_labels_that_are_no_whole_numbers(blobs):
    images, labels = blobs
    change(labels / "field_0.tif", lambda values: values.astype(np.float32))
    refuse_training(images, labels, "CN-611")


def test_negative_labels(blobs):
    images, labels = blobs
    change(labels / "field_0.tif", lambda values: values.astype(np.int16) - 1)
    assert "-1" in refuse_training(images, labels, "CN-612")


def test_instance_labels_where_classes_were_meant(blobs):
    images, labels = blobs
    change(labels / "field_0.tif", lambda values: values.astype(np.uint32) * 1_000_000_000)
    assert "--instances" in refuse_training(images, labels, "CN-514")


def test_labels_that_the_model_does_not_know(blobs, trained):
    images, labels = blobs
    change(labels / "field_0.tif", lambda values: values * 3)
    data = ("--images", images, "--labels", labels, "--device", "cpu")
    assert "--instances" in one_message(command("evaluate", trained[1], *data), "CN-641")


def test_nan_pixels_are_ignored_and_counted(blobs, tmp_path):
    images, labels = blobs

    def spoil(pixels):
        pixels[:2, :8] = np.nan
        pixels[5, 5] = np.inf
        return pixels

    change(images / "field_0.tif", spoil)
    model = tmp_path / "m.safetensors"
    result = train_segment(images, labels, model)
    assert result.exit_code == 0, result.output
    assert "'field_0.tif': 17 invalid pixels" in result.stderr
    result = command("predict", model, images, "-o", tmp_path / "out", "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert "17 invalid pixels" in result.stderr
    assert (tifffile.imread(tmp_path / "out" / "field_0_classes.tif") > 0).all()


def test_an_image_of_nan_only(blobs):
    images, labels = blobs
    change(images / "field_0.tif", lambda pixels: np.full_like(pixels, np.nan))
    refuse_training(images, labels, "CN-603")


@pytest.mark.parametrize("shape", [(1, 1), (40, 50)], ids=["one pixel", "constant"])
def test_images_without_anything_to_see_are_predicted(shape, trained, tmp_path):
    image = tmp_path / "image.tif"
    tifffile.imwrite(image, np.full(shape, 7, np.uint16))
    for model in trained:
        out = tmp_path / model.stem
        result = command("predict", model, image, "-o", out, "--device", "cpu")
        assert result.exit_code == 0, result.output
    assert (tmp_path / "classify" / "predictions.csv").read_text().count("\n") == 2
    assert tifffile.imread(tmp_path / "segment" / "image_classes.tif").shape == shape


def test_constant_images_can_be_trained_on(blobs, tmp_path):
    images, labels = blobs
    change(images / "field_0.tif", np.ones_like)
    assert train_segment(images, labels, tmp_path / "m.safetensors").exit_code == 0


def test_colour_images_for_a_model_of_grey_ones(trained, tmp_path):
    image = tmp_path / "colour.tif"
    tifffile.imwrite(image, np.zeros((30, 30, 3), np.uint8), photometric="rgb")
    for model in trained:
        result = command("predict", model, image, "-o", tmp_path / "out", "--device", "cpu")
        assert result.exit_code == 1
        assert result.stderr.count("CN-106") == 1
        assert not list((tmp_path / "out").iterdir())
    model = load_model(trained[1])
    colour = clean_image(np.zeros((30, 30, 3), np.uint8), "YXC", "colour")
    with pytest.raises(UserError, match="3") as refused:
        run(segment_image(model, colour))
    assert refused.value.code == "CN-106"


@pytest.mark.parametrize(
    ("code", "damage"),
    [
        ("CN-101", lambda data: b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00cposix\nsystem\n."),
        ("CN-103", lambda data: data[: len(data) // 2]),
        ("CN-103", lambda data: data[:-1] + bytes([data[-1] ^ 1])),
    ],
    ids=["pickle", "cut short", "one bit changed"],
)
@pytest.mark.parametrize("verb", ["predict", "evaluate"])
def test_model_files_that_cannot_be_trusted(code, damage, verb, trained, tmp_path):
    model = tmp_path / "model.safetensors"
    model.write_bytes(damage(trained[0].read_bytes()))
    before = model.read_bytes()
    shapes = make_shape_folder(tmp_path / "shapes", n=2)
    out = tmp_path / "out"
    options = ("-o", out) if verb == "predict" else ("--report", out)
    assert "model.safetensors" in one_message(command(verb, model, shapes, *options), code)
    assert model.read_bytes() == before
    assert not out.exists()


def test_a_project_of_a_newer_version(tmp_path):
    path = tmp_path / "new.convnet"
    Project.create(path, backup_folder=tmp_path / "backups").close()
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("PRAGMA user_version = 99")
    before = path.read_bytes()
    with pytest.raises(UserError) as refused:
        Project.open(path, backup_folder=tmp_path / "backups")
    assert refused.value.code == "CN-304"
    assert "99" in refused.value.message
    assert path.read_bytes() == before


def test_a_folder_without_classes(tmp_path):
    (tmp_path / "images").mkdir()
    tifffile.imwrite(tmp_path / "images" / "a.tif", np.zeros((30, 30), np.uint8))
    arguments = ("train", "classify", tmp_path / "images", "-o", tmp_path / "m.safetensors")
    one_message(command(*arguments, *FAST), "CN-632")
    assert not (tmp_path / "m.safetensors").exists()


@pytest.mark.parametrize(
    ("code", "options"),
    [
        ("CN-502", ("--network", "unet")),
        ("CN-505", ("--size", 4)),
        ("CN-507", ("--validation", "1.5")),
        ("CN-507", ("--validation", "no_such_folder")),
        ("CN-508", ("--pretrained", "something")),
        ("CN-635", ("--groups", "(")),
        ("CN-637", ("--groups", "tif")),
        ("CN-501", ("--device", "abacus")),
        ("CN-501", ("--learning-rate", "5")),
        ("CN-510", ("--freeze",)),
    ],
)
def test_options_that_do_not_fit(code, options, tmp_path):
    shapes = make_shape_folder(tmp_path / "shapes", n=3)
    arguments = ("train", "classify", shapes, "-o", tmp_path / "m.safetensors", "--epochs", 1)
    one_message(command(*arguments, *options), code)
    assert not (tmp_path / "m.safetensors").exists()


@pytest.mark.parametrize(
    ("code", "name"),
    [("CN-506", "model.pt"), ("CN-506", "no/such/m.safetensors"), ("CN-312", "d.safetensors")],
)
def test_names_that_cannot_be_written_are_refused_before_training(code, name, tmp_path):
    shapes = make_shape_folder(tmp_path / "shapes", n=2)
    (tmp_path / "d.safetensors").mkdir()
    result = command("train", "classify", shapes, "-o", tmp_path / name, "--epochs", 9000)
    one_message(result, code)


def test_a_report_that_cannot_be_written_is_refused_before_training(tmp_path):
    shapes, model = make_shape_folder(tmp_path / "shapes", n=2), tmp_path / "m.safetensors"
    for report, code in ((tmp_path / "no" / "r.json", "CN-506"), (model, "CN-506")):
        result = command("train", "classify", shapes, "-o", model, "--report", report)
        one_message(result, code)


def test_a_model_for_the_other_task(trained, blobs, tmp_path):
    images, labels = blobs
    one_message(command("evaluate", trained[0], "--images", images, "--labels", labels), "CN-509")
    one_message(command("evaluate", trained[1], images), "CN-509")


def run_with_full_disk(arguments):
    """Run the command line where no file can grow beyond 20 kB."""
    code = (
        "import resource, sys\n"
        "from napari_convnet.cli import train, apply, main\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        "main()"
    )
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True
    )


@pytest.mark.skipif(sys.platform == "win32", reason="no limit of file sizes there")
def test_a_full_disk_leaves_the_old_model_and_nothing_else(tmp_path):
    shapes, model = make_shape_folder(tmp_path / "shapes", n=2), tmp_path / "m.safetensors"
    model.write_bytes(b"old")
    arguments = ("train", "classify", shapes, "-o", model, "--size", 24, *FAST)
    ended = run_with_full_disk(arguments)
    assert ended.returncode == 1
    assert ended.stderr.count("CN-301") == 1
    assert "Traceback" not in ended.stderr
    assert model.read_bytes() == b"old"
    assert no_temporary_files(tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="no limit of file sizes there")
def test_a_full_disk_leaves_the_old_prediction(trained, tmp_path):
    image, out = tmp_path / "noise.tif", tmp_path / "out"
    noise = np.random.default_rng(0).integers(0, 99, (400, 400)).astype(np.uint8)
    tifffile.imwrite(image, noise)
    out.mkdir()
    (out / "noise_classes.tif").write_bytes(b"old")
    ended = run_with_full_disk(("predict", trained[1], image, "-o", out, "--device", "cpu"))
    if ended.returncode == 0:
        pytest.fail("the result was smaller than the limit; use a larger image")
    assert ended.stderr.count("CN-301") == 1
    assert (out / "noise_classes.tif").read_bytes() == b"old"
    assert [path.name for path in out.iterdir()] == ["noise_classes.tif"]


def test_a_model_that_cannot_be_saved_where_it_should_is_not_lost(tmp_path, monkeypatch):
    from napari_convnet.cli import starting

    shapes, model = make_shape_folder(tmp_path / "shapes", n=2), tmp_path / "m.safetensors"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(elsewhere))
    as_before = starting.train

    def lose_the_name(*arguments, **options):
        trained = yield from as_before(*arguments, **options)
        model.mkdir()  # any reason why the name can no longer be written
        return trained

    monkeypatch.setattr(starting, "train", lose_the_name)
    result = command("train", "classify", shapes, "-o", model, "--size", 24, *FAST)
    one_message(result, "CN-312")
    (rescued,) = elsewhere.glob("*/m.safetensors")
    assert str(rescued) in result.stderr
    assert load_model(rescued).card.task == "classify"


def test_a_training_that_breaks_off_still_saves_the_best_model(tmp_path, monkeypatch):
    from napari_convnet.cli import starting

    shapes, model = make_shape_folder(tmp_path / "shapes", n=2), tmp_path / "m.safetensors"
    as_before = starting.train

    def break_off(*arguments, **options):
        trained = yield from as_before(*arguments, **options)
        raise TrainingInterrupted(trained, 1) from MemoryError("the card is full")

    monkeypatch.setattr(starting, "train", break_off)
    result = command("train", "classify", shapes, "-o", model, "--size", 24, *FAST)
    one_message(result, "CN-201")
    assert "the card is full" in result.stderr
    assert load_model(model).card.task == "classify"


def test_memory_that_runs_out_is_a_message(tmp_path, monkeypatch):
    from napari_convnet.cli import inputs

    shapes = make_shape_folder(tmp_path / "shapes", n=2)

    def run_out(_path):
        raise MemoryError

    monkeypatch.setattr(inputs, "read_image", run_out)
    arguments = ("train", "classify", shapes, "-o", tmp_path / "m.safetensors", *FAST)
    one_message(command(*arguments), "CN-201")


def test_reports_are_json_without_nan(trained, blobs, tmp_path):
    """A class that never occurs has no score; JSON has no NaN."""
    images, labels = blobs
    for path in labels.iterdir():
        change(path, lambda values: np.minimum(values, 1))
    report = tmp_path / "r.json"
    data = ("--images", images, "--labels", labels, "--report", report, "--device", "cpu")
    result = command("evaluate", trained[1], *data)
    assert result.exit_code == 0, result.output
    measured = json.loads(report.read_text(), parse_constant=pytest.fail)
    assert set(measured["classes"]) == {"class 1", "class 2"}
