"""Which judgements become pseudo-labels."""

import numpy as np
import pytest
from mer.self_training.pseudo_labels import accept, class_thresholds, soft_weights
from synthetic import small_params

NAMES = ("neutral", "worried")
SETTINGS = small_params(self_train={"threshold": 0.99, "low_threshold": 0.85}).self_train


def settings(**changes):
    return SETTINGS.model_copy(update=changes)


def probabilities(*first):
    return np.array([[p, 1 - p] for p in first], np.float32)


def choose(given, limits, **changes):
    ones = np.ones(len(given), np.float32)
    return accept(
        np.arange(len(given)) + 100, given, ones, np.float32(limits), np.array([0.5, 0.5]), settings(**changes), 0
    )


def test_published_thresholds_are_lower_for_the_hard_classes():
    limits = class_thresholds(settings(), NAMES, probabilities(), np.zeros(0, int))
    np.testing.assert_allclose(limits, [0.99, 0.85])


def test_the_lowest_threshold_that_is_precise_enough():
    known = probabilities(*[0.95] * 20, *[0.9] * 20, *[0.6] * 20, *[0.2] * 20)
    labels = np.array([0] * 40 + [0, 1] * 10 + [0, 1] * 10)
    limits = class_thresholds(settings(thresholds="precision", precision=0.9), NAMES, known, labels)
    assert limits[0] == pytest.approx(0.9)
    assert limits[1] == np.inf


def test_a_few_lucky_clips_are_no_evidence():
    limits = class_thresholds(settings(thresholds="precision"), NAMES, probabilities(0.9, 0.8, 0.7), np.zeros(3, int))
    assert (limits == np.inf).all()


def test_only_confident_clips_are_accepted():
    found = choose(probabilities(0.995, 0.9, 0.1, 0.5), [0.99, 0.85])
    assert found.rows.tolist() == [100, 102]
    assert found.label.tolist() == [0, 1]


def test_a_quota_keeps_the_most_confident_of_each_class():
    found = choose(probabilities(0.9, 0.95, 0.99, 0.2, 0.1, 0.6, 0.55, 0.7), [0, 0], quota=0.5)
    assert found.rows.tolist() == [101, 102, 103, 104]


def test_soft_weights_fall_below_the_mean():
    found = choose(probabilities(0.9, 0.8, 0.6, 0.55), [0, 0], thresholds="soft")
    assert len(found) == 4
    assert found.weights[0] == found.weights[1] == 1
    assert 1 > found.weights[2] > found.weights[3] > 0
    confidence = np.float32([0.9, 0.8, 0.6, 0.55])
    expected = np.exp(-((0.6 - confidence.mean()) ** 2) / (2 * confidence.var() / 4))
    assert found.weights[2] == pytest.approx(expected, rel=1e-4)


def test_soft_weights_of_equals_are_one():
    np.testing.assert_array_equal(soft_weights(np.full(3, 0.5, np.float32)), 1)
