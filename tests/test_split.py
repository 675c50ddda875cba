"""Nothing that training sees helps the score."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_convnet import UserError
from napari_convnet.folders import content_numbers, read_class_folder
from napari_convnet.samples import choose_folds, split_class_folder, split_two_folders
from napari_convnet.samples.folder_split import join_groups
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


def test_a_small_held_out_part_says_what_chance_can_do():
    warning = split_by_sample(np.repeat([0, 1], 10), 0.2, 0).warning
    assert "of 4 held-out samples, 90 % right could be 51 to 100 % in truth" in warning
    assert split_by_sample(np.repeat([0, 1], 100), 0.2, 0).warning == ""


def test_one_held_out_group_is_a_warning():
    split = split_by_group(np.tile([0, 1], 90), np.repeat([0, 1, 2], 60), 0.33, 0)
    assert split.warning == "Only one group is held out: another one may score quite differently."


def test_a_split_of_some_of_the_samples_keeps_every_one_on_its_side():
    targets = np.repeat([0, 1], 20)
    split = split_by_group(targets, np.arange(40) // 2, 0.25, 0)
    kept = np.delete(np.arange(40), [0, 7, 8, 39])
    part = split.subset(kept)
    assert set(kept[part.training]) == set(split.training) & set(kept)
    assert set(kept[part.validation]) == set(split.validation) & set(kept)
    np.testing.assert_array_equal(part.groups, split.groups[kept])


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.booleans())
def test_every_sample_is_held_out_once_and_with_its_group(seed, has_groups):
    random = np.random.default_rng(seed)
    targets = random.integers(0, 3, 120)
    groups = random.integers(0, 20, 120) if has_groups else None
    folds = choose_folds(targets, 4, seed, groups)
    assert set(folds) == {0, 1, 2, 3}
    if has_groups:
        assert all(len(set(folds[groups == group])) == 1 for group in set(groups))
    else:
        assert np.ptp(np.bincount(folds)) <= 3


@pytest.mark.parametrize(
    ("targets", "groups", "n_folds"),
    [
        (np.repeat([0, 1], 10), np.repeat([0, 1, 2], [8, 6, 6]), 4),  # more folds than groups
        (np.repeat([0, 1], [10, 1]), None, 2),  # a class with one sample
        (np.repeat([0, 1], 10), None, 1),
        (np.repeat([0, 1], 10), np.repeat([0, 1], 10), 2),  # a group is a class
    ],
)
def test_folds_that_cannot_be_are_refused(targets, groups, n_folds):
    with pytest.raises(UserError) as refused:
        choose_folds(targets, n_folds, 0, groups)
    assert refused.value.code == "CN-647"


def make_folder(root, n_files, copies):
    """Write files 0.png to n.png in class folders a and b, in turn; copies are pairs (copy, original)."""
    for name in ("a", "b"):
        (root / name).mkdir(parents=True)
    originals = dict(copies)
    for number in range(n_files):
        content = f"content {originals.get(number, number):03}"
        (root / "ab"[number % 2] / f"{number:02}.png").write_text(content)
    return read_class_folder(root)


def numbers_of(folder, indices):
    return {int(folder.files[i].stem) for i in indices}


def test_copies_of_an_image_are_never_on_both_sides(tmp_path):
    copies = [(2 * k + 20, 2 * k) for k in range(10)]  # half of class a is there twice
    folder = make_folder(tmp_path, 40, copies)
    for seed in range(4):
        split = split_class_folder(folder, 0.3, seed)
        held, training = (numbers_of(folder, side) for side in (split.validation, split.training))
        assert len(held) + len(training) == 40
        for copy, original in copies:
            assert (copy in held) == (original in held)
        assert "10 files are exact copies of others" in split.description


def test_without_copies_the_split_is_the_plain_one(tmp_path):
    folder = make_folder(tmp_path, 30, [])
    split, plain = split_class_folder(folder, 0.2, 5), split_by_sample(folder.targets, 0.2, 5)
    assert split.description == plain.description
    np.testing.assert_array_equal(split.validation, plain.validation)


def test_groups_that_share_an_image_become_one(tmp_path):
    folder = make_folder(tmp_path, 24, [(12, 0)])
    groups = [str(int(path.stem) // 4) for path in folder.files]  # 0 and 12: groups 0 and 3
    joined = join_groups(groups, content_numbers(folder.files))
    assert set(joined) == {"0 = 3", "1", "2", "4", "5"}
    split = split_class_folder(folder, 0.3, 0, groups)
    assert not set(joined[split.training]) & set(joined[split.validation])


def test_one_image_in_two_classes_is_said(tmp_path):
    folder = make_folder(tmp_path, 20, [(5, 4)])
    assert "several classes (such as '04.png')" in split_class_folder(folder, 0.2, 0).description


def test_training_copies_of_a_held_out_folder_are_left_out(tmp_path):
    folder = make_folder(tmp_path / "training", 12, [])
    held = make_folder(tmp_path / "held", 6, [(1, 7)])  # its 0, 2, 3, 4, 5 are in training, too
    both, split = split_two_folders(folder, held, "the other folder")
    assert numbers_of(both, split.training) == {1, 6, 8, 9, 10, 11}
    assert list(split.validation) == list(range(12, 18))
    assert "6 training images that are copies of held-out ones are left out" in split.description


def test_a_group_in_both_folders_is_refused(tmp_path):
    folder, held = (make_folder(tmp_path / name, 6, []) for name in ("x", "y"))
    with pytest.raises(UserError, match="'p0'") as refused:
        split_two_folders(folder, held, "y", [f"p{k % 3}" for k in range(12)])
    assert refused.value.code == "CN-637"
