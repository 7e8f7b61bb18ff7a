"""What becomes a target."""

import numpy as np
import pytest
from synthetic import small_params

from mer.self_training.targets import class_thresholds, make_targets

NAMES = ("neutral", "worried")


def settings(**changes):
    return small_params(self_train=changes).self_train


def probabilities(*first):
    return np.array([[p, 1 - p] for p in first], np.float32).reshape(-1, 2)


def choose(given, limits, agreeing=None, **changes):
    own = np.ones(len(given), np.float32) if agreeing is None else np.float32(agreeing)
    return make_targets(np.arange(len(given)) + 100, given, own, np.float32(limits), settings(**changes))


def test_published_thresholds_are_lower_for_the_hard_classes():
    limits = class_thresholds(settings(targets="published"), NAMES, probabilities(), np.zeros(0, int))
    np.testing.assert_allclose(limits, [0.99, 0.85])


def test_the_lowest_threshold_that_is_precise_enough():
    known = probabilities(*[0.95] * 20, *[0.9] * 20, *[0.6] * 20, *[0.2] * 20)
    labels = np.array([0] * 40 + [0, 1] * 10 + [0, 1] * 10)
    limits = class_thresholds(settings(targets="precision", precision=0.9), NAMES, known, labels)
    assert limits[0] == pytest.approx(0.9)
    assert limits[1] == np.inf


def test_a_few_lucky_clips_are_no_evidence():
    limits = class_thresholds(settings(targets="precision"), NAMES, probabilities(0.9, 0.8, 0.7), np.zeros(3, int))
    assert (limits == np.inf).all()


def test_only_confident_clips_get_a_class():
    found = choose(probabilities(0.995, 0.9, 0.1, 0.5), [0.99, 0.85], targets="published")
    assert found.rows.tolist() == [100, 102]
    assert found.probabilities.tolist() == [[1, 0], [0, 1]]
    assert found.hard


@pytest.mark.parametrize("way", ["soft", "published", "precision"])
def test_no_clip_is_no_target(way):
    assert choose(probabilities(), [0.99, 0.85], targets=way) is None
    if way != "soft":
        assert choose(probabilities(0.6), [0.99, 0.85], targets=way) is None


def test_soft_targets_are_of_all_clips_and_sharper_than_the_vote():
    found = choose(probabilities(0.8, 0.5), [0, 0], sharpening=2.0)
    np.testing.assert_allclose(found.probabilities, [[0.64 / 0.68, 0.04 / 0.68], [0.5, 0.5]], rtol=1e-5)
    assert not found.hard


def test_clips_that_experts_disagree_on_weigh_less():
    found = choose(probabilities(0.8, 0.8), [0, 0], agreeing=[1.0, 0.5], agreement=2.0)
    np.testing.assert_allclose(found.weights, [1, 0.25])
