"""The demonstration, run as it is shipped: files, scores on held-out images, and how napari is opened."""

import csv
import json
import shutil

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_convnet.cli import demo
from napari_convnet.demonstration import choose_clicks, paint_strokes
from napari_convnet.errors import UserError
from napari_convnet.model_file import load_model
from napari_convnet.sample_data import read_sample

pytestmark = pytest.mark.timeout(900)  # the job that is shipped, also on a busy computer


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """Run the whole demonstration once; a busy computer gets the time it needs."""
    folder = tmp_path_factory.mktemp("demonstration")
    demo.run_demonstration(folder, gui=False, device="cpu", max_seconds=0)
    return folder


@pytest.fixture
def report(out):
    return json.loads((out / "report.json").read_text())


def read_table(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_nine_of_ten_cells_of_the_other_image_get_their_class(report):
    scores = report["classify_cells"]["scores"]
    assert scores["n"] >= 140
    assert scores["accuracy"] >= 0.90
    assert scores["balanced_accuracy"] >= 0.85


def test_nuclei_of_an_image_that_was_not_painted_are_segmented(report):
    scores = report["segment_nuclei"]["scores"]
    assert scores["mask_iou"] >= 0.80
    assert scores["mask_dice"] >= scores["mask_iou"]
    assert scores["average_precision_at_iou_0.5"] >= 0.5


def test_the_scores_can_be_measured_again_from_the_files(out, report):
    truth = read_sample("nuclei_2").labels > 0
    mask = tifffile.imread(out / "nuclei_classes.tif") == 2
    iou = (truth & mask).sum() / (truth | mask).sum()
    assert iou == pytest.approx(report["segment_nuclei"]["scores"]["mask_iou"], abs=1e-5)

    classes = read_sample("blood_smear_2").classes
    rows = read_table(out / "cells.csv")
    hits = [row["class"] == classes[int(row["label"])] for row in rows]
    assert len(hits) == len(classes)
    assert np.mean(hits) == pytest.approx(report["classify_cells"]["scores"]["accuracy"], abs=1e-5)


def test_tables_agree_with_themselves_and_with_the_label_images(out):
    for row in read_table(out / "cells.csv"):
        probabilities = {k: float(v) for k, v in row.items() if k.startswith("probability_")}
        assert sum(probabilities.values()) == pytest.approx(1, abs=1e-4)
        assert max(probabilities, key=probabilities.get) == f"probability_{row['class']}"
    objects = tifffile.imread(out / "nuclei_objects.tif")
    rows = read_table(out / "nuclei_objects.csv")
    assert objects.dtype == np.uint32
    assert [int(row["label"]) for row in rows] == list(range(1, objects.max() + 1))
    assert [int(row["area"]) for row in rows] == np.bincount(objects.ravel())[1:].tolist()
    assert {row["class"] for row in rows} == {"nucleus"}


def test_every_file_that_the_report_names_is_there_and_readable(out, report):
    files = [*report["classify_cells"]["files"], *report["segment_nuclei"]["files"]]
    assert sorted([*files, "report.json"]) == sorted(path.name for path in out.iterdir())
    for name in files:
        if name.endswith(".png"):
            with Image.open(out / name) as picture:
                assert min(picture.size) >= 1000
                assert len(picture.getcolors(maxcolors=2**24)) > 200
    for name in ("cells.safetensors", "nuclei.safetensors"):
        assert load_model(out / name).card.classes


def test_the_report_says_what_was_measured_on_what(report):
    assert report["seed"] == 0
    assert report["device"] == "cpu"
    assert report["versions"]["torch"]
    assert report["seconds"] > 0
    for job, images in (
        ("classify_cells", ("blood_smear_1", "blood_smear_2")),
        ("segment_nuclei", ("nuclei_1", "nuclei_2")),
    ):
        facts = report[job]
        assert (facts["trained_on"]["image"], facts["measured_on"]["image"]) == images
        assert facts["measured_on"]["seen_before"] is False
        assert set(facts["seconds"]) == {"prepare", "train", "predict", "write"}
        assert facts["training"]["settings"]["seed"] == 0


def test_strokes_cover_few_pixels_and_never_cross_a_border(out):
    sample = read_sample("nuclei_1")
    truth = np.where(sample.labels > 0, 2, 1)
    strokes = tifffile.imread(out / "nuclei_strokes.tif")
    painted = strokes > 0
    assert 0.01 <= painted.mean() <= 0.02
    np.testing.assert_array_equal(strokes[painted], truth[painted])


def test_the_simulated_person_depends_on_the_seed_only():
    sample = read_sample("nuclei_1")
    truth = np.where(sample.labels > 0, 2, 1)[:128, :128]
    painted = [
        paint_strokes(truth, {1: 0.01, 2: 0.01}, np.random.default_rng(s)) for s in (3, 3, 4)
    ]
    np.testing.assert_array_equal(painted[0], painted[1])
    assert (painted[0] != painted[2]).any()


def test_a_class_without_room_for_its_share_is_painted_as_far_as_it_goes():
    truth = np.ones((60, 60), int)
    truth[20:29, 20:29] = 2
    truth[40:42, 40:42] = 3  # smaller than the brush
    strokes = paint_strokes(truth, {2: 0.5, 3: 0.5}, np.random.default_rng(0))
    assert 40 < (strokes == 2).sum() <= 81
    assert not (strokes == 3).any()


def test_the_same_share_of_every_class_is_clicked():
    sample = read_sample("blood_smear_1")
    clicked = choose_clicks(sample, 0.5, np.random.default_rng(0))
    assert len(set(clicked.tolist())) == len(clicked)
    for name in set(sample.classes.values()):
        members = [label for label, its_class in sample.classes.items() if its_class == name]
        assert np.isin(members, clicked).sum() == round(0.5 * len(members))


@pytest.mark.parametrize("missing", ["screen", "napari"])
def test_what_napari_lacks_is_said(missing, monkeypatch):
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: object())
    assert demo._what_napari_lacks() == ""
    if missing == "screen":
        monkeypatch.delenv("DISPLAY")
        assert "no screen" in demo._what_napari_lacks()
    else:
        monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
        assert "not installed" in demo._what_napari_lacks()


def test_napari_that_fails_is_a_message_that_says_the_results_are_there(tmp_path, monkeypatch):
    # What starts instead of Python ends at once with status 1, as napari does without a display.
    program = shutil.which("false")
    if program is None:
        pytest.skip("this system has no program that only fails")
    monkeypatch.setattr("sys.executable", program)
    with pytest.raises(UserError) as failure:
        demo._open_napari(tmp_path)
    assert failure.value.code == "CN-521"
    assert str(tmp_path) in failure.value.message
