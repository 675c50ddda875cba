"""Intervals are as wide as chance is, and groups make them wider."""

import json

import numpy as np
import pytest
from sklearn import metrics

from napari_convnet.scores import (
    as_text,
    bootstrap_confusions,
    fit_temperature,
    interval_of_mean,
    log_softmax,
    measure_classifier,
    reliability,
    wilson_interval,
)

NAMES = ("a", "b", "c")


def draw_answers(seed=0, n=300, sharpness=1.0):
    """Return truth and logits whose right temperature is ``sharpness`` (classes differ by a shift)."""
    random = np.random.default_rng(seed)
    truth = random.integers(0, 3, n)
    logits = random.normal(0, 1, (n, 3))
    logits[np.arange(n), truth] += 1.5
    # Log odds of unit Gaussians 1.5 apart are 1.5 times their values.
    return truth, 1.5 * sharpness * logits


def measured(groups=None, **options):
    truth, logits = draw_answers(**options)
    return measure_classifier(truth, np.exp(log_softmax(logits)), NAMES, groups, "patients")


def test_wilsons_interval_is_the_textbooks():
    # Agresti & Coull 1998, table: 0 of 10 gives 0 to 0.2775.
    assert wilson_interval(0, 10) == pytest.approx((0, 0.2775), abs=1e-4)
    assert wilson_interval(90, 100) == pytest.approx((0.8256, 0.9448), abs=1e-4)
    assert wilson_interval(0, 0) == (0, 1)


def test_samples_of_one_group_count_as_one():
    truth = np.zeros(200, int)
    groups = np.repeat(np.arange(20), 10)
    predicted = (groups % 5 == 0).astype(int)  # whole groups are wrong
    widths = []
    for names in (None, groups):
        accuracy = bootstrap_confusions(truth, predicted, 2, names)[:, 0, 0] / 200
        widths.append(np.ptp(np.quantile(accuracy, [0.025, 0.975])))
    assert widths[1] > 2.5 * widths[0]  # ten samples a group: about the root of ten


def test_a_bootstrap_of_equal_groups_agrees_with_the_theory_and_repeats():
    truth, predicted = np.zeros(400, int), (np.arange(400) % 5 == 0).astype(int)
    drawn = bootstrap_confusions(truth, predicted, 2)
    assert np.array_equal(drawn, bootstrap_confusions(truth, predicted, 2))
    assert (drawn.sum((1, 2)) == 400).all()
    assert (drawn[:, 0, 0] / 400).std() == pytest.approx(np.sqrt(0.8 * 0.2 / 400), rel=0.1)


def test_an_interval_covers_the_true_value_as_often_as_it_says():
    covered = 0
    for seed in range(60):
        random = np.random.default_rng(seed)
        groups = np.repeat(np.arange(30), 8)
        chance = np.clip(random.normal(0.8, 0.1, 30), 0, 1)[groups]
        predicted = (random.random(240) > chance).astype(int)
        probabilities = np.eye(2)[predicted]
        scores = measure_classifier(np.zeros(240, int), probabilities, ("a", "b"), groups)
        low, high = scores.interval("accuracy")
        covered += low <= 0.8 <= high
    assert covered >= 52


def test_where_all_is_right_the_interval_still_has_a_width():
    truth = np.repeat([0, 1], 6)
    for groups in (None, np.arange(12) // 2):
        scores = measure_classifier(truth, np.eye(2)[truth], ("a", "b"), groups)
        for score, k in (("accuracy", None), ("balanced_accuracy", None), ("f1", 0), ("recall", 1)):
            low, high = scores.interval(score, k)
            assert low < 0.8
            assert high == pytest.approx(1)


def test_few_groups_are_said():
    assert "2 patients" in measured(np.arange(300) % 2).warning
    assert measured(np.arange(300) % 30).warning == ""
    assert measured().warning == ""


def test_curves_agree_with_scikit_learn():
    truth, logits = draw_answers()
    probabilities = np.exp(log_softmax(logits))
    report = measured().as_dict()
    for k, name in enumerate(NAMES):
        expected = metrics.roc_auc_score(truth == k, probabilities[:, k])
        assert report["classes"][name]["auc"] == pytest.approx(expected, abs=1e-6)
        precision = metrics.average_precision_score(truth == k, probabilities[:, k])
        assert report["classes"][name]["average_precision"] == pytest.approx(precision, abs=1e-6)
        curve = report["roc"][name]
        assert (curve["false_positive_rate"][0], curve["true_positive_rate"][-1]) == (0, 1)
        drawn = np.trapezoid(curve["true_positive_rate"], curve["false_positive_rate"])
        assert drawn == pytest.approx(expected, abs=0.02)


def test_a_class_without_samples_has_no_scores_but_a_place():
    truth = np.array([0, 0, 1, 1])
    report = measure_classifier(truth, np.full((4, 3), 1 / 3), NAMES).as_dict()
    assert (
        report["classes"]["c"] | {"precision_interval": None, "recall_interval": None}
        == (report["classes"]["c"])
    )
    assert report["classes"]["c"]["auc"] is None
    assert "c" not in report["roc"]


def test_a_report_says_on_how_many_samples_of_which_groups():
    report = measured(np.arange(300) % 12).as_dict()
    assert report["measured"]["samples"] == 300
    assert report["measured"]["patients"] == 12
    assert report["measured"]["names"] == [str(k) for k in range(12)]
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    text = as_text(report)
    assert "300 samples of 12 patients" in text
    assert "bootstrap over 12 patients" in text


def test_the_table_puts_the_most_confused_class_first():
    truth = np.repeat([0, 1, 2], [20, 20, 20])
    predicted = truth.copy()
    predicted[20:29], predicted[0] = 2, 1  # nine b are taken for c, one a for b
    report = measure_classifier(truth, np.eye(3)[predicted], NAMES).as_dict()
    assert report["confused"][0] == {"truth": "b", "predicted": "c", "n": 9}
    rows = as_text(report).splitlines()[-4:]
    assert [row.split()[0] for row in rows] == ["truth", "b", "c", "a"]
    assert rows[1].split()[-2:] == ["55.0", "91.7"]  # of row and of column


def test_reliability_is_measured_by_hand():
    probabilities = np.array([[0.95, 0.05], [0.92, 0.08], [0.65, 0.35], [0.62, 0.38]])
    diagram = reliability(np.array([0, 1, 0, 0]), probabilities)
    assert diagram.counts[[6, 9]].tolist() == [2, 2]
    expected = (2 * abs(0.935 - 0.5) + 2 * abs(0.635 - 1)) / 4
    assert diagram.expected_error == pytest.approx(expected)
    assert [entry["n"] for entry in diagram.as_list()] == [2, 2]


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 3.0])
def test_a_temperature_undoes_what_made_probabilities_wrong(sharpness):
    truth, logits = draw_answers(n=2000, sharpness=sharpness)
    found = fit_temperature(truth, logits)
    assert found == pytest.approx(sharpness, rel=0.12)
    other_truth, other = draw_answers(seed=1, n=2000, sharpness=sharpness)
    error = reliability(other_truth, np.exp(log_softmax(other, found))).expected_error
    assert error < 0.04
    if sharpness == 3:
        assert reliability(other_truth, np.exp(log_softmax(other))).expected_error > 0.1


def test_a_temperature_needs_samples_and_never_makes_certain_of_everything():
    truth, logits = draw_answers(n=10, sharpness=3)
    assert fit_temperature(truth, logits) == 1
    right = np.eye(3)[np.arange(60) % 3] * 4.0  # all right, so certainty costs nothing
    assert fit_temperature(np.arange(60) % 3, right) > 0.4


def test_the_interval_of_a_mean_is_over_groups():
    values = np.repeat(np.linspace(0, 1, 10), 20)
    alone, grouped = interval_of_mean(values), interval_of_mean(values, np.repeat(range(10), 20))
    assert np.ptp(grouped) > 3 * np.ptp(alone)
    assert alone[0] < 0.5 < alone[1]


def test_arrays_that_do_not_go_together_are_refused():
    with pytest.raises(ValueError, match="wanted"):
        measure_classifier(np.zeros(3), np.zeros((3, 2)), NAMES)
    with pytest.raises(ValueError, match="groups"):
        measure_classifier(np.zeros(3), np.zeros((3, 3)), NAMES, ["x"])


def test_one_group_alone_says_that_others_may_differ_and_has_intervals_of_samples():
    alone, one = measured(), measured(np.zeros(300, int))
    assert one.interval("accuracy") == alone.interval("accuracy")
    assert "1 patient only" in one.warning
    assert "Wilson" in one.as_dict()["measured"]["intervals"]
