"""Prediction: tiles give the whole image's answer, and objects come apart where they narrow."""

import threading

import numpy as np
import pytest
import torch

from napari_convnet import UserError, run
from napari_convnet.images import clean_image
from napari_convnet.networks import build_network
from napari_convnet.prediction import (
    classify_images,
    classify_objects,
    object_centres,
    segment_image,
    separate_objects,
)
from napari_convnet.prediction.objects import cut_waists
from napari_convnet.prediction.tiles import cut_tiles
from synthetic_pictures import (
    blob_image,
    draw_shape,
    train_classifier,
    train_segmenter,
)


@pytest.fixture(scope="module")
def segmenter():
    return train_segmenter()


@pytest.fixture(scope="module")
def classifier():
    return train_classifier()


def plate_of_shapes(n=16, seed=5):
    """Return an image with shapes on a grid, their instance labels and which are squares."""
    random = np.random.default_rng(seed)
    image = random.normal(0, 0.1, (4 * 24, n // 4 * 24)).astype(np.float32)
    labels = np.zeros(image.shape, np.int32)
    is_square = random.random(n) < 0.5
    for index in range(n):
        top, left = index % 4 * 24, index // 4 * 24
        patch = draw_shape(bool(is_square[index]), random)
        image[top : top + 24, left : left + 24] = patch
        labels[top : top + 24, left : left + 24][patch > 0.5] = 10 * (index + 1)
    return image, labels, is_square


def classify(model, image, labels):
    present, centres = object_centres(labels)
    return run(classify_objects(model, clean_image(image, "YX"), present, centres))


@pytest.mark.parametrize("tile_size", [8, 24, 40])
@pytest.mark.parametrize("levels", [1, 2, 3])
def test_tiled_prediction_equals_whole_image(tile_size, levels):
    random = torch.Generator().manual_seed(levels)
    network = build_network("unet", 1, 3, width=4, levels=levels).eval()
    image = torch.randn(1, 1, 101, 147, generator=random)
    together = torch.zeros(1, 3, 101, 147)
    with torch.inference_mode():
        whole = network(image)
        for tile in cut_tiles((101, 147), tile_size, network):
            logits = network(image[(..., *tile.read)])
            together[(..., *tile.write)] = logits[(..., *tile.within)]
    torch.testing.assert_close(together, whole, rtol=0, atol=1e-5)


def test_tiles_write_every_pixel_once():
    network = build_network("unet", 1, 2, width=4, levels=2)
    written = np.zeros((70, 45), int)
    for tile in cut_tiles(written.shape, 16, network):
        written[tile.write] += 1
    assert (written == 1).all()


@pytest.mark.parametrize("shape", [(1, 1), (7, 5), (33, 31), (1, 200), (130, 20)])
def test_images_of_any_size_are_segmented(segmenter, shape):
    image = np.random.default_rng(0).normal(100, 8, shape)
    result = run(segment_image(segmenter, clean_image(image, "YX"), tile_size=64))
    assert result.classes.shape == result.objects.shape == shape
    assert set(np.unique(result.classes)) <= {1, 2}
    assert len(result.object_values) == result.objects.max() + 1


def test_a_constant_image_is_segmented_without_a_warning(segmenter):
    result = run(segment_image(segmenter, clean_image(np.full((40, 40), 9, np.uint8), "YX")))
    assert len(np.unique(result.classes)) >= 1


def test_blobs_of_another_image_are_found(segmenter):
    image, mask = blob_image(seed=4)
    result = run(segment_image(segmenter, image))
    found = result.classes == 2
    assert (found & mask).sum() / (found | mask).sum() > 0.8


def test_the_scale_of_the_intensities_does_not_matter(segmenter):
    random = np.random.default_rng(0)
    bright = random.integers(0, 200, (64, 64), dtype=np.uint16) * 327
    answers = [
        run(segment_image(segmenter, clean_image(image, "YX"))).classes
        for image in (bright, bright // 327, bright.astype(">f8") * 1e12)
    ]
    assert (answers[0] == answers[1]).all()
    assert (answers[0] == answers[2]).all()


def test_a_stopped_segmentation_keeps_what_is_done(segmenter):
    image, _ = blob_image()
    stop = threading.Event()
    steps = segment_image(segmenter, image, tile_size=32, stop=stop)
    next(steps)
    stop.set()
    result = run(steps)
    assert (result.classes[:32, :32] > 0).all()
    assert (result.classes[32:] == 0).all()


def test_shapes_on_a_plate_get_their_class(classifier):
    image, labels, is_square = plate_of_shapes()
    result = classify(classifier, image, labels)
    np.testing.assert_array_equal(result.labels, 10 * np.arange(1, 17))
    assert ((result.values == 2) == is_square).mean() >= 0.9
    np.testing.assert_allclose(result.probabilities.sum(1), 1, rtol=1e-5)
    np.testing.assert_array_equal(result.confidence, result.probabilities.max(1))


def test_nothing_to_classify_gives_an_empty_answer(classifier):
    result = classify(classifier, np.ones((30, 30)), np.zeros((30, 30), np.uint8))
    assert result.probabilities.shape == (0, 2)
    assert len(result.values) == len(result.confidence) == 0


def test_a_stopped_classification_keeps_what_is_done(classifier):
    image, _, _ = plate_of_shapes()
    centres = np.random.default_rng(0).uniform(0, 90, (150, 2))
    stop = threading.Event()
    steps = classify_objects(
        classifier, clean_image(image, "YX"), np.arange(1, 151), centres, stop=stop
    )
    next(steps)
    stop.set()
    result = run(steps)
    assert 0 < len(result.labels) == len(result.centres) == len(result.probabilities) < 150


def test_whole_images_are_classified_at_any_size(classifier):
    random = np.random.default_rng(0)
    pictures = [np.kron(draw_shape(k % 2 == 1, random), np.ones((2, 2))) for k in range(20)]
    result = run(classify_images(classifier, lambda k: clean_image(pictures[k], "YX"), 20))
    assert ((result.values == 2) == (np.arange(20) % 2 == 1)).mean() >= 0.9


def test_a_model_for_another_task_or_other_channels_is_refused(classifier, segmenter):
    grey = clean_image(np.zeros((30, 30)), "YX", "dapi")
    colour = clean_image(np.zeros((30, 30, 3)), "YXC", "smear")
    for steps, words in (
        (segment_image(classifier, grey), "classify"),
        (segment_image(segmenter, colour), "expects 1 channel"),
        (classify_objects(classifier, colour, np.array([1]), np.zeros((1, 2))), "smear"),
    ):
        with pytest.raises(UserError, match=words) as refused:
            run(steps)
        assert refused.value.code == "CN-106"


def test_centres_are_centres_of_mass():
    labels = np.zeros((12, 12), np.uint16)
    labels[2:5, 3:8], labels[9, 9] = 65_535, 4
    present, centres = object_centres(labels)
    np.testing.assert_array_equal(present, [4, 65_535])
    np.testing.assert_allclose(centres, [[9, 9], [3, 5]])


def draw_disks(*disks, shape=(80, 120)):
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    mask = np.zeros(shape, bool)
    for row, column, radius in disks:
        mask |= (rows - row) ** 2 + (columns - column) ** 2 <= radius**2
    return mask


@pytest.mark.parametrize("distance", [18, 21, 24])
def test_touching_disks_come_apart(distance):
    mask = draw_disks((40, 40, 13), (40, 40 + distance, 13))
    assert len(np.unique(cut_waists(mask))) == 3


def test_one_disk_stays_one():
    assert len(np.unique(cut_waists(draw_disks((40, 60, 25))))) == 2


@pytest.mark.parametrize("angle", [0, 17, 45, 80])
def test_a_rod_of_varying_width_stays_one(angle):
    rows, columns = np.mgrid[:120, :120] - 60.0
    turn = np.radians(angle)
    along = columns * np.cos(turn) + rows * np.sin(turn)
    across = rows * np.cos(turn) - columns * np.sin(turn)
    rod = (abs(along) < 45) & (abs(across) < 5 + 0.5 * np.sin(along / 6))
    assert len(np.unique(cut_waists(rod))) == 2


def test_objects_are_numbered_without_gaps_and_know_their_class():
    classes = np.full((80, 120), 1, np.uint8)
    classes[draw_disks((20, 20, 10), (60, 20, 10))] = 2
    classes[draw_disks((40, 80, 12))] = 3
    classes[5, 110] = 3
    objects, values = separate_objects(classes, background=1)
    assert objects.dtype == np.int32
    np.testing.assert_array_equal(values, [0, 2, 2, 3])
    for label in (1, 2, 3):
        assert (classes[objects == label] == values[label]).all()
    assert objects[5, 110] == 0  # a single pixel is no object


def test_a_hole_is_filled_but_an_object_of_another_class_in_it_stays():
    classes = np.full((60, 60), 1, np.uint8)
    classes[draw_disks((30, 30, 25), shape=(60, 60))] = 3
    classes[draw_disks((30, 30, 8), shape=(60, 60))] = 2
    classes[14, 30] = 1
    objects, values = separate_objects(classes, background=1)
    assert list(values) == [0, 2, 3]
    assert objects[30, 30] == 1
    assert objects[14, 30] == 2


def test_pixels_that_were_not_predicted_form_no_object():
    objects, values = separate_objects(np.zeros((20, 20), np.uint8), background=1)
    assert not objects.any()
    assert list(values) == [0]


def test_a_class_that_fills_the_whole_image_is_one_object():
    objects, values = separate_objects(np.full((30, 40), 2, np.uint8), background=1)
    assert (objects == 1).all()
    assert list(values) == [0, 2]
