"""Contrastive pretraining: retrieval rises from chance, no label is read, a saved model is the same model."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from synthetic import make_features, small_params

from mer.errors import MerError
from mer.learning.standardise import standardiser_tensors
from mer.pretraining.pretrain import _hold_out, load_pretrained, pretrain

PARAMS = small_params(
    model={"width": 16}, pretrain={"epochs": 20, "batch_size": 64, "learning_rate": 3e-3, "labeled_out": True}
)


@pytest.fixture(scope="module")
def features():
    made, _ = make_features(labeled=50, unlabeled=150, noise=0.3)
    return made


@pytest.fixture(scope="module")
def pretrained(features):
    return pretrain(features, PARAMS)


def test_retrieval_rises_from_chance(pretrained):
    chance = 1 / 50
    first, last = pretrained.curve[0], pretrained.curve[-1]
    for name in ("A->V", "A->T", "V->T"):
        assert first[name] < 5 * chance
        assert last[name] >= 10 * chance


def test_the_curve_has_every_term(pretrained):
    expected = {"epoch", "loss", "A-V", "T-(A,V)", "V-noise", "A->T"}
    assert expected <= set(pretrained.curve[1])


def test_no_label_is_read(features, pretrained):
    blind = replace(features, labels=np.full_like(features.labels, -1), folds=np.full_like(features.folds, -1))
    again = pretrain(blind, PARAMS)
    for name, value in pretrained.encoders.state_dict().items():
        assert torch.equal(value, again.encoders.state_dict()[name])


def test_a_saved_model_is_the_same_model(pretrained, tmp_path):
    pretrained.save(tmp_path / "one.safetensors")
    load_pretrained(tmp_path / "one.safetensors").save(tmp_path / "two.safetensors")
    assert (tmp_path / "one.safetensors").read_bytes() == (tmp_path / "two.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("labeled", "changes"), [(30, {"labeled_out": True}), (60, {"labeled_out": True, "held_out": 0.2}), (30, {})]
)
def test_labeled_clips_are_held_out_where_that_is_asked_for_and_they_are_few(labeled, changes):
    settings = small_params(pretrain=changes).pretrain
    train, held_out = _hold_out(100, np.arange(labeled), settings, np.random.default_rng(0))
    assert sorted([*train, *held_out]) == list(range(100))
    if labeled == 30 and changes:
        assert held_out.tolist() == list(range(30))
    else:
        assert len(held_out) == 100 * settings.held_out


def test_no_epochs_leave_random_encoders(features):
    none = pretrain(features, small_params(pretrain={"epochs": 0}))
    assert len(none.curve) == 1


def test_it_stops_when_retrieval_stops_rising(features):
    stopped = pretrain(features, small_params(pretrain={"epochs": 50, "patience": 1, "learning_rate": 1e-8}))
    assert len(stopped.curve) < 10


@pytest.mark.parametrize("clips", [3, 8])
def test_a_handful_of_clips_is_enough(clips):
    few, _ = make_features(labeled=clips, unlabeled=0, test=0)
    assert np.isfinite(pretrain(few, small_params()).curve[-1]["loss"])


def test_a_file_that_is_no_model_is_named(tmp_path):
    (tmp_path / "x.safetensors").write_bytes(b"nonsense")
    with pytest.raises(MerError, match=r"x\.safetensors: not a model file"):
        load_pretrained(tmp_path / "x.safetensors")


def test_the_number_of_cores_changes_nothing():
    rng = np.random.default_rng(0)
    wide = {"face": rng.normal(size=(2000, 400)).astype(np.float32)}
    features, _ = make_features(labeled=1000, unlabeled=900, test=100, absent=0)
    features = replace(features, features=features.features | wide)
    params = small_params(model={"components": 64, "threads": 2}, pretrain={"epochs": 1})
    before = torch.get_num_threads()
    results = []
    try:
        for cores in (1, 3):
            torch.set_num_threads(cores)
            results.append(pretrain(features, params))
            assert torch.get_num_threads() == cores
    finally:
        torch.set_num_threads(before)
    one, three = (result.encoders.state_dict() | standardiser_tensors(result.standardisers) for result in results)
    assert all(torch.equal(one[name], three[name]) for name in one)
