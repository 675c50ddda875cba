"""Positions match one to one within a tolerance, and errors are in pixels and micrometres."""

import numpy as np
import pytest

from napari_convnet.scores import PositionMatches, match_positions


def test_positions_match_by_hand():
    truth = np.array([[0.0, 0.0], [10.0, 10.0], [50.0, 50.0]])
    found = np.array([[10.0, 13.0], [0.0, 1.0], [30.0, 30.0], [90.0, 90.0]])
    matches = match_positions(truth, found, tolerance=4)
    pairs = sorted(zip(matches.true_index.tolist(), matches.found_index.tolist(), strict=True))
    assert pairs == [(0, 1), (1, 0)]
    assert matches.recall == pytest.approx(2 / 3)
    assert matches.precision == pytest.approx(2 / 4)
    assert matches.f1 == pytest.approx(4 / 7)
    assert matches.root_mean_square_error == pytest.approx(np.sqrt((1 + 9) / 2))
    report = matches.as_dict(pixel_size_um=0.1)
    assert report["root_mean_square_error_um"] == pytest.approx(0.2236, abs=1e-4)
    assert report["recall_interval"][0] < 2 / 3 < report["recall_interval"][1]


def test_as_many_as_possible_match_where_the_nearest_first_would_leave_one():
    # The nearest pair is (1, 0); taking it would leave truth 0 alone.
    truth, found = np.array([[0.0, 0.0], [0.0, 3.0]]), np.array([[0.0, 2.0], [0.0, 5.0]])
    assert len(match_positions(truth, found, tolerance=2.5).distances) == 2


def test_a_position_found_twice_counts_once():
    matches = match_positions(np.zeros((1, 2)), np.array([[0.0, 0.5], [0.0, 0.2]]), tolerance=1)
    assert (len(matches.distances), matches.n_found) == (1, 2)
    assert matches.distances[0] == pytest.approx(0.2)


@pytest.mark.parametrize(("n_true", "n_found"), [(0, 3), (3, 0), (0, 0)])
def test_images_without_positions_count(n_true, n_found):
    matches = match_positions(np.zeros((n_true, 2)), np.zeros((n_found, 2)), tolerance=1)
    assert (matches.n_true, matches.n_found, len(matches.distances)) == (n_true, n_found, 0)
    report = matches.as_dict(1.0)
    assert report["root_mean_square_error_pixels"] is None
    assert report["root_mean_square_error_um"] is None


def test_images_are_scored_together():
    one = match_positions(np.zeros((1, 2)), np.array([[0.0, 1.0]]), tolerance=2)
    two = match_positions(np.zeros((2, 2)), np.array([[0.0, 0.5], [9.0, 9.0]]), tolerance=2)
    both = PositionMatches.together([one, two])
    assert (both.n_true, both.n_found, len(both.distances)) == (3, 3, 2)
    assert both.found_index.tolist() == [0, 1]
    assert PositionMatches.together([]).n_true == 0
