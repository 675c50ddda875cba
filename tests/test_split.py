"""Nothing that training sees helps the score."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_convnet.samples.split import cut_by_region, split_by_group, split_by_sample


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.1, 0.2, 0.35]))
def test_patches_of_both_sides_of_a_cut_share_no_pixel(seed, fraction):
    random = np.random.default_rng(seed)
    positions = random.uniform(0, 400, (80, 2))
    targets = random.integers(0, 3, 80)
    cut = cut_by_region(positions, targets, (400, 400), gap=48, fraction=fraction)
    if cut is None:
        return
    training, validation = cut.sides(positions)
    assert not (training & validation).any()
    distance = np.abs(positions[training][:, None] - positions[validation][None])[..., cut.axis]
    assert distance.min() >= 47  # squares of 48 pixels around them do not overlap
    kept, held = cut.areas((400, 400))
    assert (
        kept[cut.axis].start >= held[cut.axis].stop + 48
        or kept[cut.axis].stop <= held[cut.axis].start - 48
    )


def test_a_cut_keeps_every_class_for_training():
    random = np.random.default_rng(0)
    positions, targets = random.uniform(0, 300, (60, 2)), np.repeat([0, 1, 2], 20)
    cut = cut_by_region(positions, targets, (300, 300), 32, 0.2)
    training, validation = cut.sides(positions)
    assert set(targets[training]) == {0, 1, 2}
    assert len(set(targets[validation])) >= 2
    assert 0.1 < validation.mean() < 0.4


def test_classes_that_lie_at_one_place_each_are_not_cut():
    positions = np.concatenate([np.full((20, 2), 30.0), np.full((20, 2), 250.0)])
    assert cut_by_region(positions, np.repeat([0, 1], 20), (300, 300), 32, 0.2) is None


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_a_group_is_never_split(seed):
    random = np.random.default_rng(seed)
    groups = random.integers(0, 12, 200)
    targets = random.integers(0, 2, 200)
    split = split_by_group(targets, groups, 0.25, seed)
    assert split is not None
    assert not set(groups[split.training]) & set(groups[split.validation])
    assert len(split.training) + len(split.validation) == 200


def test_one_group_cannot_be_held_out():
    assert split_by_group(np.array([0, 1, 0, 1]), ["a"] * 4, 0.25, 0) is None


def test_a_class_that_only_one_group_has_stays_in_training():
    groups, targets = np.repeat(np.arange(5), 10), np.tile([0, 1], 25)
    targets[:10] = 2  # group 0 alone shows class 2
    for seed in range(5):
        split = split_by_group(targets, groups, 0.2, seed)
        assert 2 in targets[split.training]


def test_a_random_split_takes_the_same_share_of_every_class_and_repeats():
    targets = np.repeat([0, 1, 2], [100, 20, 5])
    split, again, other = (split_by_sample(targets, 0.2, seed) for seed in (1, 1, 2))
    assert np.bincount(targets[split.validation]).tolist() == [20, 4, 1]
    assert np.array_equal(split.validation, again.validation)
    assert not np.array_equal(split.validation, other.validation)
    assert "rough guess" in split.warning


def test_a_lone_sample_of_a_class_trains():
    targets = np.array([0, 0, 0, 0, 1])
    assert 4 in split_by_sample(targets, 0.5, 0).training


def test_nothing_held_out_is_said():
    split = split_by_sample(np.array([0, 1]), 0.0, 0)
    assert len(split.validation) == 0
    assert "no score" in split.warning
