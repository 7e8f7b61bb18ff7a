"""How experts vote: as published, equally, or with weights learned on clips that they never saw."""

import numpy as np
import pytest
import torch
from synthetic import small_params

from mer.model.views import Views
from mer.self_training.calibration import log_shares
from mer.self_training.floor import floor_parts
from mer.self_training.voting import decide_vote, expert_presence, gain, learn_weights, prior_weights

NAMES = ["logistic fused", "logistic audio", "mrccl audio", "mrccl face", "mrccl text", "mrccl fused"]


def evidence(classes=3, clips=300, good=0):
    """Six experts of which one knows the label: logits [6, n, C]."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, classes, clips)
    logits = rng.normal(size=(6, clips, classes))
    logits[good] += 2 * np.eye(classes)[labels]
    return torch.from_numpy(logits.astype(np.float32)), labels


def decide(voting, logits, labels, **changes):
    settings = small_params(self_train={"voting": voting, **changes}).self_train
    prior = prior_weights(NAMES, settings)
    present = torch.ones(logits.shape[:2], dtype=torch.bool)
    shares = log_shares(labels, logits.shape[2])
    return decide_vote(logits, labels, present, shares, torch.zeros(6), prior, settings)


def test_published_weights_leave_out_the_floor():
    settings = small_params(self_train={"voting": "published"}).self_train
    np.testing.assert_allclose(prior_weights(NAMES, settings), [0, 0, 0.7, 0.4, 0.3, 0.7])
    students = [*NAMES, "mrccl-students audio", "mrccl-students fused"]
    np.testing.assert_allclose(prior_weights(students, settings), [0] * 6 + [0.7, 0.7])


@pytest.mark.parametrize("good", [0, 4])
def test_learned_weights_favour_the_expert_that_knows(good):
    weights = decide("learned", *evidence(good=good)).weights
    assert float(weights.sum()) == pytest.approx(1, abs=1e-5)
    assert int(weights.argmax()) == good


def test_without_clips_the_weights_stay_where_they_are_drawn_to():
    nothing = np.zeros((0, 4))
    found = learn_weights(nothing, nothing > 0, np.array([2.0, 1, 1, 0]), 10)
    np.testing.assert_allclose(found, [0.5, 0.25, 0.25, 0], rtol=1e-5)


def test_learned_weights_have_no_better_neighbour():
    """EM's fixed point against a grid over the simplex, of the likelihood of what votes: some experts see nothing."""
    rng = np.random.default_rng(1)
    likelihood, present = rng.random((80, 3)), rng.random((80, 3)) < 0.6
    present[~present.any(axis=1)] = True
    found = learn_weights(likelihood, present, np.ones(3), 0, rounds=5000)
    grid = np.linspace(0.005, 0.995, 199)
    weights = np.array([(a, b, 1 - a - b) for a in grid for b in grid if a + b < 1])
    voted = (weights @ (likelihood * present).T) / (weights @ present.T)
    best = weights[int(np.log(voted).sum(axis=1).argmax())]
    np.testing.assert_allclose(found, best, atol=0.01)


def test_an_expert_is_judged_on_the_clips_that_it_sees():
    """A modality that a third of the clips have, and that is nearly always right: absent, it was taken for wrong."""
    seen = np.arange(90) % 3 == 0
    likelihood = np.stack([np.full(90, 0.5), np.where(seen, 0.95, 0.0)], axis=1)
    present = np.stack([np.ones(90, bool), seen], axis=1)
    weights = learn_weights(likelihood, present, np.ones(2), 10)
    assert weights[1] > 0.7


@pytest.mark.parametrize("voting", ["published", "equal", "learned"])
@pytest.mark.parametrize("classes", [2, 3])
def test_every_way_of_voting_beats_chance_and_sums_to_one(voting, classes):
    logits, labels = evidence(classes, good=2)
    found = decide(voting, logits, labels)(logits, torch.ones(6, 300, dtype=torch.bool))
    np.testing.assert_allclose(found.sum(dim=1), 1, atol=1e-5)
    assert (found.argmax(dim=1).numpy() == labels).mean() > 1 / classes + 0.15


def test_without_calibration_experts_vote_as_they_are():
    logits, labels = evidence()
    found = decide("equal", logits, labels, calibrate=False)
    expected = logits.softmax(dim=-1).mean(dim=0)
    torch.testing.assert_close(found(logits, torch.ones(6, 300, dtype=torch.bool)), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("modalities", [1, 2, 3])
def test_experts_see_what_their_modalities_see(modalities):
    present = torch.ones(4, modalities, dtype=torch.bool)
    present[0] = False
    present[1, 0] = False
    heads = modalities + 1 if modalities > 1 else 1
    views = Views(dict.fromkeys("abc"[:modalities], 2), {name: name for name in "abc"})
    parts = [*floor_parts(views).values(), *2 * list(views.modality_parts.values())]
    found = expert_presence(present, parts)
    assert found.shape == (3 * heads + 1, 4)
    assert not found[:, 0].any()
    assert found[:, 2:].all()
    assert int((~found[:, 1]).sum()) == (3 if modalities > 1 else 4)


def test_a_gain_of_no_clips_is_nothing():
    assert gain(torch.zeros(0), torch.zeros(0)) == (0.0, 0.0)
