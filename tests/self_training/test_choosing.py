"""The choice that expects the highest weighted-F1."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score
from synthetic import CLASSES, make_features, small_params

from mer.about import choice_of
from mer.pretraining.pretrain import pretrain
from mer.self_training import choosing
from mer.self_training import self_train as training
from mer.self_training.bundle_reading import load_bundle
from mer.self_training.choosing import EXPONENTS, MOST_CLIPS, best_exponent, drawn_clips, expected_weighted_f1
from mer.self_training.self_train import self_train


def drawn(clips, seed, shares=(0.6, 0.2, 0.1, 0.1), sharpness=0.8):
    """Probabilities, and labels that are drawn by them: as calibrated as can be."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(clips, len(shares))) * sharpness + np.log(shares)
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return p, (p.cumsum(axis=1) > rng.random((clips, 1))).argmax(axis=1)


def weighted_f1(labels, p, factors):
    return f1_score(labels, (p * factors).argmax(axis=1), average="weighted", zero_division=0)


def test_of_certain_labels_the_expectation_is_the_score():
    labels, chosen = np.random.default_rng(0).integers(0, 3, (2, 50))
    expected = f1_score(labels, chosen, average="weighted")
    assert expected_weighted_f1(np.eye(3)[labels], chosen) == pytest.approx(expected)


def test_the_expectation_is_the_mean_score_of_labels_that_are_drawn():
    p, _ = drawn(3000, 0)
    chosen = p.argmax(axis=1)
    rng = np.random.default_rng(1)
    labels = [(p.cumsum(axis=1) > rng.random((len(p), 1))).argmax(axis=1) for _ in range(50)]
    scores = [f1_score(own, chosen, average="weighted") for own in labels]
    assert expected_weighted_f1(p, chosen) == pytest.approx(np.mean(scores), abs=0.003)


SHARES = np.array([0.6, 0.2, 0.1, 0.1])


def test_new_clips_are_scored_better_by_it():
    exponent, gains = best_exponent(drawn(3000, 0)[0], np.log(SHARES)), {0.0: [], 0.5: []}
    assert 0 < exponent <= 1
    for seed in range(1, 11):
        new, labels = drawn(3000, seed)
        for other, found in gains.items():
            found.append(weighted_f1(labels, new, SHARES**-exponent) - weighted_f1(labels, new, SHARES**-other))
    assert np.mean(gains[0.0]) > 0.01
    assert np.mean(gains[0.5]) > -0.001


def test_it_is_the_best_of_the_exponents_by_the_expectation():
    p, _ = drawn(500, 3)
    scores = {a: expected_weighted_f1(p, (p / SHARES**a).argmax(axis=1)) for a in EXPONENTS}
    assert scores[best_exponent(p, np.log(SHARES))] == max(scores.values())
    assert (min(EXPONENTS), max(EXPONENTS)) == (0, 1)


@pytest.mark.parametrize("p", [np.zeros((0, 4)), np.eye(4), np.eye(4)[:1], np.zeros((5, 4))])
def test_clips_that_do_not_tell_leave_the_usual_exponent(p):
    assert best_exponent(p, np.log(SHARES)) == 0.5


def test_clips_are_drawn_whatever_their_order_is():
    """Every class must have its share among them, in a corpus whose classes come in turn, too."""
    few = drawn_clips(1000, 0)
    assert np.array_equal(few, np.arange(1000))
    for period in (2, 3, 6):
        found = drawn_clips(2 * MOST_CLIPS + 1, 0)
        assert len(set(found)) == MOST_CLIPS
        assert np.bincount(found % period) / MOST_CLIPS == pytest.approx(1 / period, abs=0.02)


def taken(features, rows):
    fields = {name: getattr(features, name)[rows] for name in ("clip_ids", "split", "labels", "groups", "folds")}
    of = {name: {k: x[rows] for k, x in getattr(features, name).items()} for name in ("features", "present")}
    return replace(features, **fields, **of)


@pytest.fixture(scope="module")
def run():
    features, truth = make_features(labeled=90, folds=4, noise=12.0)
    rows = np.flatnonzero((truth != 1) | (np.arange(len(truth)) % 4 == 0))
    features = taken(features, rows)
    params = small_params(model={"kind": "logistic"}, self_train={"posthoc_adjustment": "weighted_f1"})
    return features, params, self_train(features, pretrain(features, params), params)


def test_the_saved_bundle_chooses_as_the_run_did(run, tmp_path):
    features, _, result = run
    p = result.predictions[[f"p_{name}" for name in CLASSES]].to_numpy()
    chosen = np.array(CLASSES, object)[result.bundle.choose(p)]
    others = features.split != "labeled"
    assert (chosen[others] == result.predictions["predicted"].to_numpy()[others]).all()
    result.bundle.save(tmp_path)
    assert torch.equal(load_bundle(tmp_path).vote.adjustment, result.bundle.vote.adjustment)


def test_the_choice_of_a_fold_knows_none_of_its_labels(run):
    features, params, result = run
    own = (features.folds == 1) & (features.labels >= 0)
    changed = replace(features, labels=np.where(own, (features.labels + 1) % 3, features.labels))
    after = self_train(changed, pretrain(changed, params), params).predictions
    assert (after["predicted"][own] == result.predictions["predicted"][own]).all()


@pytest.fixture
def pools(monkeypatch):
    """The probabilities that exponents were chosen over, and the exponents, of every run of the test, in order."""
    found = []

    def record(p, log_shares):
        assert 0 <= best_exponent(p, log_shares) <= 1
        found.append((p, len(found) / 1000))  # told apart
        return found[-1][1]

    monkeypatch.setattr(training, "best_exponent", record)
    return found


def expected_sizes(features):
    """Of the pools of the bundle and of each fold: clips that decide and unlabeled ones, none of the fold's own."""
    pool = np.isin(features.split, ["labeled", "unlabeled"])
    folds = np.unique(features.folds[features.split == "labeled"])
    return sorted((pool & (features.folds != fold)).sum() for fold in [-2, *folds])


@pytest.mark.parametrize("unlabeled", [0, 3, None])
@pytest.mark.parametrize("grouped", [False, True])
def test_the_exponent_is_chosen_over_the_clips_that_decide_and_the_unlabeled_ones(run, pools, unlabeled, grouped):
    features, params, _ = run
    rows = np.concatenate(
        [np.flatnonzero(features.split != "unlabeled"), np.flatnonzero(features.split == "unlabeled")[:unlabeled]]
    )
    features = taken(features, rows)
    if grouped:  # unlabeled clips that share their group with labeled ones have their fold
        folds = np.where(features.split == "unlabeled", np.arange(len(features)) % 5 - 1, features.folds)
        features = replace(features, folds=folds)
    result = self_train(features, pretrain(features, params), params)
    assert sorted(len(p) for p, _ in pools) == expected_sizes(features)
    of_bundle = next(exponent for p, exponent in pools if len(p) == expected_sizes(features)[-1])
    assert float(result.bundle.vote.adjustment) == pytest.approx(of_bundle)


def test_more_clips_than_enough_are_drawn_from(run, pools, monkeypatch):
    features, params, _ = run
    monkeypatch.setattr(choosing, "MOST_CLIPS", 50)
    self_train(features, pretrain(features, params), params)
    assert {len(p) for p, _ in pools} == {50}


def test_a_round_that_is_left_out_leaves_the_exponent_before_it(run, pools, monkeypatch):
    features, _, _ = run
    params = small_params(self_train={"rounds": 1, "gate": True, "families": ["linear"]}, pretrain={"epochs": 0})
    monkeypatch.setattr(training, "gain", lambda *_: (-1.0, 0.1))
    result = self_train(features, pretrain(features, params), params)
    assert not result.rounds.loc[result.rounds["round"] == 1, "kept"].any()
    of_bundle = [exponent for p, exponent in pools if len(p) == expected_sizes(features)[-1]]
    assert len(of_bundle) == 2
    assert float(result.bundle.vote.adjustment) == pytest.approx(of_bundle[0])


def test_the_bundle_says_how_a_class_is_chosen(run):
    bundle = run[2].bundle
    for exponent, said in ((0.0, "the most probable class"), (0.35, "the class with the highest p / share^0.35")):
        assert choice_of(replace(bundle, vote=replace(bundle.vote, adjustment=torch.tensor([exponent])))) == said
