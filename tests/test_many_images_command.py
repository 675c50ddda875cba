"""Many images on the command line: it goes on where it was, says so, and refuses what does not belong together."""

import csv

import numpy as np
import pytest
import tifffile

from data_folders import command, one_message
from napari_convnet.model_file import save_model
from synthetic_pictures import draw_blobs


@pytest.fixture(scope="module")
def model(tmp_path_factory, segmenter):
    path = tmp_path_factory.mktemp("model") / "blobs.safetensors"
    save_model(segmenter, path)
    return path


@pytest.fixture
def images(tmp_path):
    (tmp_path / "images").mkdir()
    for seed in range(3):
        tifffile.imwrite(tmp_path / "images" / f"field_{seed}.tif", draw_blobs(seed)[0])
    return tmp_path / "images"


def predict(model, images, out, *options):
    return command("predict", model, images, "-o", out, "--device", "cpu", *options)


def test_the_same_command_goes_on_and_says_how_many_were_done(model, images, tmp_path):
    out = tmp_path / "out"
    assert "3 of 3 images predicted; results" in predict(model, images, out).stderr
    tifffile.imwrite(images / "field_7.tif", draw_blobs(7)[0])
    (images / "bad.tif").write_bytes(b"no picture")
    result = predict(model, images, out)
    assert result.exit_code == 1
    assert "4 of 5 images predicted (3 of them before)" in result.stderr
    with (out / "summary.csv").open(newline="") as file:
        rows = {row["image"].rpartition("/")[2]: row for row in csv.DictReader(file)}
    assert rows["bad.tif"]["problem"].startswith("CN-634")
    assert int(rows["field_7.tif"]["objects"]) == tifffile.imread(out / "field_7_objects.tif").max()
    assert rows["field_7.tif"]["area_physical blob"] == ""  # nobody says how large a pixel is


def test_other_settings_are_refused_with_both_values_until_it_starts_over(model, images, tmp_path):
    out = tmp_path / "out"
    predict(model, images, out)
    before = (out / "objects.csv").read_bytes()
    message = one_message(predict(model, images, out, "--smallest-area", 150), "CN-640")
    assert "smallest_area: 20, now 150" in message
    assert (out / "objects.csv").read_bytes() == before
    result = predict(model, images, out, "--smallest-area", 150, "--start-over")
    assert result.exit_code == 0, result.output
    assert (out / "objects.csv").read_bytes() != before


def test_label_images_belong_to_models_that_classify(model, images, tmp_path):
    message = one_message(predict(model, images, tmp_path / "out", "--labels", images), "CN-506")
    assert "--labels" in message
    assert not (tmp_path / "out").exists()


def test_the_objects_of_label_images_are_classified(classifier, images, tmp_path):
    model, labels, out = tmp_path / "c.safetensors", images / "labels", tmp_path / "out"
    save_model(classifier, model)  # the labels are inside the folder, but no images
    labels.mkdir()
    for seed in range(3):
        grid = np.kron(np.arange(9).reshape(3, 3), np.ones((32, 32))).astype(np.uint8)
        tifffile.imwrite(labels / f"field_{seed}.tif", grid)
    result = predict(model, images, out, "--labels", labels)
    assert result.exit_code == 0, result.output
    with (out / "objects.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["label"]) for row in rows] == [*range(1, 9)] * 3
    assert {row["area_pixels"] for row in rows} == {"1024"}
