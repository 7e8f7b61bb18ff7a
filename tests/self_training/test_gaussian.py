"""Gaussian classes fitted to labeled and unlabeled clips."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from synthetic import CLASSES, make_features, small_params

from mer.learning.inputs import Inputs
from mer.model.views import Views
from mer.pretraining.pretrain import pretrain
from mer.self_training.chains import CrossFitting
from mer.self_training.gaussian import Discriminants, em, principal_components
from mer.self_training.self_train import self_train

LABELED, ALL, WIDTH = 12, 600, 20


def clips(seed=0, between=1.0):
    """Two classes that part along a direction of little variance: a few labels hardly show it, all clips do."""
    rng = np.random.default_rng(seed)
    truth = np.arange(ALL) % 2
    deviations = np.linspace(3, 0.4, WIDTH)
    x = rng.normal(size=(ALL, WIDTH)) * deviations
    x[:, -1] += between * (2 * truth - 1)
    return x @ np.linalg.qr(rng.normal(size=(WIDTH, WIDTH)))[0], truth


def inputs_of(x, present=None):
    seen = np.ones((len(x), 1), bool) if present is None else present[:, None]
    return Inputs([torch.from_numpy(x).float()], torch.from_numpy(seen))


def discriminants(x, truth, present=None, labels=None):
    views = Views({"hubert": x.shape[1]}, {"hubert": "audio"})
    fit = CrossFitting(np.arange(LABELED), truth[:LABELED] if labels is None else labels, np.arange(LABELED) % 3)
    unlabeled = np.arange(LABELED, len(x))
    return Discriminants({0: inputs_of(x, present)}, {(): 0, (1,): 0}, views, fit, unlabeled, 2), unlabeled


def wavering(truth, right=0.7, seed=1):
    """What a vote says that is right of so many clips, and never sure."""
    said = np.where(np.random.default_rng(seed).random(len(truth)) < right, truth, 1 - truth)
    return np.where(np.eye(2)[said] > 0, 0.6, 0.4).astype(np.float32)


def test_how_unlabeled_clips_lie_tells_what_few_labels_do_not():
    x, truth = clips()
    fitted, rows = discriminants(x, truth)
    expert = fitted((), rows, wavering(truth[rows]), 0.5)
    right = (expert.logits(torch.from_numpy(x[rows]).float())[-1].argmax(dim=1).numpy() == truth[rows]).mean()
    assert right > 0.9  # the vote: 0.7


def test_experts_of_the_features_say_what_those_of_the_components_do():
    x, _ = clips()
    views = Views({"hubert": WIDTH}, {"hubert": "audio"})
    space = principal_components(inputs_of(x), views, np.arange(ALL), 15)
    z = (torch.from_numpy(x).float().double() - space.mean) @ space.basis
    torch.testing.assert_close(z, space.z)
    torch.testing.assert_close(z.T @ z / ALL, torch.eye(15, dtype=torch.float64), atol=1e-6, rtol=0)


def test_without_unlabeled_clips_experts_follow_the_labels():
    x, truth = clips(between=4.0)
    fitted, rows = discriminants(x, truth)
    turned, _ = discriminants(x, truth, labels=1 - truth[:LABELED])
    nobody = np.zeros((0, 2), np.float32)
    one, other = (own((), rows[:0], nobody, 0.5).logits(torch.from_numpy(x).float()) for own in (fitted, turned))
    torch.testing.assert_close(one, other.flip(2))


def test_a_chain_learns_nothing_of_the_labels_that_it_excludes():
    x, truth = clips()
    changed = np.where(np.arange(LABELED) % 3 == 1, 1 - truth[:LABELED], truth[:LABELED])
    said = wavering(truth[LABELED:])
    one, other = (
        own((1,), rows, said, 0.5) for own, rows in (discriminants(x, truth), discriminants(x, truth, labels=changed))
    )
    assert torch.equal(one.weight, other.weight)


def test_clips_without_features_do_not_count():
    x, truth = clips()
    longer = np.concatenate([x, np.zeros((50, WIDTH))])
    present = np.arange(len(longer)) < ALL
    said = wavering(truth[LABELED:])
    one, rows = discriminants(x, truth)
    other, more = discriminants(longer, truth, present)
    told = np.concatenate([said, np.tile(np.float32([0.9, 0.1]), (50, 1))])
    torch.testing.assert_close(one((), rows, said, 1.0).weight, other((), more, told, 1.0).weight, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("labels", [np.zeros(LABELED, int), np.arange(LABELED) % 2])
@pytest.mark.parametrize("x", [np.zeros((ALL, 3)), np.ones((40, 200)), np.eye(40, 5)])
def test_whatever_the_clips_are_experts_are_finite(labels, x):
    fitted, rows = discriminants(x, np.arange(len(x)) % 2, labels=labels)
    expert = fitted((), rows, np.eye(2, dtype=np.float32)[rows % 2], 0.5)
    assert expert.weight.isfinite().all()
    assert expert.bias.isfinite().all()
    assert expert.weight.shape == (len(fitted.ranks), x.shape[1], 2)


def test_where_the_gaussians_say_nothing_classes_keep_one_mean():
    z = torch.zeros(10, 1, dtype=torch.float64)
    start = torch.tensor([[0.9, 0.1]] * 10, dtype=torch.float64)
    weight, bias = em(z, start, torch.ones(10, 1, dtype=torch.float64), 2, torch.zeros(2, dtype=torch.float64))
    assert weight.abs().max() < 1e-9
    assert bias.abs().max() < 1e-9


def test_ranks_are_no_more_than_the_clips_and_their_columns_allow():
    few, _ = discriminants(np.random.default_rng(0).normal(size=(60, 200)), np.arange(60) % 2)
    narrow, _ = discriminants(np.random.default_rng(0).normal(size=(ALL, 50)), np.arange(ALL) % 2)
    wide, _ = discriminants(np.random.default_rng(0).normal(size=(ALL, 200)), np.arange(ALL) % 2)
    seen = np.arange(ALL) < 60  # nothing is known of the others
    hidden, _ = discriminants(np.random.default_rng(0).normal(size=(ALL, 200)), np.arange(ALL) % 2, seen)
    flat, _ = discriminants(np.random.default_rng(0).normal(size=(ALL, 40)) @ np.ones((40, 200)), np.arange(ALL) % 2)
    assert (few.ranks, narrow.ranks, wide.ranks) == ((15, 30), (15, 30, 50), (15, 30, 60, 120))
    assert (hidden.ranks, flat.ranks) == ((15, 30), (1,))


def test_ranks_are_those_that_every_way_to_see_the_clips_has_components_for():
    x = np.random.default_rng(0).normal(size=(ALL, 200))
    views, rows = Views({"hubert": 200}, {"hubert": "audio"}), np.arange(LABELED)
    fit = CrossFitting(rows, rows % 2, rows % 3)
    flat = x @ np.diag(np.arange(200) < 20)
    own = {0: inputs_of(x), 1: inputs_of(flat)}
    fitted = Discriminants(own, {(): 0, (1,): 1}, views, fit, np.arange(LABELED, ALL), 2)
    assert fitted.ranks == (20,)


def test_evidence_of_chains_that_standardise_otherwise_is_theirs(monkeypatch):
    """The bundle standardises over the corpus, those that decide for it within guessed speakers: each on its own."""
    features, _ = make_features(120, 200, 50, folds=5, noise=4)
    params = small_params(
        model={"normalise": ["corpus", "guessed"], "speakers": [3]},
        pretrain={"epochs": 0},
        self_train={"families": ["gaussian"], "gate": False, "rounds": 1},
    )
    pretrained = pretrain(features, params)
    right = {}
    for bundle, others in ((0, 1), (1, 1)):
        monkeypatch.setattr(
            "mer.self_training.class_run.choose_standardisations",
            lambda ways, views, fit, chains, *_, own=bundle, other=others: {c: other if c else own for c in chains},
        )
        experts = self_train(features, pretrained, params).experts
        last = experts[(experts["fold"] == -1) & experts["expert"].str.startswith("gaussian")]
        right[bundle] = last["weighted_f1"].to_numpy()
    np.testing.assert_allclose(right[0], right[1], atol=0.05)


def test_unlabeled_clips_that_have_nothing_to_do_with_the_classes_cost_little():
    lost = []
    for seed in range(4):
        features, truth = make_features(30, 240, 400, noise=4.0, folds=5, seed=seed, absent=0.0)
        rng, unlabeled = np.random.default_rng(seed), (features.split == "unlabeled")[:, None]
        views = {
            name: np.where(unlabeled, x.std(axis=0) * rng.normal(size=x.shape), x).astype(np.float32)
            for name, x in features.features.items()
        }
        features = replace(features, features=views)
        params = small_params(
            pretrain={"epochs": 0}, self_train={"families": ["linear", "gaussian"], "rounds": 1, "learning_rate": 1e-2}
        )
        result, test = self_train(features, pretrain(features, params), params), features.split == "test"
        before, after = (
            (table["predicted"].to_numpy() == np.array(CLASSES)[truth])[test].mean()
            for table in (result.labels_only, result.predictions)
        )
        lost.append(before - after)
    assert np.mean(lost) < 0.02
