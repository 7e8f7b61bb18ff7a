"""How heads vote: published, equal, learned, stacked."""

import numpy as np
import pytest
import torch
from synthetic import small_params

from mer.training.jury import OutOfFold, learn_weights, make_jury

HEADS = ("audio", "face", "text", "fused")


def out_of_fold(classes=3, clips=300, good=2):
    """Four heads of which one knows the label; `logits` [n, 2 seeds, 4, C]."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, classes, clips)
    logits = rng.normal(size=(clips, 2, 4, classes))
    logits[:, :, good] += 2 * np.eye(classes)[labels][:, None]
    return OutOfFold(logits.astype(np.float32), np.ones((clips, 3), bool), labels)


def jury(voting, oof):
    return make_jury(oof, HEADS, small_params(self_train={"voting": voting}).self_train)


def test_published_weights():
    np.testing.assert_allclose(jury("published", out_of_fold()).weights, [0.7, 0.4, 0.3, 0.7])


def test_learned_weights_favour_the_head_that_knows():
    weights = jury("learned", out_of_fold(good=2)).weights
    assert weights.sum() == pytest.approx(1)
    assert weights.argmax() == 2


def test_few_labels_leave_the_published_weights():
    nothing = np.zeros((0, 4), np.float32)
    published = np.float32([0.7, 0.4, 0.3, 0.7])
    np.testing.assert_allclose(learn_weights(nothing, published, 10), published / published.sum(), rtol=1e-5)


def test_learned_weights_have_no_better_neighbour():
    """EM's fixed point against a grid over the simplex."""
    rng = np.random.default_rng(1)
    likelihood = rng.random((50, 2)).astype(np.float32)
    found = learn_weights(likelihood, np.float32([1, 1]), 0)
    grid = np.linspace(0.001, 0.999, 999)
    scores = [np.log(likelihood @ np.array([w, 1 - w])).sum() for w in grid]
    assert found[0] == pytest.approx(grid[int(np.argmax(scores))], abs=0.01)


@pytest.mark.parametrize("voting", ["published", "equal", "learned", "stacking"])
@pytest.mark.parametrize("classes", [2, 3])
def test_every_way_of_voting_beats_chance_and_sums_to_one(voting, classes):
    oof = out_of_fold(classes)
    probabilities = jury(voting, oof).out_of_fold(oof)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert (probabilities.argmax(axis=1) == oof.labels).mean() > 1 / classes + 0.15


@pytest.mark.parametrize("voting", ["published", "learned", "stacking"])
def test_the_verdict_names_the_mean_votes_class_and_is_surer_where_that_is_right(voting):
    oof = out_of_fold()
    judges, present = jury(voting, oof), torch.from_numpy(oof.present)
    mean = judges.out_of_fold(oof)
    verdict = judges.verdict(torch.from_numpy(oof.logits).transpose(0, 1), present).numpy()
    np.testing.assert_allclose(verdict.sum(axis=1), 1, atol=1e-5)
    assert (verdict.argmax(axis=1) == mean.argmax(axis=1)).all()
    likelihood = [np.log(p[np.arange(300), oof.labels]).mean() for p in (mean, verdict)]
    assert likelihood[1] > likelihood[0]
    if voting == "published":  # three of the four heads know nothing, and their vote dilutes that of the one that does
        assert judges.vote_temperature < 0.9


def test_stacking_gives_an_unseen_class_nothing():
    oof = out_of_fold()
    two = OutOfFold(oof.logits, oof.present, oof.labels % 2)
    probabilities = jury("stacking", two).probabilities(torch.from_numpy(oof.logits[:, 0]), torch.ones(300, 3).bool())
    assert probabilities[:, 2].max() < 1e-6
