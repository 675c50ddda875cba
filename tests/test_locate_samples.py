"""Positions as training samples: held out by blocks of time or whole images, moved exactly with the pixels."""

import numpy as np
import pytest
import torch

from napari_convnet import UserError, make_classes
from napari_convnet.images import CleanImage, clean_image
from napari_convnet.samples import (
    AnnotatedFrames,
    AnnotatedPositions,
    AugmentationSettings,
    Film,
    HeatMapSet,
    PositionSet,
)
from napari_convnet.samples.augmentation import draw_looks
from napari_convnet.samples.films import split_films
from napari_convnet.samples.peaks import draw_spots, find_peaks
from napari_convnet.samples.positions import patch_middle, without_resampling
from napari_convnet.training.locating import choose_threshold


def spots(points, shape=(40, 40), sigma=2.0):
    """Draw points ``(N, 2)`` of one class as a map ``(1, Y, X)``."""
    points = torch.tensor(np.asarray(points), dtype=torch.float32)[None]
    return draw_spots(points, torch.ones(points.shape[:2], dtype=torch.long), 1, shape, sigma)[0]


def film_of(positions, shape=(32, 32)):
    """Return a film of a bright spot on noise."""
    random = np.random.default_rng(0)
    frames = [10 * spots([p], shape)[0].numpy() + random.normal(0, 0.3, shape) for p in positions]
    return Film(np.stack(frames), "TYX")


def fields(n, n_points=12, size=96, seed=0, **changes):
    """Return annotated images with spots at random places."""
    random = np.random.default_rng(seed)
    found = []
    for number in range(n):
        points = random.uniform(4, size - 5, (n_points, 2))
        pixels = spots(points, (size, size))[0].numpy() + random.normal(0, 0.05, (size, size))
        found.append(
            AnnotatedPositions(clean_image(pixels, "YX", f"field {number}"), points, **changes)
        )
    return found


def test_a_film_gives_frames_when_they_are_asked_for():
    asked = []

    class Lazy:
        shape, dtype = (5, 20, 30), np.uint8

        def __getitem__(self, index):
            asked.append(index)
            return np.full((20, 30), index, np.uint8)

    film = Film(Lazy(), "TYX", "lazy")
    assert len(film) == 5
    assert asked == []
    assert film[-1].pixels[0, 0, 0] == 4
    assert [frame.name for frame in film[1:3]] == ["lazy, frame 1", "lazy, frame 2"]
    assert asked == [4, 1, 2]
    with pytest.raises(UserError) as refused:
        Film(np.zeros((20, 30)), "YX")
    assert refused.value.code == "CN-602"


def test_the_end_of_a_film_is_held_out_with_a_gap():
    times = np.arange(100)
    split = split_films([times], 0.2)
    np.testing.assert_array_equal(split.validation, np.arange(80, 100))
    np.testing.assert_array_equal(split.training, np.arange(75))
    assert "last frames" in split.description


def test_the_gap_counts_frames_of_the_film_and_not_annotations():
    times = np.arange(
        0, 1000, 10
    )  # every tenth frame is annotated: a gap of 5 frames costs nothing
    split = split_films([times], 0.2)
    assert (len(split.training), len(split.validation)) == (80, 20)


def test_of_three_films_whole_ones_are_held_out():
    split = split_films([np.arange(20)] * 4, 0.25)
    held = {index // 20 for index in split.validation}
    assert len(held) == 1
    assert not held & {index // 20 for index in split.training}


def test_a_film_of_two_frames_holds_nothing_out_and_says_so():
    split = split_films([np.arange(2)], 0.2)
    assert len(split.training) == 2
    assert "no score" in split.warning


@pytest.mark.parametrize("size", [24, 25, 32, 33, 40])
def test_positions_are_counted_from_the_middle_of_the_patch(size):
    positions = np.array([[15.3, 17.8], [16.0, 16.0], [12.5, 19.25]])
    frames = [CleanImage(spots([place], (32, 32)).numpy(), None, "frame") for place in positions]
    samples = PositionSet.from_frames(
        [AnnotatedFrames(frames, positions)], patch_size=size, validation_fraction=0
    )
    parts = zip(samples.patches.numpy(), samples.targets.numpy(), positions, strict=True)
    for (patch,), target, position in parts:
        np.testing.assert_allclose(target + patch_middle((32, 32), size), position, atol=1e-5)
        brightest = np.unravel_index(patch.argmax(), patch.shape)
        np.testing.assert_allclose(target + (size - 1) / 2, brightest, atol=0.51)


def test_positions_move_with_augmented_patches():
    random = np.random.default_rng(1)
    positions = random.uniform(9, 22, (40, 2))
    samples = PositionSet.from_frames([AnnotatedFrames(film_of(positions), positions)])
    settings = AugmentationSettings(crop=0.2)
    batches = samples.training_batches(16, torch.Generator().manual_seed(0), augment=settings)
    for inputs, targets in batches:
        for patch, target in zip(inputs, targets, strict=True):
            weights = (patch[0] - patch[0].min()).clamp(min=0) ** 4
            place = [
                (weights.sum(1 - axis) * torch.arange(32)).sum() / weights.sum() for axis in (0, 1)
            ]
            np.testing.assert_allclose(target + 15.5, place, atol=0.7)


@pytest.mark.parametrize("size", [20, 21])
def test_patches_are_turned_without_changing_a_pixel_value(size):
    pictures = torch.randn(64, 2, size, size, generator=torch.Generator().manual_seed(0))
    looks = draw_looks(
        pictures.shape, torch.Generator().manual_seed(1), AugmentationSettings(crop=0.2), 0.0
    )
    exact = without_resampling(looks)
    points = torch.full((64, 1, 2), float(size // 2)) + torch.tensor([1.0, -2.0])
    moved = exact.positions(points)[:, 0].round().long()
    changed = exact.pictures(pictures)
    for number, (row, column) in enumerate(moved.tolist()):
        before = pictures[number, :, size // 2 + 1, size // 2 - 2]
        torch.testing.assert_close(changed[number, :, row, column], before, atol=1e-4, rtol=0)
    assert len({tuple(matrix[:, :2].flatten().tolist()) for matrix in exact.matrices}) == 8


@pytest.mark.parametrize("sigma", [0.8, 1.5, 3.0])
def test_a_spot_is_found_where_it_was_drawn(sigma):
    truth = np.random.default_rng(0).uniform(6, 33, (50, 2))
    for point in truth:
        found = find_peaks(spots([point], sigma=sigma).numpy(), 0.5, sigma)
        assert len(found.positions) == 1
        np.testing.assert_allclose(found.positions[0], point, atol=1e-3)


def test_of_peaks_that_are_too_close_the_highest_stays():
    maps = np.zeros((2, 20, 20), np.float32)
    maps[0, 5, 5], maps[1, 5, 7], maps[0, 5, 9], maps[0, 15, 15] = 0.9, 1.0, 0.8, 0.2
    found = find_peaks(maps, 0.3, 2.5)
    assert found.heights.tolist() == pytest.approx([1.0])
    assert found.values.tolist() == [2]
    assert len(find_peaks(maps, 0.3, 1.0).heights) == 3


def test_the_threshold_is_where_f1_is_highest():
    points = np.array([[5.0, 5.0], [5.0, 25.0], [25.0, 5.0]])
    maps = spots(points, (40, 40)).numpy()
    maps[0, 35, 35] = 0.6  # a false one, lower than all true ones
    found = find_peaks(maps, 0.1, 2.0)
    threshold = choose_threshold([(found, (points, np.ones(3, int)))], 2.0)
    assert 0.6 < threshold < 1.0


def test_heat_maps_show_the_points_of_their_patch():
    samples = HeatMapSet.from_images(fields(1), patch_size=32, validation_fraction=0)
    draws = torch.Generator().manual_seed(0)
    settings = AugmentationSettings(contrast=0.0, brightness=0.0)
    for augment in (None, settings):
        for inputs, maps in samples.training_batches(8, draws, augment=augment):
            known = maps >= 0
            assert known.flatten(1).any(1).all()
            # the image is its own heat map, plus noise and a scale
            both = torch.stack([inputs[known], maps[known]])
            assert torch.corrcoef(both)[0, 1] > 0.8


def test_every_held_out_place_is_shown_once():
    samples = HeatMapSet.from_images(fields(5), patch_size=16)
    n_pixels = sum(int((maps >= 0).sum()) for _, maps in samples.validation_batches(36))
    assert n_pixels == sum(
        (rows.stop - rows.start) * (columns.stop - columns.start)
        for _, rows, columns in samples.areas.validation
    )


def test_images_are_held_out_whole_and_one_image_by_region():
    held = {area[0] for area in HeatMapSet.from_images(fields(5)).areas.validation}
    assert len(held) == 1
    one = HeatMapSet.from_images(fields(1, 60), patch_size=8)
    ((_, *kept),), ((_, *validated),) = one.areas.training, one.areas.validation
    axis = 0 if kept[0] != validated[0] else 1
    gap = max(kept[axis].start, validated[axis].start) - min(kept[axis].stop, validated[axis].stop)
    assert gap == 8
    assert one.n_training + one.n_validation < 60


def test_frames_of_one_film_are_held_out_at_its_end():
    parts = fields(20, 5)
    frames = [
        AnnotatedPositions(part.image, part.centres, film="film", time=time)
        for time, part in enumerate(parts)
    ]
    samples = HeatMapSet.from_images(frames)
    assert [area[0] for area in samples.areas.validation] == [16, 17, 18, 19]
    assert max(area[0] for area in samples.areas.training) == 13


def test_an_image_without_points_is_not_annotated_unless_a_region_says_so():
    empty = clean_image(np.random.default_rng(0).random((96, 96)), "YX", "empty")
    without = AnnotatedPositions(empty, np.empty((0, 2)))
    marked = AnnotatedPositions(empty, np.empty((0, 2)), region=(slice(0, 50), slice(10, 60)))
    parts = fields(1)
    assert len(HeatMapSet.from_images([*parts, without], validation_fraction=0).images) == 1
    samples = HeatMapSet.from_images([*parts, marked], validation_fraction=0)
    assert samples.areas.training[1] == (1, slice(0, 50), slice(10, 60))


IMAGE = CleanImage(np.zeros((1, 30, 30), np.float32), None, "field")


@pytest.mark.parametrize(
    ("part", "code"),
    [
        (AnnotatedPositions(IMAGE, np.empty((0, 2))), "CN-621"),
        (AnnotatedPositions(IMAGE, np.array([[3.0, 30.1]])), "CN-644"),
        (AnnotatedPositions(IMAGE, np.array([[np.nan, 3.0]])), "CN-644"),
        (AnnotatedPositions(IMAGE, np.array([[3.0, 3.0]]), np.array([3])), "CN-624"),
        (AnnotatedPositions(IMAGE, np.array([[3.0, 3.0]]), np.array([0])), "CN-624"),
    ],
)
def test_positions_that_cannot_teach_are_refused(part, code):
    with pytest.raises(UserError) as refused:
        HeatMapSet.from_images([part], make_classes(("a", "b")))
    assert refused.value.code == code
    assert len(refused.value.message) <= 300


def test_a_position_that_the_network_would_not_see_is_refused():
    with pytest.raises(UserError, match="frame 1") as refused:
        PositionSet.from_frames(
            [AnnotatedFrames(film_of([[9, 9], [9, 9]]), np.array([[9.0, 9.0], [9.0, 31.0]]))],
            patch_size=20,
        )
    assert refused.value.code == "CN-644"
    with pytest.raises(UserError) as refused:
        PositionSet.from_frames([])
    assert refused.value.code == "CN-621"
