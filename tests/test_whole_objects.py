"""Whole objects: depths as a target, a network that learns them, and touching objects that come apart by them."""

import threading
from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_convnet import (
    SegmentationSet,
    TrainingSettings,
    UserError,
    make_classes,
    run,
    segment_image,
    train,
)
from napari_convnet.images import CleanImage
from napari_convnet.model_file import model_bytes, model_from_bytes, reading
from napari_convnet.prediction import separate_objects
from napari_convnet.prediction.reading import NormalisedImage
from napari_convnet.prediction.tile_by_tile import predict_tiles
from napari_convnet.samples import (
    AnnotatedPixels,
    AugmentationSettings,
    WholeObjectSet,
    instance_classes,
    painted_objects,
)
from napari_convnet.samples.instances import DEEPEST, object_depths
from napari_convnet.scores import match_objects
from napari_convnet.separation import cut_waists
from napari_convnet.settings import ObjectSettings
from napari_convnet.training import repeat_run, start_from_model
from napari_convnet.training.objectives import class_weights, objective_of
from whole_object_pictures import CLASSES, UNET, draw_rods, rod_set, rods, train_objects

QUICK = TrainingSettings(epochs=3, batch_size=4, device="cpu")


@pytest.fixture(scope="module")
def model():
    return train_objects()


def same_weights(one, other):
    pairs = zip(one.network.parameters(), other.network.parameters(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


# Depths


def test_depths_are_those_of_each_object_for_itself():
    _, instances = draw_rods(0)
    depths = object_depths(instances)
    assert depths.dtype == np.int16
    assert ((depths > 0) == (instances > 0)).all()
    for label in np.unique(instances)[1:]:
        inside = instances == label
        assert depths[inside].max() == DEEPEST
        alone = object_depths(np.where(inside, 1, 0))
        np.testing.assert_array_equal(alone[inside], depths[inside])
    np.testing.assert_array_equal(object_depths(instances.T), depths.T)
    np.testing.assert_array_equal(object_depths(instances * np.int64(2**40)), depths)


def test_the_border_of_the_image_is_no_border_of_an_object():
    instances = np.zeros((20, 30), int)
    instances[:, :8] = 1
    assert (object_depths(instances)[:, 0] == DEEPEST).all()
    assert (object_depths(np.ones((5, 6), int)) == DEEPEST).all()
    assert not object_depths(np.zeros((5, 6), int)).any()


def test_painted_areas_give_whole_objects_back():
    _, instances = draw_rods(0)
    found = painted_objects(instance_classes(instances), background=1)
    assert match_objects(instances, found).average_precision == 1
    of_two_classes = np.array([[1, 2, 2, 3, 0, 3]])
    np.testing.assert_array_equal(painted_objects(of_two_classes, 1), [[0, 1, 1, 2, 0, 3]])


# Samples


def test_batches_hold_classes_and_the_depths_of_the_whole_image():
    place = np.arange(128 * 128, dtype=np.float32).reshape(128, 128)
    annotated = replace(rods(0), image=CleanImage(place[None], None, "places"))
    samples = WholeObjectSet.from_annotations(
        [annotated], CLASSES, patch_size=32, validation_fraction=0, normalisation="unit"
    )
    random = torch.Generator().manual_seed(0)
    inputs, targets = next(samples.training_batches(16, random, augment=None))
    assert targets.shape == (16, 2, 32, 32)
    assert targets.dtype == torch.int64
    where = inputs[:, 0].long().numpy()
    np.testing.assert_array_equal(targets[:, 0], samples.targets[0].ravel()[where])
    np.testing.assert_array_equal(targets[:, 1], object_depths(annotated.instances).ravel()[where])


def test_augmentation_moves_classes_and_depths_alike():
    samples = rod_set()
    random = torch.Generator().manual_seed(0)
    batches = samples.training_batches(8, random, augment=AugmentationSettings())
    classes, depths = next(batches)[1].unbind(1)
    assert (classes < 0).any()
    assert torch.equal(classes < 0, depths < 0)  # from outside
    assert torch.equal(classes == 1, depths > 0)


def test_a_small_image_is_shown_as_often_as_a_large_one():
    large = rods(0)
    corner = (slice(0, 48), slice(0, 48))
    small = replace(
        large, image=CleanImage(np.full((1, 48, 48), -1, np.float32), None, "small"),
        labels=large.labels[corner], instances=large.instances[corner],
    )  # fmt: skip
    large = replace(large, image=CleanImage(np.ones((1, 128, 128), np.float32), None, "large"))
    samples = WholeObjectSet.from_annotations(
        [large, small], CLASSES, patch_size=32, validation_fraction=0, normalisation="unit"
    )
    random = torch.Generator().manual_seed(0)
    inputs, _ = next(samples.training_batches(400, random, augment=None))
    assert 160 < int((inputs[:, 0, 0, 0] < inputs.max()).sum()) < 240


def test_whole_objects_are_never_weighted_by_how_frequent_they_are():
    samples = rod_set()
    inputs, targets = next(
        samples.training_batches(8, torch.Generator().manual_seed(0), augment=None)
    )
    outputs = torch.randn(
        (len(inputs), 3, *inputs.shape[2:]), generator=torch.Generator().manual_seed(1)
    )
    losses = {
        balance: objective_of(samples, TrainingSettings(balance=balance), torch.device("cpu")).loss(outputs, targets)
        for balance in ("weighted_loss", "off")
    }  # fmt: skip
    assert losses["weighted_loss"] == losses["off"]
    assert not torch.allclose(class_weights(samples.class_counts()), torch.ones(2))


def test_where_objects_are_not_known_no_depth_is_taught():
    whole, strokes = rods(1), rods(2)
    strokes = AnnotatedPixels(strokes.image, strokes.labels)
    invalid = np.zeros(whole.labels.shape, bool)
    invalid[:, 40] = True
    whole = replace(whole, image=replace(whole.image, invalid=invalid))
    samples = WholeObjectSet.from_annotations(
        [whole], CLASSES, patch_size=32, validation=[strokes], seed=1
    )
    assert (samples.depths[0][invalid] == -1).all()
    assert (samples.depths[0][~invalid] >= 0).all()
    assert (samples.depths[1] == -1).all()
    trained = run(train(samples, settings=QUICK, network_settings=UNET))
    assert trained.card.scores["validation"]["depth_error"] == 0


def test_objects_of_another_size_than_their_image_are_refused():
    part = replace(rods(0), instances=np.zeros((3, 3), int))
    with pytest.raises(UserError, match="objects of rods 0") as refused:
        WholeObjectSet.from_annotations([part], CLASSES)
    assert refused.value.code == "CN-613"


# Training


def test_rods_that_the_mask_joins_come_apart_by_what_was_learned(model):
    assert model.card.scores["validation"]["depth_error"] < 0.1
    for seed in (11, 12):
        image, truth = draw_rods(seed)
        result = run(segment_image(model, image))
        learned = match_objects(truth, result.objects).average_precision
        settings = ObjectSettings(touching="shape")
        shape = run(separate_objects(result.classes, 1, settings, depth=result.depth))[0]
        assert learned > 0.8
        assert shape.max() < 9 < 14 == truth.max()
        again = run(separate_objects(result.classes, 1, depth=result.depth))[0]
        np.testing.assert_array_equal(again, result.objects)


def test_strength_cuts_more_and_the_size_of_blocks_changes_nothing(model):
    result = run(segment_image(model, draw_rods(13)[0]))
    counts = [
        run(
            separate_objects(
                result.classes, 1, ObjectSettings(strength=strength), depth=result.depth
            )
        )[0].max()
        for strength in (0, 50, 100)
    ]
    assert counts == sorted(counts)
    assert counts[0] < counts[-1]
    mask = result.classes == 2
    whole, parts = (run(cut_waists(mask, block=b, depth=result.depth)) for b in (1024, 16))
    assert match_objects(whole, parts).average_precision == 1


def test_tiles_give_the_depths_of_the_whole_image(model):
    image, _ = draw_rods(14, size=150)
    found = []
    for tile_size in (32, 400):
        outputs = np.zeros((3, 150, 150), np.float32)

        def keep(tile, logits, outputs=outputs):
            outputs[:, *tile.write] = logits[:, *tile.within].numpy()

        pixels = NormalisedImage(model, image)
        run(
            predict_tiles(
                model, pixels, image.shape, keep, tile_size=tile_size, device="cpu", stop=None
            )
        )
        found.append(outputs)
    np.testing.assert_allclose(*found, atol=1e-4)
    tiled, whole = (run(segment_image(model, image, tile_size=t)) for t in (32, 400))
    assert abs(tiled.depth.astype(int) - whole.depth).max() <= 1


def test_training_goes_on_and_repeats_to_the_bit():
    samples, stop, kept = rod_set(), threading.Event(), []
    straight = run(train(samples, settings=QUICK, network_settings=UNET))
    for event in train(samples, settings=QUICK, network_settings=UNET, stop=stop, keep=kept.append):
        if event.done == 4:
            stop.set()
    resumed = run(train(samples, settings=QUICK, network_settings=UNET, resume_from=kept[-1]))
    repeated = run(repeat_run(straight.card, samples))
    assert same_weights(straight, resumed)
    assert same_weights(straight, repeated)
    other = replace(samples, depths=tuple(depth // 2 for depth in samples.depths))
    with pytest.raises(UserError, match="annotations or their split have changed"):
        run(repeat_run(straight.card, other))


# Model files and going on from them


def test_a_model_with_depths_is_saved_in_format_3_and_others_as_before(model, monkeypatch):
    data = model_bytes(model)
    opened = model_from_bytes(data, "rods")
    assert opened.card.format_version == 3
    assert opened.card.has_depth
    assert opened.card.n_outputs == 3
    image, _ = draw_rods(15)
    results = [run(segment_image(m, image)) for m in (model, opened)]
    np.testing.assert_array_equal(results[0].objects, results[1].objects)
    plain = run(train(rod_set(SegmentationSet), settings=QUICK, network_settings=UNET))
    assert plain.card.format_version == 1
    assert run(segment_image(plain, image)).depth is None
    old_data = model_bytes(plain)
    monkeypatch.setattr(reading, "FORMAT_VERSION", 2)  # a program of before
    assert model_from_bytes(old_data, "plain").card.n_outputs == 2
    with pytest.raises(UserError, match="newer version") as refused:
        model_from_bytes(data, "rods")
    assert refused.value.code == "CN-104"


def test_only_a_card_of_format_3_that_segments_has_depths(model):
    values = model.card.model_dump()
    for changes in ({"format_version": 2}, {"task": "classify"}):
        with pytest.raises(ValueError, match=r"format 2|only a model that segments"):
            type(model.card).model_validate(values | changes)


def test_a_model_with_depths_is_a_start_with_or_without_whole_objects(model):
    samples = rod_set()
    further = start_from_model(samples, model)
    assert torch.equal(further.weights["head.weight"], model.network.head.weight)
    assert "learned further" in further.facts["text"]
    classes = make_classes(("background", "dust", "rod"))
    parts = [replace(rods(4), labels=(rods(4).instances > 0) * np.uint8(2) + np.uint8(1))]
    more = start_from_model(WholeObjectSet.from_annotations(parts, classes, patch_size=64), model)
    head = model.network.head.weight
    assert torch.equal(more.weights["head.weight"][[0, 2, 3]], head)
    strokes = start_from_model(rod_set(SegmentationSet), model)
    assert torch.equal(strokes.weights["head.weight"], head[:2])
    assert "by their shape again" in strokes.facts["text"]
    tuned = run(train(rod_set(SegmentationSet), settings=QUICK, initial_model=model))
    assert not tuned.card.has_depth
    again = start_from_model(samples, tuned)
    assert torch.equal(again.weights["head.weight"][:2], tuned.network.head.weight)
    assert "new to it" in again.facts["text"]
