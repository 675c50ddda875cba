"""What comes next is random, repeatable, spread out, and never annotated already."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from napari_convnet.next_to_label import choose_next, grid_index, grid_places, next_plane


def walk(places, n, seed=0, **others):
    """Visit n places, annotating each with class 1."""
    values, generator = np.zeros(len(places), int), np.random.default_rng(seed)
    order = []
    for _ in range(n):
        found = choose_next(places, values, generator, **others)
        assert values[found] == 0
        values[found] = 1
        order.append(found)
    return order


def test_every_place_comes_once_and_then_none():
    places = np.random.default_rng(0).uniform(0, 100, (40, 2))
    assert sorted(walk(places, 40)) == list(range(40))
    assert choose_next(places, np.ones(40, int), np.random.default_rng(0)) is None
    assert choose_next(np.empty((0, 2)), np.empty(0, int), np.random.default_rng(0)) is None


def test_a_seed_repeats_the_order_and_another_does_not():
    places = np.random.default_rng(0).uniform(0, 100, (200, 2))
    assert walk(places, 30, seed=5) == walk(places, 30, seed=5)
    assert walk(places, 30, seed=5) != walk(places, 30, seed=6)


def test_the_order_spreads_better_than_chance():
    """The largest gap that 30 of 5,000 places leave is smaller than that of a plain random draw."""
    places = np.random.default_rng(1).uniform(0, 1000, (5000, 2))

    def gap(order):
        return cKDTree(places[order]).query(places)[0].max()

    ours = np.median([gap(walk(places, 30, seed)) for seed in range(5)])
    chance = np.median(
        [gap(np.random.default_rng(s).choice(5000, 30, replace=False)) for s in range(5)]
    )
    assert ours < 0.8 * chance


def test_visited_places_come_again_only_when_nothing_else_is_left():
    places = np.arange(10.0)[:, None] * [1, 1]
    visited = np.ones(10, bool)
    visited[7] = False
    values = np.zeros(10, int)
    assert choose_next(places, values, np.random.default_rng(0), visited=visited) == 7
    values[7] = 1
    again = choose_next(places, values, np.random.default_rng(0), visited=visited)
    assert again is not None
    assert again != 7


def test_an_image_without_annotations_comes_first():
    places = np.random.default_rng(0).uniform(0, 100, (100, 2))
    images = np.repeat([1, 2], 50)
    values = np.where(np.arange(100) < 5, 1, 0)
    for seed in range(5):
        found = choose_next(places, values, np.random.default_rng(seed), images=images)
        assert images[found] == 2


def test_the_surroundings_of_a_rare_class_come_sooner():
    # Two places, one 10 from a common cell, one 8 from a rare one; plain distance prefers the first.
    places = np.array([[0, 10.0], [0, 92.0], [0, 0], [0, 0], [0, 0], [0, 0], [0, 100]])
    values = np.array([0, 0, 1, 1, 1, 1, 2])
    assert {choose_next(places, values, np.random.default_rng(s)) for s in range(5)} == {1}


def test_squares_tile_the_image_and_know_their_positions():
    places = grid_places((100, 250), 64)
    assert places.shape == (8, 2)
    assert list(grid_index((100, 250), 64, places)) == list(range(8))
    assert list(grid_index((100, 250), 64, [[-5, 0], [99, 249], [1000, 1000]])) == [0, 7, 7]
    assert grid_places((1, 1), 64).tolist() == [[0.0, 0.0]]


def test_planes_come_in_order_after_the_present_one_and_round_again():
    annotated = {(0, 0), (0, 2)}
    assert next_plane((2, 3), (0, 0), annotated) == (0, 1)
    assert next_plane((2, 3), (0, 1), annotated) == (1, 0)
    assert next_plane((2, 3), (1, 2), annotated) == (0, 1)
    assert next_plane((3,), (1,), {(0,), (2,)}) == (1,)
    assert next_plane((2,), (1,), {(0,), (1,)}) is None
