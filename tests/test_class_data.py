"""Groups, test sets, folds and broken files, as the command line takes them."""

import csv
import json
import os
import shutil

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
from napari_convnet.model_file import load_model
from synthetic_pictures import draw_shape

FAST = ("--size", 24, "--epochs", 2, "--batch-size", 8, "--device", "cpu")


@pytest.fixture
def folder(tmp_path):
    """18 disks and 18 squares of the groups a, b and c."""
    return make_shape_folder(tmp_path / "data", n=18)


def train(folder, output, *options):
    report = output.with_suffix(".json")
    done = command("train", "classify", folder, "-o", output, "--report", report, *FAST, *options)
    return done, json.loads(report.read_text()) if report.exists() else None


def test_a_test_folder_is_scored_once_and_apart(folder, tmp_path):
    test = make_shape_folder(tmp_path / "test", n=7, seed=1)
    shutil.copy(folder / "disk" / "a00.tif", test / "disk" / "copy.tif")
    done, report = train(folder, tmp_path / "m.safetensors", "--test", test)
    assert done.exit_code == 0, done.output
    assert report["scores"]["test"]["n"] == 15
    assert "1 training images that are copies" in report["scores"]["test"]["measured_on"]
    assert report["data"]["training"] + report["data"]["validation"] == 35
    assert report["data"]["test"] == 15
    assert "on test data" in done.stderr
    assert load_model(tmp_path / "m.safetensors").card.scores["test"]["n"] == 15


def test_a_share_of_the_groups_is_set_aside_as_a_test(folder, tmp_path):
    table = tmp_path / "table.csv"
    lines = [f"{p.name},{int(p.stem[1:]) // 3}" for p in sorted((folder / "disk").iterdir())]
    table.write_text("name,patient\n" + "\n".join(lines))  # six patients of three, in both classes
    done, report = train(
        folder, tmp_path / "m.safetensors", "--test-fraction", 0.3, "--groups-file", table,
        "--groups-column", "patient",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    measured = report["scores"]["test"]["measured"]
    held = set(report["scores"]["validation"]["measured"]["names"])
    assert not held & set(measured["names"])
    assert measured["groups"] == 2
    assert report["data"]["groups"] == 4


def test_broken_images_are_named_and_left_out_on_request(folder, tmp_path):
    (folder / "disk" / "a99.tif").write_bytes(b"no image")
    done, report = train(folder, tmp_path / "m.safetensors")
    assert "a99.tif" in one_message(done, "CN-634")
    assert report is None
    done, report = train(folder, tmp_path / "m.safetensors", "--skip-broken")
    assert done.exit_code == 0, done.output
    assert "a99.tif" in done.stderr
    assert report["data"]["images"] == 36
    assert "left out" in report["data"]["notes"][-1]


def test_folds_predict_every_image_once_and_go_on_where_they_stopped(folder, tmp_path):
    out = tmp_path / "folds"
    options = ("--folds", 3, "--groups", "^([abc])", "--validation", 0)
    done, report = train(folder, out, *options)
    assert done.exit_code == 0, done.output
    assert [fold["n"] for fold in report["folds"]] == [12, 12, 12]
    low, high = report["scores"]["accuracy_interval"]
    assert low <= report["scores"]["accuracy"] <= high
    assert report["accuracy"]["mean"] == pytest.approx(report["scores"]["accuracy"])
    assert report["scores"]["measured"]["intervals"] == "95 %, bootstrap over 3 groups"
    assert json.loads((out / "report.json").read_text()) == report
    assert no_temporary_files(out)
    with (out / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len({row["file"] for row in rows}) == 36
    assert len({(row["group"], row["fold"]) for row in rows}) == 3
    model = load_model(out / "fold_2.safetensors")
    assert model.card.scores["best_epoch"] == 2

    (out / "fold_2.json").unlink()
    (out / "fold_3.json").write_text("{half")
    before = os.stat(out / "fold_1.safetensors").st_mtime_ns
    done, again = train(folder, out, *options)
    assert done.exit_code == 0, done.output
    assert done.stderr.count("is done already") == 1
    assert os.stat(out / "fold_1.safetensors").st_mtime_ns == before
    assert again["scores"]["confusion"] == report["scores"]["confusion"]

    done, _ = train(folder, out, *options, "--seed", 1)
    assert "folds of other data or settings" in one_message(done, "CN-646")


def test_folds_that_cannot_be_are_refused_before_anything_is_trained(folder, tmp_path):
    done, _ = train(folder, tmp_path / "out", "--folds", 4, "--groups", "^([abc])")
    assert "3 groups" in one_message(done, "CN-647")
    done, _ = train(folder, tmp_path / "out", "--folds", 3, "--validation", folder)
    one_message(done, "CN-507")


def test_a_class_with_one_image_trains_and_is_said(folder, tmp_path):
    (folder / "ring").mkdir()
    tifffile.imwrite(folder / "ring" / "x.tif", draw_shape(False, np.random.default_rng(5)))
    done, report = train(folder, tmp_path / "m.safetensors")
    assert done.exit_code == 0, done.output
    assert "No sample of one class is held out" in report["scores"]["warning"]
    assert report["scores"]["validation"]["classes"]["ring"]["recall"] is None


def test_nothing_to_hold_out_is_said(tmp_path):
    folder = make_shape_folder(tmp_path / "data", n=1)
    done, report = train(folder, tmp_path / "m.safetensors")
    assert done.exit_code == 0, done.output
    assert "Nothing is held out" in report["scores"]["warning"]
    assert "validation" not in report["scores"]


def test_evaluate_respects_groups_of_a_table(folder, tmp_path):
    train(folder, tmp_path / "m.safetensors")
    table = tmp_path / "t.csv"
    table.write_text(
        "name,slide\n" + "\n".join(f"{p.name},{p.name[0]}" for p in (folder / "disk").iterdir())
    )
    out = tmp_path / "r.json"
    done = command("evaluate", tmp_path / "m.safetensors", folder, "--groups-file", table,
                   "--report", out, "--device", "cpu")  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "36 samples of 3 groups" in done.stdout
    assert json.loads(out.read_text())["measured"]["names"] == ["a", "b", "c"]


@pytest.mark.parametrize(
    "options",
    [("--groups", "^a", "--groups-file", "t.csv"), ("--test", ".", "--test-fraction", 0.2)],
)
def test_options_that_exclude_each_other_are_refused(folder, tmp_path, options):
    done, _ = train(folder, tmp_path / "m.safetensors", *options)
    one_message(done, "CN-507")


def test_a_segmentation_is_scored_once_on_test_images(tmp_path):
    images, labels = make_blob_folders(tmp_path / "data")
    make_blob_folders(tmp_path / "test", n=2)
    report = tmp_path / "r.json"
    done = command(
        "train", "segment", "--images", images, "--labels", labels, "-o", tmp_path / "m.safetensors",
        "--size", 32, "--epochs", 1, "--device", "cpu", "--report", report, "--test", tmp_path / "test",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    scores = json.loads(report.read_text())["scores"]
    assert scores["test"]["measured"]["images"] == 2
    assert scores["test"]["mean_iou"] > 0
    assert "on test data: 2 test images" in done.stderr
