"""Evaluation compares answers with the truth and says what it was measured on."""

import json
from dataclasses import replace

import numpy as np
import pytest
import tifffile
import torch

from napari_convnet import UserError, run
from napari_convnet.evaluation import (
    evaluate_classification,
    evaluate_objects,
    evaluate_pixels,
    evaluate_positions,
    evaluate_segmentation,
    versions,
    whole_object_classes,
)
from napari_convnet.folders import pair_images, read_class_folder
from napari_convnet.images import clean_image
from napari_convnet.samples import AnnotatedObjects
from napari_convnet.scores import Scores
from synthetic_pictures import (
    draw_blobs,
    draw_shape,
)


@pytest.fixture
def shape_folder(tmp_path):
    random = np.random.default_rng(9)
    for index in range(24):
        # Folder names sort the other way round than the model's classes: "square" is first here.
        name = "a square" if index % 2 else "disk"
        folder = tmp_path / name.split()[-1]
        folder.mkdir(exist_ok=True)
        tifffile.imwrite(folder / f"{index}.tif", draw_shape(bool(index % 2), random))
    return tmp_path


@pytest.fixture
def blob_pairs(tmp_path):
    for kind in ("images", "labels"):
        (tmp_path / kind).mkdir()
    for seed in (5, 6):
        image, mask = draw_blobs(seed)
        tifffile.imwrite(tmp_path / "images" / f"{seed}.tif", image)
        tifffile.imwrite(tmp_path / "labels" / f"{seed}.tif", mask.astype(np.uint8) + 1)
    return pair_images(tmp_path / "images", tmp_path / "labels")


def test_a_folder_is_scored_by_the_models_own_classes(classifier, shape_folder):
    folder = read_class_folder(shape_folder, ("square", "disk"))
    report = run(evaluate_classification(classifier, folder))
    assert report["accuracy"] >= 0.9
    assert report["classes"]["square"]["n"] == 12
    assert report["data"]["images"] == 24
    assert json.loads(json.dumps(report)) == report


def test_only_chosen_samples_are_scored(classifier, shape_folder):
    folder = read_class_folder(shape_folder)
    report = run(evaluate_classification(classifier, folder, indices=np.array([0, 5, 20])))
    assert report["n"] == report["data"]["images"] == 3


def test_a_class_that_the_model_does_not_know_is_refused(classifier, shape_folder):
    (shape_folder / "square").rename(shape_folder / "triangle")
    with pytest.raises(UserError, match="triangle") as refused:
        run(evaluate_classification(classifier, read_class_folder(shape_folder)))
    assert refused.value.code == "CN-641"


def test_pixels_are_scored_image_by_image_and_together(segmenter, blob_pairs):
    report = run(evaluate_segmentation(segmenter, blob_pairs))
    assert report["classes"]["blob"]["iou"] > 0.75
    assert report["classes"]["blob"]["dice"] > report["classes"]["blob"]["iou"]
    assert report["pixels"]["n"] == 2 * 96 * 96
    assert "objects" not in report
    assert json.loads(json.dumps(report)) == report


def test_whole_objects_are_matched(segmenter, blob_pairs):
    from scipy import ndimage

    for pair in blob_pairs:
        _, labels = pair.read()
        instances, _ = ndimage.label(labels == 2)
        tifffile.imwrite(pair.labels, instances.astype(np.uint16))
    objects = run(evaluate_segmentation(segmenter, blob_pairs, instances=True))["objects"]
    total = sum(objects[kind] for kind in ("true_positives", "false_positives", "false_negatives"))
    expected = objects["true_positives"] / total
    assert objects["average_precision_at_iou_0.5_pooled"] == pytest.approx(expected, abs=1e-6)
    assert objects["average_precision_at_iou_0.5"] > 0.5


def test_pixels_without_truth_do_not_count(segmenter, blob_pairs):
    pair = blob_pairs[0]
    _, labels = pair.read()
    labels[:48] = 0
    tifffile.imwrite(pair.labels, labels)
    report = run(evaluate_segmentation(segmenter, [pair]))
    assert report["pixels"]["n"] == 48 * 96


def test_whole_objects_stand_for_the_class_that_is_not_background(segmenter):
    classes = whole_object_classes(segmenter, np.array([[0, 7], [300, 0]]))
    np.testing.assert_array_equal(classes, [[1, 2], [2, 1]])


def test_scores_of_a_report_are_those_of_the_confusion_matrix(classifier, shape_folder):
    report = run(evaluate_classification(classifier, read_class_folder(shape_folder)))
    assert report["accuracy"] == pytest.approx(Scores(np.array(report["confusion"])).accuracy)


def test_versions_name_what_a_figure_depends_on():
    assert versions()["torch"] == torch.__version__
    assert set(versions()) == {"napari-convnet", "python", "torch", "numpy"}


def test_scores_of_a_folder_respect_groups(classifier, shape_folder):
    folder = read_class_folder(shape_folder)
    groups = [str(int(path.stem) // 2 % 6) for path in folder.files]
    report = run(evaluate_classification(classifier, folder, groups=groups))
    assert report["measured"]["intervals"] == "95 %, bootstrap over 6 groups"
    low, high = report["accuracy_interval"]
    assert low <= report["accuracy"] <= high


def test_objects_of_test_images_are_scored_by_image(classifier):
    random, annotated = np.random.default_rng(2), []
    for name in ("one", "one", "two"):
        shapes = [draw_shape(bool(k % 2), random) for k in range(6)]
        centres = np.array([[11.5, 11.5 + 24 * k] for k in range(6)])
        image = clean_image(np.concatenate(shapes, axis=1), "YX", name)
        annotated.append(AnnotatedObjects(image, centres, 1 + np.arange(6) % 2))
    model = replace(classifier, card=classifier.card.model_copy(update={"patch_size": 24}))
    report = run(evaluate_objects(model, annotated))
    assert report["n"] == 18
    assert report["measured"]["images"] == 3
    assert report["measured"]["names"] == ["one", "one (2)", "two"]
    assert report["accuracy"] >= 0.8


def test_positions_of_images_are_scored_together_and_in_micrometres():
    truth = [np.array([[5.0, 5.0], [20.0, 20.0]]), np.array([[9.0, 9.0]])]
    found = [np.array([[5.0, 6.0]]), np.array([[9.0, 9.0], [30.0, 30.0]])]
    report = evaluate_positions(truth, found, tolerance=2, pixel_size_um=0.5)
    assert report["data"]["images"] == 2
    assert (report["recall"], report["precision"]) == pytest.approx((2 / 3, 2 / 3), abs=1e-6)
    assert report["root_mean_square_error_um"] == pytest.approx(0.5 * np.sqrt(0.5), abs=1e-6)
    assert report["recall_interval_over_images"] == [0.5, 1.0]


def test_segmentation_says_how_sure_its_means_are(segmenter, blob_pairs):
    report = run(evaluate_segmentation(segmenter, blob_pairs))
    low, high = report["mean_iou_interval"]
    assert low <= report["mean_iou"] <= high
    assert report["measured"]["intervals"] == "95 %, bootstrap over images"
    assert report["measured"]["names"] == ["5.tif", "6.tif"]
    alone = run(evaluate_segmentation(segmenter, blob_pairs[:1]))
    assert alone["mean_iou_interval"] is None


def test_planes_of_one_image_count_as_one_image(segmenter, classifier):
    parts = [(clean_image(image, "YX", "stack"), mask.astype(np.uint8) + 1)
             for image, mask in map(draw_blobs, (5, 6, 7))]  # fmt: skip
    report = run(evaluate_pixels(segmenter, parts, ["stack", "stack", "other"]))
    assert report["data"]["images"] == report["measured"]["images"] == 2
    alone = run(evaluate_pixels(segmenter, parts[2:], ["other"]))
    together = run(evaluate_pixels(segmenter, parts[:2], ["stack", "stack"]))
    means = [alone["mean_iou"], together["mean_iou"]]
    assert report["mean_iou"] == pytest.approx(np.mean(means), abs=1e-6)
    assert together["mean_iou_interval"] is None  # one image says nothing of how images differ

    random = np.random.default_rng(2)
    image = clean_image(
        np.concatenate([draw_shape(bool(k % 2), random) for k in range(6)], axis=1), "YX", "a"
    )
    objects = AnnotatedObjects(
        image, np.array([[11.5, 11.5 + 24 * k] for k in range(6)]), 1 + np.arange(6) % 2
    )
    model = replace(classifier, card=classifier.card.model_copy(update={"patch_size": 24}))
    report = run(evaluate_objects(model, [objects, objects], names=["a", "a"]))
    assert report["data"]["images"] == report["measured"]["images"] == 1
    assert "1 image only" in report["warning"]


def test_progress_over_images_never_goes_back_and_ends_at_all(segmenter):
    parts = [(clean_image(image, "YX", "x"), mask.astype(np.uint8) + 1)
             for image, mask in map(draw_blobs, (5, 6))]  # fmt: skip
    events = list(evaluate_pixels(segmenter, parts, ["x", "y"]))
    assert [event.done for event in events] == sorted(event.done for event in events)
    assert events[-1].done == events[-1].total
    assert events[-1].text == "2 of 2 images evaluated"
