"""Scores are the textbook's, and objects match one to one."""

import numpy as np
import pytest
from sklearn import metrics

from napari_convnet.scores import Scores, confusion_matrix, match_objects


@pytest.fixture
def answers():
    random = np.random.default_rng(3)
    truth = random.integers(0, 4, 500)
    predicted = np.where(random.random(500) < 0.7, truth, random.integers(0, 4, 500))
    return truth, predicted


def test_scores_agree_with_scikit_learn(answers):
    truth, predicted = answers
    scores = Scores(confusion_matrix(truth, predicted, 4))
    precision, recall, f1, _ = metrics.precision_recall_fscore_support(truth, predicted)
    np.testing.assert_allclose(scores.precision, precision)
    np.testing.assert_allclose(scores.recall, recall)
    np.testing.assert_allclose(scores.f1, f1)
    np.testing.assert_allclose(scores.iou, metrics.jaccard_score(truth, predicted, average=None))
    assert scores.accuracy == pytest.approx(metrics.accuracy_score(truth, predicted))
    assert scores.balanced_accuracy == pytest.approx(
        metrics.balanced_accuracy_score(truth, predicted)
    )
    np.testing.assert_array_equal(scores.confusion, metrics.confusion_matrix(truth, predicted))


def test_unannotated_pixels_do_not_count():
    truth, predicted = np.array([[-1, 0], [1, -1]]), np.array([[1, 0], [1, 0]])
    scores = Scores(confusion_matrix(truth, predicted, 2))
    assert scores.n == 2
    assert scores.accuracy == 1


def test_a_class_that_never_occurs_is_left_out_of_means_and_null_in_reports():
    scores = Scores(np.array([[3, 1, 0], [0, 4, 0], [0, 0, 0]]))
    assert scores.balanced_accuracy == pytest.approx((0.75 + 1) / 2)
    assert scores.as_dict(["a", "b", "c"])["classes"]["c"]["recall"] is None


def test_objects_match_by_hand():
    truth, predicted = np.zeros((20, 20), int), np.zeros((20, 20), int)
    truth[0:4, 0:4], truth[10:14, 10:14], truth[16:20, 0:4] = 7, 300, 5
    predicted[0:4, 0:4], predicted[10:14, 12:16], predicted[0:4, 10:14] = 1, 2, 9
    matches = match_objects(truth, predicted)
    # The first is the same, the second overlaps by a third, the third was missed, the ninth is nothing.
    assert (matches.true_positives, matches.false_positives, matches.false_negatives) == (1, 2, 2)
    assert matches.average_precision == pytest.approx(1 / 5)


def test_an_object_split_into_two_halves_matches_neither():
    truth, predicted = np.ones((4, 4), int), np.ones((4, 4), int)
    predicted[:, 2:] = 2
    assert match_objects(truth, predicted).true_positives == 0


@pytest.mark.parametrize("truth_is_empty", [True, False])
def test_images_without_objects_are_counted(truth_is_empty):
    empty, one = np.zeros((8, 8), int), np.zeros((8, 8), int)
    one[2:5, 2:5] = 4
    matches = match_objects(empty, one) if truth_is_empty else match_objects(one, empty)
    expected = (0, 1, 0) if truth_is_empty else (0, 0, 1)
    assert (matches.true_positives, matches.false_positives, matches.false_negatives) == expected


def test_a_threshold_at_which_matches_are_not_unique_is_refused():
    with pytest.raises(ValueError, match="not unique"):
        match_objects(np.ones((2, 2), int), np.ones((2, 2), int), iou_threshold=0.3)


def test_confusion_is_normalised_by_truth_or_by_prediction():
    scores = Scores(np.array([[8, 2, 0], [1, 9, 0], [0, 0, 0]]))
    np.testing.assert_allclose(scores.normalised("truth")[:2, :2], [[0.8, 0.2], [0.1, 0.9]])
    np.testing.assert_allclose(np.diag(scores.normalised("prediction"))[:2], scores.precision[:2])
    assert np.isnan(scores.normalised("truth")[2]).all()


def test_the_most_confused_classes_come_first():
    scores = Scores(np.array([[9, 0, 1], [0, 10, 0], [5, 0, 5]]))
    assert scores.most_confused().tolist() == [0, 2, 1]
    assert scores.confused_pairs() == [(2, 0, 5), (0, 2, 1)]
