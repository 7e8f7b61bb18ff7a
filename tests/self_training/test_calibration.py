"""Sharpness and class shares of experts."""

import numpy as np
import pytest
import torch
from scipy.special import softmax

from mer.evaluation.calibration import calibration_bins, expected_calibration_error
from mer.self_training.calibration import calibrate, log_shares

FLAT = torch.zeros(4)


def overconfident(temperature, clips=4000, seed=0):
    """Logits `temperature` times too large, and labels drawn from what they should say."""
    rng = np.random.default_rng(seed)
    honest = rng.normal(size=(clips, 4))
    labels = (honest + rng.gumbel(size=honest.shape)).argmax(axis=1)
    return torch.from_numpy((honest * temperature).astype(np.float32))[None], labels


def everywhere(logits):
    return torch.ones(logits.shape[:2], dtype=torch.bool)


@pytest.mark.parametrize("temperature", [0.2, 1.0, 5.0])
def test_finds_the_temperature(temperature):
    logits, labels = overconfident(temperature)
    sharpness, _ = calibrate(logits, labels, everywhere(logits), FLAT, torch.zeros(1))
    assert 1 / float(sharpness) == pytest.approx(temperature, rel=0.1)


def test_halves_the_calibration_error_of_clips_it_did_not_see():
    logits, labels = overconfident(3.0)
    own = logits[:, :2000]
    sharpness, _ = calibrate(own, labels[:2000], everywhere(own), FLAT, torch.zeros(1))

    def error(scaled):
        probability = softmax(scaled, axis=1)
        right = probability.argmax(axis=1) == labels[2000:]
        return expected_calibration_error(calibration_bins(probability.max(axis=1), right))

    rest = logits[0, 2000:].numpy()
    assert error(rest * float(sharpness)) < error(rest) / 2


def test_an_expert_that_saw_classes_equally_often_learns_how_common_they_are():
    rng = np.random.default_rng(0)
    prior = np.array([0.7, 0.2, 0.07, 0.03])
    labels = rng.choice(4, 4000, p=prior)
    likelihood = torch.from_numpy((2 * np.eye(4)[labels] + rng.normal(size=(4000, 4))).astype(np.float32))[None]
    log_prior = torch.from_numpy(np.log(prior).astype(np.float32))
    _, exponent = calibrate(2 * likelihood, labels, everywhere(likelihood), log_prior, torch.zeros(1))
    assert float(exponent) == pytest.approx(1, abs=0.15)


def test_each_expert_has_its_own_and_only_clips_that_it_sees_count():
    logits, labels = overconfident(2.0)
    both = torch.cat([logits, logits * 2])
    present = everywhere(both)
    present[1, :1000] = False
    both[1, :1000] = 1e3
    sharpness, _ = calibrate(both, labels, present, FLAT, torch.zeros(2))
    np.testing.assert_allclose(1 / sharpness, [2, 4], rtol=0.1)


@pytest.mark.parametrize("labels", [np.zeros(0, int), np.zeros(5, int), np.ones(5, int)])
def test_hopeless_logits_give_finite_numbers(labels):
    logits = torch.tensor([[9.0, -9.0]]).repeat(len(labels), 1)[None]
    found = calibrate(logits, labels, everywhere(logits), log_shares(labels, 2), torch.ones(1))
    assert all(torch.isfinite(x).all() for x in found)
    if not len(labels):
        assert float(found[0]) == 1
        assert float(found[1]) == 1


def test_few_labels_say_little_of_the_classes_shares():
    few, many = log_shares(np.zeros(3, int), 2).exp(), log_shares(np.zeros(5000, int), 2).exp()
    assert few[0] < 0.55
    assert many[0] > 0.97
