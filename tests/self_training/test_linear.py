"""The floor against scikit-learn, problem by problem."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from mer.self_training.linear import fit_linear, without_shares


def problem(clips=120, width=30, classes=4, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, clips)
    x = (rng.normal(size=(classes, width))[labels] + 1.5 * rng.normal(size=(clips, width))).astype(np.float32)
    return torch.from_numpy(x), labels


@pytest.mark.parametrize(("clips", "width"), [(120, 30), (40, 90)])
@pytest.mark.parametrize("balance", [0.0, 1.0])
def test_predicts_as_scikit_learn_does(clips, width, balance):
    x, labels = problem(clips, width)
    labels = np.where((labels == 0) & (np.arange(clips) % 3 > 0), 1, labels)  # classes of unequal size
    learned = np.stack([np.ones(clips, bool), np.arange(clips) % 4 > 0])
    strengths = [(1e-3, balance), (3e-2, balance)]
    found = fit_linear(x, labels, learned, strengths, 4).logits(x).softmax(dim=-1).numpy()
    for s, own in enumerate(learned):
        for q, (c, _) in enumerate(strengths):
            peer = LogisticRegression(C=c, max_iter=5000, class_weight="balanced" if balance else None)
            expected = peer.fit(x[own], labels[own]).predict_proba(x)
            mine = found[2 * s + q]
            assert np.abs(mine - expected).max() < 0.12  # the intercept is drawn to the classes' shares by one clip
            assert (mine.argmax(axis=1) == expected.argmax(axis=1)).mean() > 0.95


def test_no_problem_depends_on_its_company():
    x, labels = problem()
    learned = np.stack([np.arange(120) % 3 > 0, np.arange(120) % 3 != 1])
    before = fit_linear(x, labels, learned, [(1e-2, 1.0), (1.0, 0.0)], 4).logits(x)
    changed = np.where(np.arange(120) % 3 == 0, (labels + 1) % 4, labels)
    after = fit_linear(x, changed, learned, [(1e-2, 1.0), (1.0, 0.0)], 4).logits(x)
    assert torch.equal(before[:2], after[:2])
    assert not torch.equal(before[2:], after[2:])


@pytest.mark.parametrize("columns", [np.zeros((20, 3), np.float32), np.ones((20, 1), np.float32)])
def test_columns_that_say_nothing_leave_the_shares(columns):
    labels = np.arange(20) % 2
    found = fit_linear(torch.from_numpy(columns), labels, np.ones((1, 20), bool), [(1e-2, 0.0)], 3)
    p = found.logits(torch.from_numpy(columns)).softmax(dim=-1)[0, 0]
    assert p[0] == pytest.approx(float(p[1]), abs=1e-3)
    assert 0 < p[2] < 0.1


def test_one_clip_of_one_class_is_no_fault():
    x = torch.ones(1, 4)
    found = fit_linear(x, np.array([1]), np.ones((1, 1), bool), [(1e-2, 1.0)], 3).logits(x)
    assert torch.isfinite(found).all()
    assert found[0, 0].argmax() == 1


def test_without_shares_a_plain_fit_knows_no_more_of_them_than_a_balanced_one():
    x, labels = problem(400, 10)
    kept = (labels > 0) | (np.arange(400) % 4 == 0)  # class 0 is a quarter as common
    x, labels, learned = x[kept], labels[kept], np.ones((1, kept.sum()), bool)
    strengths = [(3e-2, 0.0), (3e-2, 1.0)]
    fitted = fit_linear(x, labels, learned, strengths, 4)
    plain, balanced = without_shares(fitted, labels, learned, strengths).logits(x).softmax(dim=-1).mean(dim=1)
    assert fitted.logits(x)[0].softmax(dim=-1).mean(dim=0)[0] < balanced[0] - 0.05
    np.testing.assert_allclose(plain, balanced, atol=0.04)


def test_without_shares_a_class_that_a_subset_lacks_stays_unlikely():
    x, labels = problem(200, 10)
    learned = (labels < 3)[None]
    fitted = fit_linear(x, labels, learned, [(1e-2, 0.0)], 4)
    p = without_shares(fitted, labels, learned, [(1e-2, 0.0)]).logits(x).softmax(dim=-1)[0]
    assert p[:, 3].mean() < 0.02
