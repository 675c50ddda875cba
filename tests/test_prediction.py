"""Prediction: tiles give the whole image's answer, and objects come apart where they narrow."""

import threading
from dataclasses import replace

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
)
from napari_convnet.prediction.tiles import cut_tiles
from synthetic_pictures import (
    blob_image,
    draw_shape,
)


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


def test_the_mean_over_orientations_does_not_depend_on_how_an_image_lies(classifier):
    random = np.random.default_rng(2)
    images = [clean_image(draw_shape(bool(k % 2), random), "YX") for k in range(6)]
    lying = [replace(i, pixels=np.rot90(i.pixels, axes=(1, 2)).copy()) for i in images]
    alone, mean, mean_of_lying = (
        run(classify_images(classifier, found.__getitem__, 6, orientations=n)).probabilities
        for found, n in ((lying, 1), (images, 8), (lying, 8))
    )
    np.testing.assert_allclose(mean_of_lying, mean, atol=1e-5)
    assert np.abs(alone - mean).max() > 1e-3


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
