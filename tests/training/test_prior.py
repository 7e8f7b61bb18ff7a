"""Class shares among unlabeled clips."""

import numpy as np
import pytest
from scipy.special import softmax

from mer.training.prior import prior_by_bbse, prior_by_em, shift_prior


def draw(prior, clips=6000, seed=0):
    """Calibrated probabilities under equal classes, of clips whose classes are shared out by `prior`."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(3, size=clips, p=prior)
    x = 1.5 * np.eye(3)[labels] + rng.normal(size=(clips, 3))
    return softmax(1.5 * x, axis=1).astype(np.float32), labels


@pytest.mark.parametrize("prior", [[1 / 3, 1 / 3, 1 / 3], [0.7, 0.2, 0.1]])
def test_both_estimates_find_the_shares(prior):
    unlabeled, _ = draw(prior)
    known, labels = draw([1 / 3] * 3, seed=1)
    np.testing.assert_allclose(prior_by_em(unlabeled, known.mean(axis=0, dtype=float)), prior, atol=0.03)
    np.testing.assert_allclose(prior_by_bbse(unlabeled, known, labels), prior, atol=0.03)


def test_shifting_the_prior_is_bayes():
    found = shift_prior(np.float32([[0.5, 0.5]]), np.array([0.5, 0.5]), np.array([0.8, 0.2]))
    np.testing.assert_allclose(found, [[0.8, 0.2]])


def test_no_unlabeled_clip_no_shift():
    nothing = np.zeros((0, 2), np.float32)
    own = np.array([0.3, 0.7])
    np.testing.assert_allclose(prior_by_em(nothing, own), own)
    known = np.float32([[0.9, 0.1], [0.2, 0.8], [0.1, 0.9]])
    assert prior_by_bbse(nothing, known, np.array([0, 1, 1])).sum() == pytest.approx(1)
