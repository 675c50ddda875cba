"""The data doctor: every planted defect is found, and a clean set raises none."""

from __future__ import annotations

import json
import threading
from dataclasses import replace

import numpy as np
import pytest

from data_folders import command, make_blob_folders, make_shape_folder, one_message
from napari_convnet import ClassificationSet, SegmentationSet, make_classes, run
from napari_convnet.data_doctor import CHECKS, Evidence, describe_findings, examine
from napari_convnet.images import CleanImage
from napari_convnet.samples import AnnotatedPixels, split_by_sample

CLASSES = make_classes(("round", "long"))


def draw_cell(number: int, n_channels: int = 3) -> CleanImage:
    """Draw a cell of class ``number % 2`` with noise, one colour a channel."""
    random = np.random.default_rng(number)
    rows, columns = np.mgrid[:40, :40] - 20 + random.uniform(-6, 6, (2, 1, 1))
    radius, stretch = random.uniform(7, 10), 2.5 if number % 2 else 1.0
    cell = np.exp(-(((rows**2 + (columns * stretch) ** 2) / radius**2) ** 2))
    colours = np.array([120.0, 60, 20])[:n_channels, None, None]
    pixels = 30 + colours * cell + random.normal(0, 3, (n_channels, 40, 40))
    return CleanImage(pixels.astype(np.float32), None, f"cell {number}")


def evidence_of(images: list[CleanImage], targets: np.ndarray | None = None, **changes) -> Evidence:
    targets = np.arange(len(images)) % 2 if targets is None else targets
    samples = ClassificationSet.from_images(
        images.__getitem__, targets, CLASSES, split_by_sample(targets, 0.25, 0), input_size=32
    )
    return Evidence(replace(samples, **changes), images)


def checks(evidence: Evidence) -> list[str]:
    return [finding.check for finding in run(examine(evidence))]


@pytest.fixture
def cells() -> list[CleanImage]:
    return [draw_cell(number) for number in range(60)]


def test_a_clean_set_raises_nothing_and_says_what_was_looked_for(cells):
    found = run(examine(evidence_of(cells)))
    assert found == ()
    text = describe_findings(found)
    assert text.startswith("Nothing found. Looked for:")
    assert all(what in text for what in CHECKS.values())


@pytest.mark.parametrize("change", ["none", "brighter", "noisy"])
def test_a_copy_across_the_split_is_found_also_when_it_was_changed_a_little(cells, change):
    clean = evidence_of(cells)
    held, seen = (
        int(part[0]) for part in (clean.samples.split.validation, clean.samples.split.training)
    )
    pixels = cells[seen].pixels
    noise = np.random.default_rng(0).normal(0, 1, pixels.shape).astype(np.float32)
    changed = {"none": pixels, "brighter": 1.3 * pixels + 4, "noisy": pixels + noise}[change]
    cells[held] = CleanImage(changed, None, f"copy of {seen}")
    [finding] = run(examine(evidence_of(cells, np.arange(60) % 2)))
    assert finding.check == "copies"
    assert finding.names == (f"copy of {seen}",)
    assert f"1 of {len(clean.samples.split.validation)} held-out samples" in finding.what
    assert ("different classes" in finding.what) == ((held - seen) % 2 == 1)


def test_bright_parts_that_are_cut_off_are_found(cells):
    cells[3] = replace(cells[3], pixels=np.minimum(cells[3].pixels, 100))
    [finding] = run(examine(evidence_of(cells)))
    assert (finding.check, finding.names) == ("saturation", ("cell 3",))


def test_a_white_background_is_not_cut_off(cells):
    white = [replace(cell, pixels=np.minimum(255 - cell.pixels, 200)) for cell in cells]
    assert "saturation" not in checks(evidence_of(white))


@pytest.mark.parametrize(
    "change", [lambda p: p + 300, lambda p: 30 + 4 * (p - 30), lambda p: 30 + 0.2 * (p - 30)]
)
def test_images_unlike_the_others_are_found(cells, change):
    cells[5] = replace(cells[5], pixels=change(cells[5].pixels))
    [finding] = run(examine(evidence_of(cells)))
    assert (finding.check, finding.names) == ("brightness", ("cell 5",))
    assert "all alike" in finding.advice  # normalised over the training set


def test_a_slow_drift_is_found(cells):
    drifting = [replace(c, pixels=c.pixels + 0.6 * k) for k, c in enumerate(cells)]
    [finding] = run(examine(evidence_of(drifting)))
    assert finding.check == "brightness"
    assert "drifts" in finding.what
    order = np.random.default_rng(0).permutation(len(cells))
    assert checks(evidence_of([drifting[k] for k in order], order % 2)) == []


def test_channels_in_another_order_are_found_and_the_order_is_named(cells):
    cells[7] = replace(cells[7], pixels=cells[7].pixels[::-1].copy())
    [finding] = run(examine(evidence_of(cells)))
    assert (finding.check, finding.names) == ("channels", ("cell 7",))
    assert "as 3, 2, 1 they are like the others" in finding.what


def test_rare_few_and_missing_classes_are_told(cells):
    targets = np.zeros(60, int)
    targets[:4] = 1
    found = run(examine(evidence_of(cells, targets)))
    assert [finding.check for finding in found] == ["classes", "classes"]
    assert "Fewer than 10 samples to train on: long (3)" in found[0].what
    assert "'round' has 42 samples, 'long' 3: 14 times fewer" in found[1].what
    more = evidence_of(cells, classes=make_classes(("round", "long", "flat")))
    assert [f.what for f in run(examine(more))] == ["No samples to train on: flat."]


@pytest.mark.parametrize(
    ("side", "words"), [(40, ""), (16, "do not fit in"), (200, "mostly what is around")]
)
def test_patches_that_do_not_fit_the_objects_are_told(cells, side, words):
    evidence = replace(evidence_of(cells, patch_size=side), diameters=np.full(9, 28.0))
    found = run(examine(evidence))
    assert [f.check for f in found] == ["size"] * bool(words)
    assert all(words in f.what and "40 pixels" in f.advice for f in found)


def test_copies_of_whole_images_to_segment_are_found():
    images = [draw_cell(number, 1) for number in range(6)]
    images[5] = replace(images[1], name="copy")
    parts = [
        AnnotatedPixels(image, (image.pixels[0] > 80).astype(np.uint8) + 1) for image in images
    ]
    samples = SegmentationSet.from_annotations(
        parts[:5], CLASSES, patch_size=16, validation=parts[5:]
    )
    [finding] = run(examine(Evidence(samples, images)))
    assert (finding.check, finding.names) == ("copies", ("copy",))
    clean = SegmentationSet.from_annotations(
        parts[:4], CLASSES, patch_size=16, validation=parts[4:5]
    )
    assert run(examine(Evidence(clean, images[:5]))) == ()


def test_invalid_pixels_and_flat_images_do_not_break_it(cells):
    invalid = np.zeros((40, 40), bool)
    invalid[:5] = True
    cells[0] = replace(cells[0], invalid=invalid)
    cells[1] = replace(cells[1], pixels=np.full((3, 40, 40), 30, np.float32))
    assert checks(evidence_of(cells)) == ["brightness"]
    cells[1] = replace(cells[1], invalid=np.ones((40, 40), bool))
    assert set(checks(evidence_of(cells))) <= {"brightness"}


def test_it_stops_where_it_is_told_to(cells):
    stop = threading.Event()
    steps = examine(evidence_of(cells), stop)
    assert "measuring cell 0" in next(steps).text
    stop.set()
    assert run(steps) is None


# On the command line


def test_the_command_tells_what_it_found_and_what_is_held_out(tmp_path):
    folder, report = make_shape_folder(tmp_path / "data"), tmp_path / "report.json"
    result = command("check", folder, "--report", report)
    assert result.exit_code == 0, result.output
    assert "Nothing found. Looked for:" in result.output
    assert "held out" in result.output.splitlines()[-1]
    assert json.loads(report.read_text()) == {"findings": []}
    result = command("check", folder, "--validation", "0.9", "--report", report)
    [found] = json.loads(report.read_text())["findings"]
    assert found["check"] == "classes"
    assert "Fewer than 10 samples" in found["what"]
    assert found["what"] in " ".join(result.output.split())


def test_the_command_checks_strokes_and_refuses_half_of_a_question(tmp_path):
    images, labels = make_blob_folders(tmp_path / "data")
    result = command("check", "--images", images, "--labels", labels, "--size", 32)
    assert result.exit_code == 0, result.output
    for arguments in ((), ("--images", images), (images, "--images", images, "--labels", labels)):
        result = command("check", *arguments)
        assert "--images and --labels" in one_message(result, "CN-516")
