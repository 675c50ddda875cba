"""Augmentation moves labels with their pixels and is repeatable."""

import pytest
import torch

from napari_convnet import TrainingSettings
from napari_convnet.samples import AugmentationSettings, augmented_samples
from napari_convnet.samples.augmentation import augment_batch, draw_looks
from synthetic_pictures import blob_set, shape_set


def blobs(n=6, size=64):
    """Images whose bright pixels are labelled 1, dark ones 0, and a frame that is not annotated."""
    targets = torch.zeros(n, size, size, dtype=torch.int64)
    targets[:, 20:34, 16:44] = 1
    inputs = targets[:, None].float()
    targets[:, :3] = targets[:, -3:] = -1
    return inputs, targets


def draw(seed):
    return torch.Generator().manual_seed(seed)


def test_labels_move_with_their_pixels():
    inputs, targets = blobs()
    moved, moved_targets = augment_batch(inputs, targets, draw(0))
    for image, target in zip(moved[:, 0], moved_targets, strict=True):
        inside, outside = image[target == 1], image[target == 0]
        # Brightness may have changed by up to a fifth, but what was bright is what is labelled.
        assert (inside.mean() - outside.mean()) > 0.6
        threshold = (inside.mean() + outside.mean()) / 2
        assert (inside > threshold).float().mean() > 0.93
        assert (outside < threshold).float().mean() > 0.93


def test_what_comes_from_outside_is_not_annotated():
    inputs, targets = torch.ones(8, 1, 32, 32), torch.ones(8, 32, 32, dtype=torch.int64)
    _, moved = augment_batch(inputs, targets, draw(1))
    assert set(moved.unique().tolist()) == {-1, 1}


def test_every_sample_is_moved_in_its_own_way():
    inputs, _ = blobs()
    moved, _ = augment_batch(inputs, None, draw(2))
    assert not any(torch.allclose(moved[0], other) for other in moved[1:])


def test_the_same_seed_gives_the_same_batch_and_another_seed_another():
    inputs, _ = blobs()
    first, again, other = (augment_batch(inputs, None, draw(seed))[0] for seed in (5, 5, 6))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_the_input_is_not_changed():
    inputs, targets = blobs()
    before = inputs.clone(), targets.clone()
    augment_batch(inputs, targets, draw(3))
    assert torch.equal(inputs, before[0])
    assert torch.equal(targets, before[1])


def only(**changes):
    """Nothing changes but what is named."""
    still = {
        "flip_x": False, "rotation": (0.0, 0.0), "scale": (1.0, 1.0), "crop": 0.0, "brightness": 0.0, "contrast": 0.0,
    }  # fmt: skip
    return AugmentationSettings(**{**still, **changes})


def dot(row=10, column=40, size=(64, 64)):
    """A bright spot, and where it is."""
    rows, columns = torch.meshgrid(*(torch.arange(side) for side in size), indexing="ij")
    picture = torch.exp(-((rows - row) ** 2 + (columns - column) ** 2) / 18.0)
    return picture[None, None], torch.tensor([[[float(row), float(column)]]])


def centre_of(picture):
    """Return (row, column) of the centre of mass."""
    rows, columns = torch.meshgrid(*(torch.arange(side) for side in picture.shape), indexing="ij")
    return torch.stack([(axis * picture).sum() / picture.sum() for axis in (rows, columns)])


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, (10, 40)),
        ({"rotation": (90.0, 90.0)}, (23, 10)),  # up goes to the left
        ({"scale": (0.5, 0.5)}, (20.75, 35.75)),
        ({"translation_x": (5.0, 5.0)}, (10, 45)),
        ({"translation_y": (-3.0, -3.0)}, (7, 40)),
        ({"translation_y": (4.0, 4.0), "rotation": (90.0, 90.0)}, (27, 10)),
    ],
)
def test_pictures_and_positions_go_where_the_settings_say(changes, expected):
    picture, position = dot()
    looks = draw_looks(picture.shape, draw(0), only(**changes))
    expected = torch.tensor(expected, dtype=torch.float32)
    torch.testing.assert_close(looks.positions(position)[0, 0], expected, atol=1e-3, rtol=0)
    torch.testing.assert_close(centre_of(looks.maps(picture)[0, 0]), expected, atol=0.3, rtol=0)
    inside = looks.maps(torch.ones_like(picture)) > 0.99
    torch.testing.assert_close(looks.pictures(picture)[inside], looks.maps(picture)[inside])


@pytest.mark.parametrize(("flip", "other"), [("flip_x", (10, 23)), ("flip_y", (53, 40))])
def test_half_of_the_pictures_are_mirrored_along_the_axis(flip, other):
    picture, position = dot()
    pictures, positions = picture.repeat(32, 1, 1, 1), position.repeat(32, 1, 1)
    looks = draw_looks(pictures.shape, draw(0), only(**{flip: True}))
    found = {tuple(place.round().int().tolist()) for place in looks.positions(positions)[:, 0]}
    assert found == {(10, 40), other}
    torch.testing.assert_close(
        torch.stack([centre_of(p[0]) for p in looks.pictures(pictures)]),
        looks.positions(positions)[:, 0], atol=0.3, rtol=0,
    )  # fmt: skip


def test_positions_and_maps_stay_on_their_spot_under_everything_at_once():
    picture, position = dot(30, 40, (60, 90))
    pictures, positions = picture.repeat(16, 1, 1, 1), position.repeat(16, 1, 1)
    settings = AugmentationSettings(
        flip_y=True, translation_x=(-4.0, 4.0), scale=(0.9, 1.1), brightness=0.0, contrast=0.0
    )
    looks = draw_looks(pictures.shape, draw(4), settings)
    moved = looks.positions(positions)[:, 0]
    found = torch.stack([centre_of(p[0]) for p in looks.maps(pictures)])
    torch.testing.assert_close(found, moved, atol=0.3, rtol=0)
    assert moved.std(0).min() > 1


def test_a_crop_moves_the_frame_by_at_most_half_of_its_share():
    _, position = dot(32, 32)
    looks = draw_looks((200, 1, 64, 64), draw(0), only(crop=0.25))
    moves = (looks.positions(position.repeat(200, 1, 1)) - position)[:, 0]
    assert 7.5 < moves.abs().max() <= 8


@pytest.mark.parametrize("given", ["brightness", "contrast"])
def test_intensity_changes_as_far_as_the_settings_say_or_as_suits_the_task(given):
    pictures = torch.ones(400, 1, 4, 4)
    for value, intensity, largest in ((0.3, 0.9, 0.3), (-1.0, 0.9, 0.9)):
        looks = draw_looks(pictures.shape, draw(0), only(**{given: value}), intensity)
        change = (looks.pictures(pictures) - 1).abs().max()
        assert 0.9 * largest < change <= largest + 1e-6


def test_training_settings_say_what_may_change():
    assert AugmentationSettings.of(TrainingSettings()) == AugmentationSettings()
    assert AugmentationSettings.of(TrainingSettings(augment=False)) is None
    some = AugmentationSettings.of(TrainingSettings(rotation_min=-5.0, rotation_max=10.0, crop=0.5))
    assert (some.rotation, some.crop) == ((-5.0, 10.0), 0.5)


@pytest.mark.parametrize("samples", [shape_set(20), blob_set()], ids=["cells", "pixels"])
def test_a_preview_pairs_samples_with_their_changed_copies(samples):
    originals, augmented = augmented_samples(samples, 25, 3)
    assert originals.shape == augmented.shape
    assert len(originals) == 25
    bright_only = only(brightness=0.5)
    originals, brighter = augmented_samples(samples, 25, 3, bright_only)
    shift = (brighter - originals).flatten(1)
    assert (shift.std(1) < 1e-4).all()
    assert shift.mean(1).abs().max() > 0.1


def test_pixels_come_from_where_an_affine_grid_says():
    settings = AugmentationSettings(translation_x=(-5, 5), flip_y=True)
    looks = draw_looks((6, 1, 20, 31), torch.Generator().manual_seed(0), settings)
    pictures = torch.rand(6, 1, 20, 31)
    grid = torch.nn.functional.affine_grid(looks.matrices, [6, 1, 20, 31], align_corners=False)
    expected = torch.nn.functional.grid_sample(
        pictures, grid, mode="bilinear", padding_mode="reflection", align_corners=False
    )
    expected = expected * looks.contrast + looks.brightness
    torch.testing.assert_close(looks.pictures(pictures), expected, atol=1e-5, rtol=0)
