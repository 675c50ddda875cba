"""Training sets never let training see what is held out."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_convnet import UserError, make_classes
from napari_convnet.images import CleanImage, clean_image
from napari_convnet.samples import (
    AnnotatedObjects,
    AnnotatedPixels,
    AugmentationSettings,
    ClassificationSet,
    SegmentationSet,
    images_held_out,
    instance_classes,
    split_by_sample,
)

CLASSES = make_classes(("background", "cell"))


def position_image(shape, number=0):
    """Return an image whose pixels tell their own place: image number, row and column."""
    rows, columns = np.indices(shape)
    pixels = np.stack([np.full(shape, number), rows, columns]).astype(np.float32)
    return CleanImage(pixels, None, f"image {number}")


def strokes(shape, random, n=14):
    """Paint short strokes of both classes."""
    labels = np.zeros(shape, np.uint8)
    for _ in range(n):
        row, column = random.integers(0, shape[0] - 3), random.integers(0, shape[1] - 8)
        labels[row : row + 2, column : column + 7] = random.integers(1, 3)
    labels[0, 0], labels[-1, -1] = 1, 2
    return labels


def places_in(inputs):
    """Return where every pixel of a batch of position images comes from, as one number a place."""
    image, row, column = inputs.transpose(0, 1).flatten(1).int().numpy()
    return np.unique(image * 1_000_000 + row * 1000 + column)


def share_pixels(one, other):
    return np.intersect1d(one, other).size > 0


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    n_images=st.integers(1, 3),
    patch_size=st.sampled_from([8, 16, 40]),
    fraction=st.sampled_from([0.1, 0.2, 0.4]),
)
def test_no_pixel_of_a_training_patch_lies_where_validation_looks(
    seed, n_images, patch_size, fraction
):
    random = np.random.default_rng(seed)
    annotated = []
    for number in range(n_images):
        shape = tuple(random.integers(24, 80, 2))
        image = position_image(shape, number)
        annotated.append(AnnotatedPixels(image, strokes(shape, random)))
    samples = SegmentationSet.from_annotations(
        annotated, CLASSES, patch_size=patch_size, validation_fraction=fraction,
        normalisation="unit", seed=seed,
    )  # fmt: skip
    held = [
        places_in(torch.from_numpy(samples.images[index][None, :, rows, columns]))
        for index, rows, columns in samples.validation_areas
    ]
    draws = torch.Generator().manual_seed(seed)
    seen = []
    for inputs, targets in samples.training_batches(8, draws, augment=None):
        assert (targets >= 0).flatten(1).any(1).all()  # something to learn from in every patch
        seen.append(places_in(inputs))
    shown = [places_in(inputs) for inputs, _ in samples.validation_batches(8)]
    assert not any(share_pixels(place, np.concatenate(seen)) for place in [*held, *shown])


def test_every_held_out_pixel_is_measured_once():
    random = np.random.default_rng(1)
    annotated = AnnotatedPixels(position_image((70, 83)), strokes((70, 83), random, 40))
    samples = SegmentationSet.from_annotations([annotated], CLASSES, patch_size=16)
    assert samples.n_validation > 0
    measured = sum(int((targets >= 0).sum()) for _, targets in samples.validation_batches(4))
    assert measured == samples.n_validation


def test_held_out_places_are_squares_of_half_a_patch():
    labels = np.zeros((64, 64), np.uint8)
    labels[1:3, 1:60], labels[9:11, 1:3] = 1, 2
    samples = SegmentationSet.from_annotations(
        [AnnotatedPixels(position_image((64, 64)), labels)], CLASSES, patch_size=16,
        validation=[AnnotatedPixels(position_image((64, 64)), labels)],
    )  # fmt: skip
    assert samples.validation_spots().tolist()[:2] == [8, 1]


def test_patches_show_the_labels_of_their_own_pixels():
    random = np.random.default_rng(2)
    labels = strokes((60, 60), random)
    samples = SegmentationSet.from_annotations(
        [AnnotatedPixels(position_image((60, 60)), labels)], CLASSES, patch_size=16,
        normalisation="unit",
    )  # fmt: skip
    draws = torch.Generator().manual_seed(0)
    inputs, targets = next(iter(samples.training_batches(16, draws, augment=None)))
    rows, columns = inputs[:, 1].int().numpy(), inputs[:, 2].int().numpy()
    known = targets.numpy() >= 0
    np.testing.assert_array_equal(targets.numpy()[known] + 1, labels[rows[known], columns[known]])


def test_a_thin_class_is_drawn_as_often_as_the_other():
    labels = np.ones((128, 128), np.uint8)
    labels[60:62, 60:62] = labels[5:7, 5:7] = 2
    samples = SegmentationSet.from_annotations(
        [AnnotatedPixels(position_image((128, 128)), labels)], CLASSES, patch_size=16,
        validation_fraction=0,
    )  # fmt: skip
    shows_it = [
        (targets == 1).flatten(1).any(1).float().mean().item()
        for _, targets in samples.training_batches(
            8, torch.Generator().manual_seed(0), augment=None
        )
    ]
    assert 0.35 < np.mean(shows_it) < 0.75


def test_an_augmented_patch_never_loses_all_its_labels():
    labels = np.zeros((64, 64), np.uint8)
    labels[0, 0], labels[63, 63] = 1, 2
    samples = SegmentationSet.from_annotations(
        [AnnotatedPixels(position_image((64, 64)), labels)], CLASSES, patch_size=64,
        validation_fraction=0,
    )  # fmt: skip
    draws = torch.Generator().manual_seed(0)
    for _ in range(5):
        for _, targets in samples.training_batches(1, draws, augment=AugmentationSettings()):
            assert (targets >= 0).any()


def test_normalisation_is_measured_where_training_looks():
    pixels = np.zeros((1, 100, 60), np.float32)
    pixels[:, :50] = np.random.default_rng(0).normal(10, 2, (1, 50, 60))
    pixels[:, 50:] = 1000
    labels = np.zeros((100, 60), np.uint8)
    labels[::4, :30], labels[::4, 30:] = 1, 2
    samples = SegmentationSet.from_annotations(
        [AnnotatedPixels(CleanImage(pixels, None, "halves"), labels)], CLASSES, patch_size=8,
        validation_fraction=0.5, normalisation="training_set",
    )  # fmt: skip
    ((_, rows, columns),) = samples.training_areas
    seen = pixels[0, rows, columns]
    assert samples.normalisation.mean[0] == pytest.approx(seen.mean(), rel=1e-5)
    assert samples.normalisation.std[0] == pytest.approx(seen.std(), rel=1e-4)
    assert seen.mean() != pytest.approx(pixels.mean(), rel=0.1)


def test_images_chosen_for_validation_are_held_out():
    random = np.random.default_rng(0)
    parts = [
        AnnotatedPixels(position_image((40, 40), k), strokes((40, 40), random)) for k in range(2)
    ]
    samples = SegmentationSet.from_annotations(parts[:1], CLASSES, validation=parts[1:])
    assert [area[0] for area in samples.training_areas] == [0]
    assert [area[0] for area in samples.validation_areas] == [1]


def test_images_chosen_for_validation_cannot_stand_in_for_training():
    random = np.random.default_rng(0)
    empty = AnnotatedPixels(position_image((40, 40)), np.zeros((40, 40), np.uint8))
    held = AnnotatedPixels(position_image((40, 40), 1), strokes((40, 40), random))
    with pytest.raises(UserError) as refused:
        SegmentationSet.from_annotations([empty], CLASSES, validation=[held])
    assert refused.value.code == "CN-621"


def test_groups_of_images_stay_together_and_evaluation_finds_the_same_images():
    random = np.random.default_rng(0)
    groups = ["a", "a", "b", "b", "c", "c", "d", "e"]
    labels = [strokes((40, 40), random) for _ in groups]
    parts = [AnnotatedPixels(position_image((40, 40), k), label) for k, label in enumerate(labels)]
    samples = SegmentationSet.from_annotations(parts, CLASSES, groups=groups, patch_size=16, seed=3)
    held = sorted(area[0] for area in samples.validation_areas)
    kept = {area[0] for area in samples.training_areas}
    assert not {groups[k] for k in held} & {groups[k] for k in kept}
    assert list(images_held_out(labels, False, 0.2, groups, 3)) == held


def test_invalid_pixels_teach_nothing():
    image = np.ones((40, 40))
    image[3, 4] = np.nan
    labels = np.ones((40, 40), np.uint8)
    labels[20:] = 2
    samples = SegmentationSet.from_annotations(
        [AnnotatedPixels(clean_image(image, "YX"), labels)], CLASSES, patch_size=8
    )
    assert samples.targets[0][3, 4] == -1
    assert samples.targets[0][3, 5] == 0


def test_labels_of_any_integer_type_are_taken_and_left_as_they_are():
    labels = strokes((40, 40), np.random.default_rng(0))
    image = position_image((40, 40))
    for dtype in (np.uint8, ">u2", np.int64, np.int16):
        given_labels = labels.astype(dtype)
        given_labels.flags.writeable = False
        samples = SegmentationSet.from_annotations([AnnotatedPixels(image, given_labels)], CLASSES)
        np.testing.assert_array_equal(samples.targets[0], labels.astype(int) - 1)


@pytest.mark.parametrize(
    ("labels", "code"),
    [
        (np.zeros((30, 30), np.uint8), "CN-621"),
        (np.ones((30, 30), np.uint8), "CN-622"),
        (np.full((30, 30), 3, np.uint8), "CN-624"),
        (np.full((30, 30), 70_000, np.uint32), "CN-624"),
        (np.zeros((30, 31), np.uint8), "CN-613"),
        (np.zeros((30, 30), np.float32), "CN-611"),
        (np.full((30, 30), -1, np.int16), "CN-612"),
    ],
)
def test_painting_that_cannot_teach_is_refused(labels, code):
    with pytest.raises(UserError) as refused:
        SegmentationSet.from_annotations(
            [AnnotatedPixels(position_image((30, 30)), labels)], CLASSES
        )
    assert refused.value.code == code
    assert len(refused.value.message) <= 300


def test_images_of_different_channels_are_refused():
    labels = strokes((30, 30), np.random.default_rng(0))
    grey = clean_image(np.ones((30, 30)), "YX", "grey")
    parts = [AnnotatedPixels(position_image((30, 30)), labels), AnnotatedPixels(grey, labels)]
    with pytest.raises(UserError, match="grey") as refused:
        SegmentationSet.from_annotations(parts, CLASSES)
    assert refused.value.code == "CN-623"


def cells(n, shape, seed, number=0):
    random = np.random.default_rng(seed)
    centres = random.uniform(0, shape, (n, 2))
    return AnnotatedObjects(position_image(shape, number), centres, np.arange(n) % 2 + 1)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), patch_size=st.sampled_from([7, 16, 33]))
def test_patches_of_held_out_cells_share_no_pixel_with_training(seed, patch_size):
    samples = ClassificationSet.from_objects(
        [cells(60, (400, 300), seed)],
        CLASSES,
        patch_size=patch_size,
        normalisation="unit",
        seed=seed,
    )
    assert "region" in samples.description
    seen = places_in(samples.patches[samples.split.training])
    held = places_in(samples.patches[samples.split.validation])
    assert held.size
    assert not share_pixels(seen, held)


def test_cells_of_several_images_are_held_out_image_by_image():
    parts = [cells(12, (100, 100), k, number=k) for k in range(5)]
    samples = ClassificationSet.from_objects(parts, CLASSES, patch_size=16, normalisation="unit")
    training, held = (
        np.unique(places_in(samples.patches[side]) // 1_000_000)
        for side in (samples.split.training, samples.split.validation)
    )
    assert len(held) == 1
    assert sorted([*training, *held]) == [0, 1, 2, 3, 4]
    assert "images" in samples.description


def test_cells_in_planes_of_one_stack_are_held_out_in_the_same_region_of_all():
    parts = [cells(20, (200, 150), k, number=0) for k in range(6)]  # the same place six times
    samples = ClassificationSet.from_objects(
        parts, CLASSES, patch_size=16, normalisation="unit", stacks=["stack"] * 6
    )
    seen, held = (
        places_in(samples.patches[side])
        for side in (samples.split.training, samples.split.validation)
    )
    assert len(held) > 8
    assert not share_pixels(seen, held)
    assert set(samples.split.groups) == {samples.split.groups[0]}
    stacks = ["a", "a", "b", "b", "b", "c"]
    several = ClassificationSet.from_objects(parts, CLASSES, patch_size=16, stacks=stacks)
    of_sample = np.repeat(stacks, 20)
    kept, away = (
        set(of_sample[side]) for side in (several.split.training, several.split.validation)
    )
    assert away
    assert not kept & away


def painted_plane(number):
    labels = np.zeros((60, 80), np.uint8)
    labels[5 + number :: 12, :] = 1
    labels[9 + number :: 12, :] = 2
    return AnnotatedPixels(position_image((60, 80)), labels)


@pytest.mark.parametrize("always_train", [None, [True, True, False, False, False]])
def test_strokes_on_planes_of_one_stack_are_held_out_in_the_same_strip_of_all(always_train):
    planes = [painted_plane(k) for k in range(5)]
    samples = SegmentationSet.from_annotations(
        planes, CLASSES, patch_size=8, stacks=[3, 3, 7, 7, 7], always_train=always_train
    )
    held_in = {3, 7} if always_train is None else {7}
    for stack, members in ((3, {0, 1}), (7, {2, 3, 4})):
        held = [area[1:] for area in samples.validation_areas if area[0] in members]
        assert len(held) == (len(members) if stack in held_in else 0)
        kept = [area[1:] for area in samples.training_areas if area[0] in members]
        assert len(kept) == len(members)
        for rows, columns in held:
            for other_rows, other_columns in kept:  # also of other planes
                assert (
                    min(rows.stop, other_rows.stop) <= max(rows.start, other_rows.start)
                    or min(columns.stop, other_columns.stop) <= max(columns.start, other_columns.start)
                )  # fmt: skip
    assert "together" in samples.description


def test_whole_stacks_are_held_out_where_there_are_several():
    planes = [painted_plane(k) for k in range(8)]
    stacks = ["a", "b", "b", "c", "c", "c", "d", "d"]
    samples = SegmentationSet.from_annotations(planes, CLASSES, patch_size=8, stacks=stacks)
    held, kept = (
        {stacks[area[0]] for area in areas}
        for areas in (samples.validation_areas, samples.training_areas)
    )
    assert held
    assert not held & kept
    assert held | kept == set(stacks)
    one_of_each = SegmentationSet.from_annotations(planes, CLASSES, patch_size=8, stacks=range(8))
    plain = SegmentationSet.from_annotations(planes, CLASSES, patch_size=8)
    assert one_of_each.areas == plain.areas


def test_cells_too_close_for_a_gap_are_held_out_with_a_warning():
    samples = ClassificationSet.from_objects([cells(30, (60, 60), 0)], CLASSES, patch_size=48)
    assert samples.n_validation > 0
    assert "share pixels" in samples.warning


def test_cells_are_normalised_by_training_patches_alone():
    part = cells(80, (400, 300), 3)
    fitted = ClassificationSet.from_objects(
        [part], CLASSES, patch_size=16, normalisation="training_set"
    )
    raw = ClassificationSet.from_objects([part], CLASSES, patch_size=16, normalisation="unit")
    seen = raw.patches[raw.split.training]
    np.testing.assert_allclose(fitted.normalisation.mean, seen.mean((0, 2, 3)), rtol=1e-4)
    np.testing.assert_array_equal(fitted.split.training, raw.split.training)


def test_an_epoch_shows_every_training_sample_once():
    part = cells(53, (500, 500), 0)
    samples = ClassificationSet.from_objects([part], CLASSES, patch_size=8, normalisation="unit")
    draws = torch.Generator().manual_seed(0)
    batches = list(samples.training_batches(16, draws, augment=None))
    assert len(batches) == samples.batches_per_epoch(16)
    sizes = [len(targets) for _, targets in batches]
    assert max(sizes) - min(sizes) <= 1
    shown = [patch.numpy().tobytes() for inputs, _ in batches for patch in inputs]
    wanted = [patch.numpy().tobytes() for patch in samples.patches[samples.split.training]]
    assert sorted(shown) == sorted(wanted)


def test_image_files_of_any_size_become_patches_and_grey_ones_become_colour():
    random = np.random.default_rng(0)
    pictures = [random.normal(size=(20 + k, 30, 3)) for k in range(6)]
    pictures[2] = random.normal(size=(25, 19))
    targets = np.arange(6) % 2
    split = split_by_sample(targets, 0.34, 0)
    samples = ClassificationSet.from_images(
        lambda k: clean_image(pictures[k], "YX" if k == 2 else "YXC"), targets, CLASSES, split,
        input_size=16,
    )  # fmt: skip
    assert samples.patches.shape == (6, 3, 16, 16)
    seen = samples.patches[split.training]
    np.testing.assert_allclose(seen.mean((0, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(seen.std((0, 2, 3), correction=0), 1, rtol=1e-3)


def test_whole_objects_become_classes_with_a_seam_where_they_touch():
    instances = np.zeros((6, 8), np.uint16)
    instances[1:5, 1:4], instances[1:5, 4:7] = 5, 9
    classes = instance_classes(instances)
    assert (classes[instances == 0] == 1).all()
    assert (classes[2, 1:7] == [2, 2, 1, 1, 2, 2]).all()
