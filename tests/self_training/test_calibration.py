"""Temperature scaling."""

import numpy as np
import pytest
from scipy.special import softmax

from mer.evaluation.calibration import calibration_bins, expected_calibration_error
from mer.self_training.calibration import fit_head_temperatures, fit_temperature


def overconfident(temperature, clips=4000, seed=0):
    """Logits `temperature` times too large, and labels drawn from what they should say."""
    rng = np.random.default_rng(seed)
    honest = rng.normal(size=(clips, 4))
    labels = (honest + rng.gumbel(size=honest.shape)).argmax(axis=1)
    return (honest * temperature).astype(np.float32), labels


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_finds_the_temperature(temperature):
    assert fit_temperature(*overconfident(temperature)) == pytest.approx(temperature, rel=0.1)


def test_halves_the_calibration_error_of_clips_it_did_not_see():
    logits, labels = overconfident(3.0)
    temperature = fit_temperature(logits[:2000], labels[:2000])

    def error(scaled):
        probability = softmax(scaled, axis=1)
        right = probability.argmax(axis=1) == labels[2000:]
        return expected_calibration_error(calibration_bins(probability.max(axis=1), right))

    assert error(logits[2000:] / temperature) < error(logits[2000:]) / 2


def test_each_head_has_its_own_and_hears_only_present_clips():
    logits, labels = overconfident(2.0)
    both = np.stack([logits, logits * 2], axis=1)
    present = np.ones((len(labels), 2), bool)
    present[:1000, 1] = False
    both[:1000, 1] = 1e3
    np.testing.assert_allclose(fit_head_temperatures(both, labels, present), [2, 4], rtol=0.1)


@pytest.mark.parametrize("labels", [np.zeros(0, int), np.zeros(5, int), np.ones(5, int)])
def test_hopeless_logits_give_a_finite_temperature(labels):
    assert 0 < fit_temperature(np.tile(np.float32([9, -9]), (len(labels), 1)), labels) <= 20.1
