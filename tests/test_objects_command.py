"""Objects on the command line: their settings, and the table of all images."""

import csv

import numpy as np
import pytest
import tifffile

from data_folders import command, one_message
from napari_convnet.model_file import save_model
from synthetic_pictures import draw_blobs, train_segmenter


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "blobs.safetensors"
    save_model(train_segmenter(), path)
    return path


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for seed in (3, 4):
        tifffile.imwrite(
            folder / f"field_{seed}.tif", draw_blobs(seed)[0], imagej=True,
            resolution=(4, 4), metadata={"unit": "um"},
        )  # fmt: skip
    return folder


def predict(model, images, out, *options):
    result = command("predict", model, images, "-o", out, "--device", "cpu", *options)
    assert result.exit_code == 0, result.output
    with (out / "objects.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_table_has_a_line_for_every_object_with_its_brightness_and_micrometres(
    model, images, tmp_path
):
    rows = predict(model, images, tmp_path / "out")
    for seed in (3, 4):
        objects = tifffile.imread(tmp_path / "out" / f"field_{seed}_objects.tif")
        pixels = tifffile.imread(images / f"field_{seed}.tif")
        own = [row for row in rows if row["file"].endswith(f"field_{seed}.tif")]
        assert [int(row["label"]) for row in own] == list(range(1, objects.max() + 1))
        for row in own:
            inside = objects == int(row["label"])
            assert int(row["area_pixels"]) == inside.sum()
            assert float(row["area_physical"]) == pytest.approx(inside.sum() / 16)
            brightness = [float(v) for name, v in row.items() if name.startswith("mean ")]
            assert brightness == pytest.approx([pixels[inside].mean()], rel=1e-5)
            assert (row["class"], row["unit"]) == ("blob", "micrometer")


def test_settings_change_what_is_an_object(model, images, tmp_path):
    usual = predict(model, images, tmp_path / "usual")
    together = predict(model, images, tmp_path / "off", "--touching", "off")
    large = predict(model, images, tmp_path / "large", "--smallest-area", 150)
    inside = predict(model, images, tmp_path / "inside", "--drop-border")
    assert len(together) < len(usual)
    assert 0 < len(large) < len(usual)
    assert all(int(row["area_pixels"]) >= 150 for row in large)
    assert 0 < len(inside) < len(usual)
    assert all(int(row["y_min"]) > 0 and int(row["x_max"]) < 95 for row in inside)
    assert not np.isnan([float(row["y"]) for row in inside]).any()


def test_a_setting_that_does_not_exist_is_refused_before_anything_is_written(
    model, images, tmp_path
):
    arguments = ("predict", model, images, "-o", tmp_path / "out", "--touching", "by magic")
    one_message(command(*arguments), "CN-501")
    assert not (tmp_path / "out").exists()
