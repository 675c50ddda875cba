"""Two models side by side: what differs, in which words and colours, and who is right on held-out labels."""

import csv
import json
import threading

import numpy as np
import pytest
import tifffile

from data_folders import command, make_blob_folders, one_message
from napari_convnet import TrainingSettings, run, train
from napari_convnet.classes import make_classes
from napari_convnet.errors import UserError
from napari_convnet.evaluation import (
    compare_answers,
    compare_cells,
    compare_masks,
    compare_stacks,
    match_classes,
    score_cells,
    score_masks,
)
from napari_convnet.images import clean_image
from napari_convnet.model_file import Model, save_model
from napari_convnet.prediction import classify_objects, segment_image
from napari_convnet.samples import AnnotatedObjects, AnnotatedPixels, SegmentationSet
from napari_convnet.scores import Scores, confusion_matrix
from synthetic_pictures import blob_image, draw_blobs, draw_shape, shape_set
from training_helpers import listen


def renamed(model: Model, *names: str) -> Model:
    """Return a model whose classes are called otherwise."""
    pairs = zip(model.card.classes, names, strict=True)
    classes = tuple(entry.model_copy(update={"name": name}) for entry, name in pairs)
    return Model(
        model.card.model_copy(update={"classes": classes}), model.network, model.sample_input
    )


@pytest.fixture(scope="module")
def other():
    """A segmentation of blobs that learned in another order of classes, and less."""
    image, mask = draw_blobs(1)
    labels = np.where(mask, 1, 2).astype(np.uint8)
    labels[np.random.default_rng(1).random(mask.shape) > 0.05] = 0
    samples = SegmentationSet.from_annotations(
        [AnnotatedPixels(clean_image(image, "YX", "blobs"), labels)],
        make_classes(("blob", "background")), patch_size=32,
    )  # fmt: skip
    settings = TrainingSettings(epochs=3, batch_size=8, learning_rate=5e-3)
    return run(train(samples, settings=settings, network_settings={"width": 8, "levels": 2}))


def test_masks_are_compared_by_the_names_of_classes(segmenter, other):
    image, _ = blob_image(5)
    events, found = listen(compare_masks(segmenter, other, image, device="cpu"))
    first = run(segment_image(segmenter, image, device="cpu")).classes
    second = run(segment_image(other, image, device="cpu")).classes
    assert np.array_equal(found.first, first)
    assert np.array_equal(found.second, second)
    is_blob, is_blob_too = first == 2, second == 1  # the other one's order of classes
    comparison = found.comparison
    assert comparison.n == first.size
    assert comparison.n_different == (is_blob != is_blob_too).sum() > 0
    by_words = {d.words: d for d in comparison.differences}
    assert set(by_words) == {"only A: blob", "only B: blob"}
    for words, where in (
        ("only A: blob", is_blob & ~is_blob_too),
        ("only B: blob", is_blob_too & ~is_blob),
    ):
        assert np.array_equal(comparison.map == by_words[words].value, where)
        assert by_words[words].n == where.sum()
        assert by_words[words].share == pytest.approx(where.mean())
    assert np.array_equal(comparison.map == 1, is_blob == is_blob_too)
    both, either = (is_blob & is_blob_too).sum(), (is_blob | is_blob_too).sum()
    assert comparison.iou["blob"] == pytest.approx(both / either)
    done = [event.done for event in events]
    assert done == sorted(done)
    assert events[-1].done == events[-1].total
    assert {event.text[:7] for event in events} >= {"model A", "model B"}


def test_a_stop_compares_what_both_have_reached(segmenter, other):
    images = [blob_image(seed)[0] for seed in (5, 6, 7)]
    stop = threading.Event()
    steps = compare_stacks(segmenter, other, images, (3, *images[0].shape), device="cpu", stop=stop)

    def react(event):
        if event.done == 300:  # the second image, by the first model
            stop.set()

    _, found = listen(steps, react)
    assert found.comparison.n == images[0].pixels[0].size
    assert (found.comparison.map[0] > 0).all()
    assert not found.comparison.map[1:].any()
    assert found.first[1].all()


def test_many_kinds_of_differences_share_a_colour_and_few_keep_theirs():
    random = np.random.default_rng(0)
    two = [np.array([1, 1, 2, 2]), np.array([1, 2, 1, 2])]
    names = ("background", "cell")
    classes = make_shared(names, names, background=1)
    only_b = compare_answers(two[0][:2], two[1][:2], classes).differences
    only_a = compare_answers(two[0][2:], two[1][2:], classes).differences
    assert [(d.words, d.colour) for d in only_a] == [(d.words, d.colour) for d in only_b]
    assert [d.n for d in only_a] == [1, 0]
    many = tuple(f"class {k}" for k in range(5))
    classes = make_shared(many, many)
    first, second = random.integers(1, 6, (2, 40, 50))
    found = compare_answers(first, second, classes)
    assert len(found.differences) == 8
    assert found.differences[-1].words == "other differences"
    assert sum(d.n for d in found.differences) == (first != second).sum()
    assert len({d.colour for d in found.differences}) == 8
    for difference in found.differences:
        assert (found.map == difference.value).sum() == difference.n
    assert min(d.n for d in found.differences[:-1]) >= 60  # the frequent ones
    assert np.array_equal(found.counts, confusion_matrix(first - 1, second - 1, 5))


def make_shared(first, second, background=0):
    from napari_convnet.evaluation import SharedClasses

    union = (*first, *(name for name in second if name not in first))
    lookups = [
        np.array([0, *(union.index(name) + 1 for name in names)]) for names in (first, second)
    ]
    return SharedClasses(union, *lookups, background)


def test_classes_that_only_one_model_knows_are_named_and_differ(segmenter):
    model = renamed(segmenter, "background", "spore")
    shared = match_classes(segmenter.card, model.card)
    assert shared.names == ("background", "blob", "spore")
    assert (shared.only_first, shared.only_second) == (("blob",), ("spore",))
    assert shared.common == ("background",)
    image, _ = blob_image(5)
    found = run(compare_masks(segmenter, model, image, device="cpu")).comparison
    words = {d.words for d in found.differences if d.n}
    assert words == {"A: blob, B: spore"}
    assert found.n_different == found.counts[1, 2]


def test_models_that_cannot_be_compared_are_refused_with_both_sides(segmenter, classifier):
    image, _ = blob_image(5)
    with pytest.raises(UserError) as error:
        run(compare_masks(segmenter, classifier, image))
    assert error.value.code == "CN-671"
    assert "segment" in error.value.message
    assert "classify" in error.value.message
    with pytest.raises(UserError) as error:
        run(compare_masks(segmenter, renamed(segmenter, "x", "y"), image))
    assert error.value.code == "CN-672"
    assert "background, blob" in error.value.message
    assert "x, y" in error.value.message
    pixels = np.zeros((64, 64, 2), np.float32)
    with pytest.raises(UserError) as error:
        run(compare_masks(segmenter, segmenter, clean_image(pixels, "YXC", "two")))
    assert error.value.code == "CN-106"
    assert "Model A" in error.value.message
    assert "has 2" in error.value.message


def test_both_are_scored_on_the_same_pixels_and_the_better_one_is_told(segmenter, other):
    parts = [blob_image(seed) for seed in (7, 8, 9)]
    labels = [(mask + 1).astype(np.uint8) for _, mask in parts]
    for each in labels:
        each[::2] = 0  # not annotated
    images = [image for image, _ in parts]
    steps = score_masks(
        segmenter, other, zip(images, labels, strict=True), ["a", "b", "c"],
        ("background", "blob"), device="cpu",
    )  # fmt: skip
    report = run(steps)
    assert report["measured"]["pixels"] == sum(int((each > 0).sum()) for each in labels)
    assert report["measured"]["names"] == ["a", "b", "c"]
    for key, model in (("first", segmenter), ("second", other)):
        ious = []
        for image, truth in zip(images, labels, strict=True):
            classes = run(segment_image(model, image, device="cpu")).classes
            if model is other:
                classes = 3 - classes
            counts = confusion_matrix(truth.astype(int) - 1, classes.astype(int) - 1, 2)
            ious.append(Scores(counts).mean_iou)
        assert report[key]["mean_iou"] == pytest.approx(np.mean(ious), abs=1e-5)
    difference = report["difference"]["mean_iou"]
    wanted = report["second"]["mean_iou"] - report["first"]["mean_iou"]
    assert difference["mean"] == pytest.approx(wanted, abs=1e-5)
    assert difference["interval"][0] <= difference["mean"] <= difference["interval"][1]
    json.dumps(report, allow_nan=False)


def test_cells_whose_class_differs_are_drawn_and_counted(classifier):
    random = np.random.default_rng(3)
    tiles = [draw_shape(bool(k % 2), random) for k in range(16)]
    picture = np.vstack([np.hstack(tiles[4 * row : 4 * row + 4]) for row in range(4)])
    image = clean_image(picture, "YX", "shapes")
    labels = np.kron(np.arange(1, 17).reshape(4, 4) * 3, np.ones((24, 24), int))
    centres = np.array(
        [(24 * row + 11.5, 24 * column + 11.5) for row in range(4) for column in range(4)]
    )
    settings = TrainingSettings(epochs=1, batch_size=16)
    weak = run(
        train(shape_set(24, seed=5), settings=settings, network_settings={"width": 4, "blocks": 2})
    )
    present = np.arange(1, 17) * 3
    found = run(compare_cells(classifier, weak, image, present, centres, device="cpu"))
    values = [
        run(classify_objects(m, image, present, centres, device="cpu")).values
        for m in (classifier, weak)
    ]
    differs = values[0] != values[1]
    assert found.comparison.unit == "cells"
    assert found.comparison.n_different == differs.sum()
    drawn = found.draw(labels)
    assert np.array_equal(drawn[11::24, 11::24].ravel() > 1, differs)
    truth = np.arange(16) % 2 + 1
    parts = [AnnotatedObjects(image, centres, truth)]
    report = run(score_cells(classifier, weak, parts, ["shapes"], device="cpu"))
    right = [values[k] == truth for k in (0, 1)]
    assert report["first"]["accuracy"] == pytest.approx(right[0].mean())
    assert report["second"]["accuracy"] == pytest.approx(right[1].mean())
    assert report["first"]["only_right"] == (right[0] & ~right[1]).sum()
    assert report["measured"]["cells"] == 16


def test_the_command_writes_maps_with_their_legend_and_scores_both(segmenter, other, tmp_path):
    images, labels = make_blob_folders(tmp_path / "data", kind="masks")
    for name, model in (("a", segmenter), ("b", other)):
        save_model(model, tmp_path / f"{name}.safetensors")
    models = [tmp_path / f"{name}.safetensors" for name in "ab"]
    out, report = tmp_path / "out", tmp_path / "report.json"
    result = command(
        "compare", *models, images, "-o", out, "--labels", labels, "--report", report,
        "--device", "cpu",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    found = json.loads(report.read_text())
    assert found["n"] == 3 * 64 * 64
    assert found["scores"]["measured"]["pixels"] == 3 * 64 * 64
    assert found["scores"]["first"]["mean_iou"] > 0.8
    assert f"{found['different']:,} of {found['n']:,} pixels differ" in result.stdout
    with (out / "differences.csv").open(newline="") as file:
        legend = list(csv.DictReader(file))
    differing = 0
    for row in legend:
        path = out / f"{row['image'].rsplit('/', 1)[-1][:-4]}_difference.tif"
        n = int((tifffile.imread(path) == int(row["value"])).sum())
        assert n == int(row["pixels"])
        differing += n
    assert differing == found["different"]
    one_message(command("compare", *models, images, "--instances"), "CN-509")
    (images / "field_9.tif").write_bytes((images / "field_0.tif").read_bytes())
    one_message(command("compare", *models, images, "--labels", labels), "CN-636")
