"""Figures as their definitions give them."""

import numpy as np
import pytest

from keras_transformer.monitoring import classification_report, confusion_matrix, regression_report

NAMES = ["neg", "neutral", "pos"]


def draw(count=200, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 3, count), rng.integers(0, 3, count)


def test_report_follows_the_definitions():
    truth, predicted = draw()
    report = classification_report(truth, predicted, NAMES)
    assert report["accuracy"] == np.mean(truth == predicted)
    for number, name in enumerate(NAMES):
        right = np.sum((truth == number) & (predicted == number))
        precision = right / np.sum(predicted == number)
        recall = right / np.sum(truth == number)
        expected = [precision, recall, 2 / (1 / precision + 1 / recall), np.sum(truth == number)]
        assert list(report["per_class"][name].values()) == pytest.approx(expected)
    f1 = [figures["f1"] for figures in report["per_class"].values()]
    assert report["macro_f1"] == pytest.approx(np.mean(f1))


def test_classes_that_do_not_occur_leave_the_mean_alone():
    report = classification_report([0, 0, 2], [0, 0, 2], NAMES)
    assert report["macro_f1"] == report["accuracy"] == 1
    assert report["per_class"]["neutral"] == {"precision": 0, "recall": 0, "f1": 0, "support": 0}
    missed = classification_report([0, 0, 2], [0, 0, 0], NAMES)  # pos occurs, and is never found
    assert missed["macro_f1"] == pytest.approx(0.8 / 2)
    invented = classification_report([0, 0, 0, 2], [0, 0, 1, 2], NAMES)  # neutral is given only
    assert invented["macro_f1"] == pytest.approx((0.8 + 0 + 1) / 3)


def test_matrix_has_truth_in_rows():
    matrix = confusion_matrix([0, 0, 0, 2], [0, 1, 1, 0], 3)
    assert matrix.tolist() == [[1, 2, 0], [0, 0, 0], [1, 0, 0]]


@pytest.mark.parametrize(("truth", "predicted"), [([], []), ([0], [0, 1]), ([3], [0]), ([0], [-1])])
def test_what_cannot_be_counted_is_refused(truth, predicted):
    with pytest.raises(ValueError, match=r"Expected .* Received"):
        confusion_matrix(truth, predicted, 3)


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_numbers_that_are_none_are_refused(number):
    with pytest.raises(ValueError, match=r"Expected finite numbers of the model.*diverged"):
        regression_report([1.0, 2.0], [1.0, number])
