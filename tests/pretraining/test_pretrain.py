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
    model={"width": 16}, pretrain={"epochs": 25, "batch_size": 64, "learning_rate": 3e-3, "held_out": 0.25}
)


@pytest.fixture(scope="module")
def features():
    made, _ = make_features(labeled=50, unlabeled=150, test=0, noise=0.3)
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


@pytest.mark.parametrize(("clips", "test", "expected"), [(100, 0, 20), (100, 90, 5), (100, 100, 0), (4, 0, 0)])
def test_no_test_clip_chooses_the_epoch(clips, test, expected):
    split = np.array(["test"] * test + ["unlabeled"] * (clips - test), object)
    train, held_out = _hold_out(split, small_params(pretrain={"held_out": 0.2}).pretrain)
    assert sorted([*train, *held_out]) == list(range(clips))
    assert len(held_out) == expected
    assert (split[held_out] != "test").all()


def test_without_epochs_there_are_no_encoders(features):
    none = pretrain(features, small_params(pretrain={"epochs": 0}))
    assert none.encoders is None
    assert none.curve == []


def test_a_modality_that_cannot_be_ranked_does_not_end_training(features):
    """Face exists nowhere: its retrieval is not a number, that of the others is."""
    absent = dict(features.present) | {"face": np.zeros(len(features), bool)}
    params = small_params(pretrain={"epochs": 12, "patience": 3, "learning_rate": 3e-3})
    curve = pretrain(replace(features, present=absent), params).curve
    assert np.isnan(curve[-1]["A->V"])
    assert curve[-1]["A->T"] > curve[0]["A->T"]
    assert len(curve) > 5


def test_with_nothing_to_rank_it_trains_to_the_end(features):
    params = small_params(model={"modalities": ["audio"]}, pretrain={"epochs": 6, "patience": 1})
    found = pretrain(features, params)
    assert len(found.curve) == 7
    fewer = pretrain(features, small_params(model={"modalities": ["audio"]}, pretrain={"epochs": 1}))
    first, last = (x.encoders.state_dict()["modality.0.project.0.weight"] for x in (fewer, found))
    assert not torch.equal(first, last)


def test_a_loss_that_is_not_a_number_is_named(features):
    with pytest.raises(MerError, match=r"pretrain: the loss is .* lower 'pretrain.learning_rate'"):
        pretrain(
            features, small_params(pretrain={"epochs": 30, "learning_rate": 10, "weight_decay": 10, "patience": 30})
        )


def test_a_fixed_temperature_stays(features):
    import mer.pretraining.pretrain as module

    made = []
    original = module.CombinatorialContrast
    module.CombinatorialContrast = lambda *args: made.append(original(*args)) or made[-1]
    try:
        for learn in (True, False):
            pretrain(features, small_params(pretrain={"epochs": 3, "temperature": 0.2, "learn_temperature": learn}))
    finally:
        module.CombinatorialContrast = original
    learned, fixed = (one.log_temperature.detach().exp() for one in made)
    torch.testing.assert_close(fixed, torch.full_like(fixed, 0.2))
    assert (learned - 0.2).abs().max() > 1e-4


@pytest.mark.parametrize(
    ("groups", "expected"),
    [(None, ["corpus", "guessed audio 3", "guessed face 3", "guessed text 3"]), ("known", ["corpus", "group"])],
)
def test_views_are_what_normalise_names(features, groups, expected):
    ways = ["corpus", "group"] + ["guessed"] * (groups is None)
    if groups:
        features = replace(features, groups=np.array([f"s{i % 4}" for i in range(len(features))], object))
    params = small_params(model={"normalise": ways, "speakers": [3]}, pretrain={"epochs": 2})
    assert [view.name for view in pretrain(features, params).standardisations] == expected


def test_group_alone_without_groups_is_the_corpus(features):
    views = pretrain(features, small_params(model={"normalise": "group"}, pretrain={"epochs": 0})).standardisations
    assert [view.name for view in views] == ["corpus"]


@pytest.mark.parametrize("batches", ["mixed", "speaker"])
def test_batches_of_one_speaker_train_too(features, batches):
    features = replace(features, groups=np.array([f"s{i % 4}" for i in range(len(features))], object))
    assert np.isfinite(pretrain(features, small_params(pretrain={"batches": batches})).curve[-1]["loss"])


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


def test_the_number_of_cores_changes_nothing(monkeypatch):
    monkeypatch.setattr("mer.pretraining.pretrain.MANY_CLIPS", 1000)
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
    one, three = (
        result.encoders.state_dict() | standardiser_tensors(result.standardisations[0].standardisers)
        for result in results
    )
    assert all(torch.equal(one[name], three[name]) for name in one)
