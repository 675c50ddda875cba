"""The command line on small folders: what it writes, what it says, and how it ends."""

import csv
import json
import os
import signal
import subprocess
import sys

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
from napari_convnet import __version__
from napari_convnet.model_file import load_model
from napari_convnet.networks import NETWORKS
from synthetic_pictures import draw_blobs

FAST_CLASSIFY = ("--size", 24, "--epochs", 25, "--batch-size", 8, "--device", "cpu")
FAST_SEGMENT = ("--size", 32, "--epochs", 6, "--device", "cpu")


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    """A folder per class, a model that was trained on it, and the training's report."""
    root = tmp_path_factory.mktemp("shapes")
    folder, model, report = (
        make_shape_folder(root / "data"),
        root / "s.safetensors",
        root / "r.json",
    )
    result = command("train", "classify", folder, "-o", model, "--report", report, *FAST_CLASSIFY)
    assert result.exit_code == 0, result.output
    return folder, model, json.loads(report.read_text())


@pytest.fixture(scope="module")
def blobs(tmp_path_factory):
    """Images, strokes, a model that was trained on them, and the training's report."""
    root = tmp_path_factory.mktemp("blobs")
    images, labels = make_blob_folders(root / "data")
    model, report = root / "b.safetensors", root / "r.json"
    result = command(
        "train", "segment", "--images", images, "--labels", labels, "-o", model,
        "--classes", "background, blob", "--report", report, *FAST_SEGMENT,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    return images, labels, model, json.loads(report.read_text())


def read_table(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_training_reports_what_it_was_measured_on(shapes):
    _, model, report = shapes
    assert report["data"]["images_by_class"] == {"disk": 12, "square": 12}
    assert report["data"]["training"] + report["data"]["validation"] == 24
    assert "held out" in report["data"]["held_out"]
    assert report["scores"]["validation"]["accuracy"] >= 0.75
    assert report["settings"]["epochs"] == 25
    assert report["seed"] == 0
    assert report["versions"]["napari-convnet"] == __version__
    assert report["seconds"] > 0
    assert load_model(model).card.scores == report["scores"]


def test_predict_gives_every_image_its_class_and_probabilities(shapes, tmp_path):
    folder, model, _ = shapes
    result = command("predict", model, folder, "-o", tmp_path / "out", "--device", "cpu")
    assert result.exit_code == 0, result.output
    rows = read_table(tmp_path / "out" / "predictions.csv")
    assert list(rows[0]) == ["file", "class", "probability_disk", "probability_square"]
    assert len(rows) == 24
    right = [row["class"] == os.path.basename(os.path.dirname(row["file"])) for row in rows]
    assert np.mean(right) >= 0.9
    for row in rows:
        total = float(row["probability_disk"]) + float(row["probability_square"])
        assert total == pytest.approx(1, abs=1e-5)


def test_all_orientations_are_averaged_on_request_and_said_in_the_report(shapes, blobs, tmp_path):
    folder, model, _ = shapes
    turned = tmp_path / "data" / "turned"
    for path in sorted(folder.rglob("*.tif")):
        copy = turned / path.parent.name / path.name
        copy.parent.mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(copy, np.rot90(tifffile.imread(path)).copy())
    found = {}
    for name, data in (("as it is", folder), ("turned", turned)):
        out = tmp_path / name.replace(" ", "_")
        result = command("predict", model, data, "-o", out, "--all-orientations", "--device", "cpu")
        assert result.exit_code == 0, result.output
        rows = read_table(out / "predictions.csv")
        found[name] = [float(row["probability_disk"]) for row in rows]
    assert found["turned"] == pytest.approx(found["as it is"], abs=1e-4)
    report = tmp_path / "report.json"
    result = command("evaluate", model, folder, "--all-orientations", "--report", report)
    assert result.exit_code == 0, result.output
    assert json.loads(report.read_text())["orientations"] == 8
    images, _, segmenter, _ = blobs
    result = command("predict", segmenter, images, "-o", tmp_path / "no", "--all-orientations")
    assert result.exit_code == 1
    assert "only belongs to models that classify" in result.stderr


def test_one_unreadable_image_does_not_lose_the_others(shapes, tmp_path):
    folder, model, _ = shapes
    good, bad = folder / "disk" / "a00.tif", tmp_path / "bad.png"
    bad.write_bytes(b"no picture")
    result = command("predict", model, good, bad, "-o", tmp_path / "out", "--device", "cpu")
    assert result.exit_code == 1
    assert [row["file"] for row in read_table(tmp_path / "out" / "predictions.csv")] == [str(good)]
    assert "CN-634" in result.stderr
    assert "1 of 2 images predicted" in result.stderr


def test_predict_reads_every_file_once(shapes, tmp_path, monkeypatch):
    from napari_convnet.prediction.many_images import classifying

    folder, model, _ = shapes
    read, as_before = [], classifying.read_image
    monkeypatch.setattr(
        classifying, "read_image", lambda path: read.append(path) or as_before(path)
    )
    twice = (folder / "disk", folder / "disk" / "a00.tif")
    command("predict", model, *twice, "-o", tmp_path, "--device", "cpu")
    assert sorted(read) == sorted((folder / "disk").iterdir())


def test_evaluate_measures_what_training_held_out(shapes, tmp_path):
    folder, model, training = shapes
    report = tmp_path / "report.json"
    options = ("--validation", 0.2, "--device", "cpu", "--report", report)
    result = command("evaluate", model, folder, *options)
    assert result.exit_code == 0, result.output
    assert "precision" in result.stdout
    measured = json.loads(report.read_text())
    assert measured["confusion"] == training["scores"]["validation"]["confusion"]
    assert measured["data"]["images"] == training["data"]["validation"]
    for scores in measured["classes"].values():
        assert {"precision", "recall", "f1"} <= set(scores)


def test_groups_are_held_out_whole(tmp_path):
    folder, report = make_shape_folder(tmp_path / "data", n=9), tmp_path / "r.json"
    arguments = ("train", "classify", folder, "-o", tmp_path / "m.safetensors", "--epochs", 1)
    options = ("--size", 24, "--device", "cpu", "--report", report)
    result = command(*arguments, *options, "--groups", "^([abc])", "--validation", 0.33)
    assert result.exit_code == 0, result.output
    data = json.loads(report.read_text())["data"]
    assert data["validation"] == 6  # a third of the names begin with the same letter
    assert "1 of 3 groups" in data["held_out"]


def test_a_validation_folder_is_never_trained_on(tmp_path):
    folder = make_shape_folder(tmp_path / "data", n=6)
    other = make_shape_folder(tmp_path / "other", n=5, seed=1)
    report = tmp_path / "r.json"
    result = command(
        "train", "classify", folder, "-o", tmp_path / "m.safetensors", "--validation", other,
        "--size", 24, "--epochs", 1, "--device", "cpu", "--report", report,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    data = json.loads(report.read_text())["data"]
    assert (data["training"], data["validation"]) == (12, 10)
    assert str(other) in data["held_out"]


def test_segmentation_writes_classes_and_objects(blobs, tmp_path):
    images, _, model, report = blobs
    assert report["scores"]["validation"]["mean_iou"] > 0.6
    result = command("predict", model, images, "-o", tmp_path, "--device", "cpu")
    assert result.exit_code == 0, result.output
    tables = {path.name for path in tmp_path.iterdir() if path.suffix == ".csv"}
    assert tables == {"objects.csv", "summary.csv"}
    for seed in range(3):
        mask = draw_blobs(seed, size=64, n=6)[1]
        classes = tifffile.imread(tmp_path / f"field_{seed}_classes.tif")
        objects = tifffile.imread(tmp_path / f"field_{seed}_objects.tif")
        assert (classes.dtype, objects.dtype) == (np.uint8, np.uint32)
        assert ((classes == 2) & mask).sum() / ((classes == 2) | mask).sum() > 0.6
        assert objects.max() >= 1


def test_whole_objects_train_and_are_matched(tmp_path):
    images, labels = make_blob_folders(tmp_path / "data", kind="instances")
    model, report = tmp_path / "m.safetensors", tmp_path / "r.json"
    data = ("--images", images, "--labels", labels, "--instances", "--device", "cpu")
    result = command("train", "segment", *data, "-o", model, "--size", 32, "--epochs", 6)
    assert result.exit_code == 0, result.output
    assert load_model(model).card.has_depth
    result = command("evaluate", model, *data, "--report", report)
    assert result.exit_code == 0, result.output
    measured = json.loads(report.read_text())
    assert set(measured["classes"]) == {"background", "object"}
    assert {"iou", "dice"} <= set(measured["classes"]["object"])
    assert measured["classes"]["object"]["iou"] > 0.6
    assert 0 <= measured["objects"]["average_precision_at_iou_0.5"] <= 1
    assert measured["data"]["images"] == 3


def test_the_same_seed_gives_the_same_scores(tmp_path):
    folder = make_shape_folder(tmp_path / "data", n=6)
    scores = []
    for name in ("a", "b"):
        model = tmp_path / f"{name}.safetensors"
        command("train", "classify", folder, "-o", model, "--size", 24, "--epochs", 2, "--device", "cpu")  # fmt: skip
        scores.append(load_model(model).card.scores)
        for key in ("seconds", "waiting_for_data"):  # of the clock, not of the seed
            scores[-1].pop(key)
    assert scores[0] == scores[1]


def test_results_of_an_earlier_run_are_not_taken_for_inputs(blobs, tmp_path):
    images, _, model, _ = blobs
    inside = images / "out"
    for _ in range(2):
        assert command("predict", model, images, "-o", inside, "--device", "cpu").exit_code == 0
    assert len(list(inside.glob("*.tif"))) == 6  # two for each of three images
    one_message(command("predict", model, images, "-o", images, "--device", "cpu"), "CN-639")


def test_networks_lists_the_catalogue():
    listed = json.loads(command("networks", "--json").stdout)
    assert [entry["network"] for entry in listed] == list(NETWORKS)
    assert all(entry["parameters"] > 0 for entry in listed)
    assert all(name in command("networks").stdout for name in NETWORKS)


def test_version_and_help_are_on_standard_output():
    assert command("--version").stdout.strip() == __version__
    for arguments in ((), ("train", "classify"), ("train", "segment"), ("predict",), ("demo",)):
        result = command(*arguments, "--help")
        assert result.exit_code == 0
        assert "Usage" in result.stdout


@pytest.mark.parametrize(
    "arguments",
    [("train", "classify"), ("nonsense",), ("predict", "a", "b"), ("networks", "--nonsense"),
     ("train", "classify", "x", "-o", "m.safetensors", "--epochs", "0")],
)  # fmt: skip
def test_wrong_usage_ends_with_status_2(arguments):
    assert command(*arguments).exit_code == 2


def test_a_log_file_gets_plain_lines(shapes, tmp_path):
    folder, model, _ = shapes
    code = "from napari_convnet.cli import main; main()"
    arguments = ["predict", model, folder, "-o", tmp_path / "out", "--device", "cpu"]
    ended = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, check=True
    )
    assert b"\x1b" not in ended.stderr
    assert b"\r" not in ended.stderr.replace(b"\r\n", b"\n")
    assert f"results are in {tmp_path / 'out'}" in ended.stderr.decode().replace("\r", "")


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT for another process there")
def test_ctrl_c_stops_training_and_keeps_the_best_model(tmp_path):
    folder, model = make_shape_folder(tmp_path / "data"), tmp_path / "m.safetensors"
    code = (
        "import napari_convnet.cli.console as c; c._SECONDS_BETWEEN_LINES = 0\n"
        "from napari_convnet.cli import main; main()"
    )
    arguments = ("train", "classify", folder, "-o", model, "--size", 24, "--epochs", 9000)
    with subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments), "--device", "cpu"],
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        for line in process.stderr:
            if "epoch 2 of 9000" in line:
                process.send_signal(signal.SIGINT)
                break
        rest = process.stderr.read()
    assert process.returncode == 130
    assert "best model is kept" in rest
    assert "Traceback" not in rest
    scores = load_model(model).card.scores
    assert 1 <= scores["epochs_trained"] < 9000
    assert no_temporary_files(tmp_path)


def _hear_ctrl_c() -> None:
    """Undo what a shell does to programs in the background, which would pass on to this one."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT for another process there")
def test_ctrl_c_during_prediction_leaves_the_old_table_as_it_was(shapes, tmp_path):
    folder, model, _ = shapes
    table = tmp_path / "predictions.csv"
    table.write_text("old")
    code = (
        "import time, napari_convnet.prediction.many_images.classifying as i\n"
        "read = i.read_image\n"
        "i.read_image = lambda p: (print('reading', flush=True), time.sleep(60), read(p))\n"
        "from napari_convnet.cli import main; main()"
    )
    arguments = ("predict", model, folder, "-o", tmp_path, "--device", "cpu")
    with subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=_hear_ctrl_c,
    ) as process:
        assert process.stdout.readline() == "reading\n"
        process.send_signal(signal.SIGINT)
        messages = process.stderr.read()
    assert process.returncode == 130
    assert "Interrupted" in messages
    assert "Traceback" not in messages
    assert table.read_text() == "old"
    assert no_temporary_files(tmp_path)


def test_the_commands_import_neither_napari_nor_qt(shapes, tmp_path):
    folder, model, _ = shapes
    images, labels = make_blob_folders(tmp_path / "data", n=1)
    code = """
import sys

FORBIDDEN = {"napari", "qtpy", "PyQt5", "PyQt6", "PySide2", "PySide6", "magicgui", "superqt",
             "pyqtgraph"}

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in FORBIDDEN:
            raise AssertionError(f"{name} was imported")

sys.meta_path.insert(0, Refuse())
from typer.testing import CliRunner
from napari_convnet.cli.app import app
import napari_convnet.cli.demo

folder, model, images, labels, out = sys.argv[1:]
fast = ["--epochs", "1", "--device", "cpu"]
for arguments in (
    ["networks"],
    ["demo", "--help"],
    ["train", "classify", folder, "-o", out + "/a.safetensors", "--size", "24", *fast],
    ["train", "segment", "--images", images, "--labels", labels, "-o", out + "/b.safetensors",
     "--size", "32", *fast],
    ["predict", model, folder, "-o", out + "/p", "--device", "cpu"],
    ["evaluate", model, folder, "--device", "cpu"],
    ["evaluate", out + "/b.safetensors", "--images", images, "--labels", labels],
):
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, (arguments, result.output, result.exception)
assert not FORBIDDEN & {name.partition(".")[0] for name in sys.modules}
"""
    arguments = [folder, model, images, labels, tmp_path]
    ended = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
