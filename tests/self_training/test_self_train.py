"""Self-training: it learns, repeats itself, and no label reaches the model that judges its clip."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from synthetic import CLASSES, make_features, small_params

from mer.errors import MerError
from mer.pretraining.pretrain import pretrain
from mer.self_training.bundle_reading import load_bundle
from mer.self_training.self_train import self_train
from mer.self_training.targets import make_targets


def probabilities(result):
    return result.predictions[[f"p_{name}" for name in CLASSES]].to_numpy()


@pytest.fixture(scope="module")
def run():
    features, truth = make_features(folds=4)
    kin = (features.split == "test") & (np.arange(len(features)) % 3 > 0)  # test clips of groups that have labels
    features = replace(
        features,
        groups=np.array([f"s{i % 4}" for i in range(len(features))], object),
        folds=np.where(kin, np.arange(len(features)) % 4, features.folds),
    )
    params = small_params(
        model={"normalise": ["corpus", "group", "guessed"], "speakers": [3]}, self_train={"gate": False, "rounds": 2}
    )
    pretrained = pretrain(features, params)
    return features, truth, params, pretrained, self_train(features, pretrained, params)


def test_predicts_better_than_the_largest_class(run):
    features, truth, _, _, result = run
    right = result.predictions["predicted"].to_numpy() == np.array(CLASSES)[truth]
    for split in ("labeled", "test"):
        rows = features.split == split
        assert right[rows].mean() > np.bincount(truth[rows]).max() / rows.sum() + 0.2


def test_a_second_run_gives_the_same_bytes(run, tmp_path):
    features, _, params, pretrained, result = run
    again = self_train(features, pretrained, params)
    result.bundle.save(tmp_path / "one")
    again.bundle.save(tmp_path / "two")
    for name in ("members.safetensors", "bundle.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert again.predictions.equals(result.predictions)
    assert again.pseudo_labels.equals(result.pseudo_labels)


@pytest.fixture(scope="module")
def trained(run):
    """Trains on the features as they are, once for each `self_train`."""
    features, _, params, pretrained, result = run
    found = {params.self_train.model_dump_json(): result}

    def train(changed):
        key = changed.self_train.model_dump_json()
        if key not in found:
            found[key] = self_train(features, pretrained, changed)
        return found[key]

    return train


@pytest.mark.parametrize("fold", [0, 2])
@pytest.mark.parametrize(
    "self_train_params",
    [
        {"rounds": 2, "gate": False},
        {"rounds": 1, "gate": False, "transductive": True},
        {"rounds": 1, "caution": 0.0, "agreement": 1.0},
        {"rounds": 1, "gate": False, "targets": "precision", "precision": 0.4},
        {"rounds": 1, "gate": False, "targets": "published", "threshold": 0.4, "voting": "published"},
    ],
)
def test_no_label_reaches_what_predicts_its_clip(run, trained, fold, self_train_params):
    """Change the labels of a whole fold: its own out-of-fold predictions, and all that was decided for them, stay, bit
    for bit; other folds' change."""
    features, _, params, pretrained, _ = run
    settings = params.self_train.model_copy(update=self_train_params)
    params = params.model_copy(update={"self_train": settings})
    own = (features.folds == fold) & (features.labels >= 0)
    labels = np.where(own, (features.labels + 1) % len(CLASSES), features.labels)
    before = trained(params)
    after = self_train(replace(features, labels=labels), pretrained, params)
    np.testing.assert_array_equal(probabilities(after)[own], probabilities(before)[own])
    for table in ("rounds", "experts", "pseudo_labels"):
        one, other = (getattr(result, table) for result in (before, after))
        one, other = (rows[rows["fold"] == fold].reset_index(drop=True) for rows in (one, other))
        assert one.equals(other)
    others = (features.labels >= 0) & ~own
    assert (probabilities(after)[others] != probabilities(before)[others]).any()
    if not settings.gate:
        assert (before.pseudo_labels["fold"] == fold).any(), "the test is only worth its name where they are in use"


def test_a_round_that_misleads_is_left_out(run, monkeypatch):
    features, _, params, pretrained, _ = run

    def wrong(rows, probabilities, *others):
        return make_targets(rows, np.roll(probabilities, 1, axis=1), *others)

    monkeypatch.setattr("mer.self_training.self_train.make_targets", wrong)
    changes = {"gate": True, "rounds": 1, "voting": "equal", "families": ("linear",)}
    settings = params.self_train.model_copy(update=changes)
    gated = self_train(features, pretrained, params.model_copy(update={"self_train": settings}))
    labels_only = self_train(
        features, pretrained, params.model_copy(update={"self_train": settings.model_copy(update={"rounds": 0})})
    )
    assert not gated.rounds.loc[gated.rounds["round"] > 0, "kept"].any()
    np.testing.assert_allclose(probabilities(gated), probabilities(labels_only), atol=1e-6)
    assert gated.pseudo_labels.empty


def test_the_tables_tell_who_voted(run):
    _, _, _, _, result = run
    assert set(result.rounds["round"]) == {0, 1, 2}
    sums = result.experts.groupby("fold")["weight"].sum()
    np.testing.assert_allclose(sums, 1, atol=1e-5)
    families = {name.split(" ")[0] for name in result.experts["expert"]}
    members = {"linear", "mrccl", "linear-students", "mrccl-students"}
    assert families == {"logistic", "logistic-plain", "gaussian-15", "gaussian-31", *members}
    assert set(result.curve["fold"]) == {-1, 0, 1, 2, 3}


def test_pseudo_labels_are_unlabeled_clips_only(run):
    features, _, _, _, result = run
    split = dict(zip(features.clip_ids, features.split, strict=True))
    assert {split[clip_id] for clip_id in result.pseudo_labels["clip_id"]} == {"unlabeled"}


def test_no_chain_learns_from_unlabeled_clips_of_the_speakers_that_it_is_judged_on(run):
    features, _, params, pretrained, _ = run
    unlabeled = features.split == "unlabeled"
    places = np.arange(len(features)) % 4
    features = replace(features, folds=np.where(unlabeled & (places < 3), places, features.folds))
    learned = self_train(features, pretrained, params).pseudo_labels
    for fold in (-1, 0, 1, 2, 3):
        expected = unlabeled & ((features.folds != fold) | (fold < 0))
        assert set(learned.loc[learned["fold"] == fold, "clip_id"]) == set(features.clip_ids[expected])


def test_transductive_training_learns_from_test_clips_but_not_of_speakers_that_it_is_judged_on(run):
    features, _, params, pretrained, result = run
    test = features.split == "test"
    settings = params.self_train.model_copy(update={"transductive": True})
    found = self_train(features, pretrained, params.model_copy(update={"self_train": settings}))
    learned = found.pseudo_labels
    for fold in (-1, 0, 1, 2, 3):
        expected = (features.split == "unlabeled") | (test & ((features.folds != fold) | (fold < 0)))
        assert set(learned.loc[learned["fold"] == fold, "clip_id"]) == set(features.clip_ids[expected])
    assert (probabilities(found)[test] != probabilities(result)[test]).any()
    assert (found.predictions["fold"] == result.predictions["fold"]).all()


def test_a_saved_bundle_predicts_the_same(run, tmp_path):
    features, _, _, _, result = run
    replace(result.bundle, extra={"audio": {"model": "x"}}).save(tmp_path)
    loaded = load_bundle(tmp_path)
    test = features.split == "test"
    found = loaded.predict(features.features, features.present, features.groups)[test]
    np.testing.assert_allclose(found, probabilities(result)[test], atol=1e-6)
    assert loaded.extra == {"audio": {"model": "x"}}


def test_a_bundle_predicts_one_clip_and_a_clip_without_anything(run):
    features, _, _, _, result = run
    one = {name: x[:1] for name, x in features.features.items()}
    found = result.bundle.predict(one, {name: np.zeros(1, bool) for name in one})
    assert found.shape == (1, 3)
    assert found.sum() == pytest.approx(1, abs=1e-5)


def test_a_bundle_names_features_of_another_width(run):
    features, _, _, _, result = run
    wrong = dict(features.features) | {"face": features.features["face"][:, :5]}
    with pytest.raises(MerError, match="expects 40 face features a clip, found 5"):
        result.bundle.predict(wrong, features.present)


def test_the_torch_settings_of_the_caller_are_left_alone(run):
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: replace(f, labels=np.full_like(f.labels, -1)), "no clip has both a label and a fold"),
        (lambda f: replace(f, labels=np.where(f.labels >= 0, 2, -1)), "every labeled clip is 'happy'"),
        (lambda f: replace(f, folds=np.where(f.folds >= 0, f.folds % 2, -1)), "'corpus.folds': 2 folds in use"),
        (lambda f: f.only(["audio", "text"]), "no features of 'face'"),
    ],
)
def test_says_what_to_change(run, change, message):
    features, _, params, pretrained, _ = run
    with pytest.raises(MerError, match=message):
        self_train(change(features), pretrained, params)


@pytest.mark.parametrize(
    "sections",
    [
        {},
        {"pretrain": {"epochs": 0}, "self_train": {"families": ["linear", "mrccl", "mrccl-from-scratch"]}},
        {"self_train": {"encoder_learning_rate": 0.0, "families": ["mrccl", "mrccl-from-scratch"], "seeds": 2}},
        {"self_train": {"direct": False, "families": ["mrccl"]}},
        {"self_train": {"voting": "published", "targets": "published", "calibrate": False, "gate": False}},
        {"self_train": {"families": []}},
        {"self_train": {"families": ["gaussian"], "gate": False}},
        {"model": {"kind": "attention"}},
        {"model": {"kind": "logistic", "normalise": "group"}},
        {"model": {"normalise": "guessed", "speakers": [2]}},
    ],
)
def test_every_kind_of_bundle_can_be_saved(sections, tmp_path):
    features, _ = make_features(unlabeled=20)
    features = replace(features, groups=np.array(["a", "b", None, "c"] * 20, object))
    params = small_params(**{"self_train": {"steps": 5} | sections.pop("self_train", {}), **sections})
    result = self_train(features, pretrain(features, params), params)
    result.bundle.save(tmp_path)
    found = load_bundle(tmp_path).predict(features.features, features.present, features.groups)
    rows = features.split != "labeled"
    np.testing.assert_allclose(found[rows], probabilities(result)[rows], atol=1e-5)


@pytest.mark.parametrize("modalities", [["audio"], ["audio", "text"]])
def test_some_modalities_alone(modalities):
    features, _ = make_features(unlabeled=10)
    params = small_params(model={"modalities": modalities}, self_train={"steps": 5, "rounds": 0})
    result = self_train(features, pretrain(features, params), params)
    assert np.isfinite(probabilities(result)).all()


def lacking(change):
    """A feature set in which something is missing or odd."""
    features, _ = make_features(unlabeled=20, test=5, folds=4)
    return change(features)


def without_unlabeled(features):
    return replace(features, split=np.where(features.split == "unlabeled", "test", features.split))


def with_one_clip_of_a_class(features):
    labels = np.where(features.labels == 2, 1, features.labels)
    labels[0] = 2
    return replace(features, labels=labels)


def with_a_fold_without_a_class(features):
    return replace(features, labels=np.where((features.folds == 1) & (features.labels == 2), 0, features.labels))


def with_folds_of_one_class(features):
    return replace(features, labels=np.where(features.folds >= 0, features.folds % 3, -1))


def with_a_class_in_one_fold(features):
    labels = np.where(features.labels == 2, 0, features.labels)
    return replace(features, labels=np.where(features.folds == 3, 2, labels))


def without_face(features):
    return replace(
        features,
        features=dict(features.features) | {"face": np.zeros_like(features.features["face"])},
        present=dict(features.present) | {"face": np.zeros(len(features), bool)},
    )


def with_clips_of_nothing(features):
    nothing = np.arange(len(features)) % 6 == 0
    return replace(features, present={name: x & ~nothing for name, x in features.present.items()})


def with_odd_columns(features):
    audio = features.features["audio"].copy()
    audio[:, 0], audio[::2, 1], audio[:, 2] = 3.0, np.nan, np.nan
    return replace(features, features=dict(features.features) | {"audio": audio})


def with_three_folds(features):
    return replace(features, folds=np.where(features.folds >= 0, features.folds % 3, -1))


def with_folds_of_one_clip(features):
    keep = np.flatnonzero(features.labels >= 0)[:6]
    labels = np.full_like(features.labels, -1)
    labels[keep] = [0, 1, 2, 0, 1, 2]
    return replace(features, labels=labels)


def with_labels_that_have_no_fold(features):
    return replace(features, folds=np.where(np.arange(len(features)) % 5 == 0, -1, features.folds))


@pytest.mark.parametrize("ways", [["corpus"], ["corpus", "group", "guessed"]])
@pytest.mark.parametrize(
    "change",
    [
        without_unlabeled,
        with_one_clip_of_a_class,
        with_a_fold_without_a_class,
        with_folds_of_one_class,
        with_a_class_in_one_fold,
        without_face,
        with_clips_of_nothing,
        with_odd_columns,
        with_three_folds,
        with_folds_of_one_clip,
        with_labels_that_have_no_fold,
    ],
)
def test_awkward_corpora_work(change, ways):
    features = lacking(change)
    params = small_params(
        model={"normalise": ways, "speakers": [2]}, pretrain={"epochs": 1}, self_train={"steps": 4, "gate": False}
    )
    result = self_train(features, pretrain(features, params), params)
    assert np.isfinite(probabilities(result)).all()
    np.testing.assert_allclose(probabilities(result).sum(axis=1), 1, atol=1e-4)


def test_votes_are_what_the_predictions_are_made_of(run):
    features, _, _, _, result = run
    votes, names = result.votes, [f"p_{name}" for name in CLASSES]
    assert list(votes) == ["clip_id", "expert", "weight", *names]
    assert list(votes["clip_id"].drop_duplicates()) == list(features.clip_ids)
    assert not votes.duplicated(["clip_id", "expert"]).any()
    weighted = votes[names].mul(votes["weight"], axis=0).groupby(votes["clip_id"]).sum()
    shares = weighted.div(votes.groupby("clip_id")["weight"].sum(), axis=0)
    predicted = result.predictions.set_index("clip_id").loc[shares.index, names]
    clear = np.sort(predicted.to_numpy(), axis=1)[:, -1] - np.sort(predicted.to_numpy(), axis=1)[:, -2] > 0.01
    assert clear.sum() > 50
    # Only the vote's own sharpness lies between the two, and it changes no order.
    assert (shares.to_numpy().argmax(1) == predicted.to_numpy().argmax(1))[clear].all()


def test_the_history_has_every_round_and_says_which_were_kept(run):
    _, _, _, _, result = run
    history, last = result.history, result.pseudo_labels
    assert set(history["round"]) == {1, 2}
    assert history["kept"].all()  # without a gate
    assert set(history["fold"]) == set(last["fold"])
    kept = history[history["round"] == 2].drop(columns="kept").reset_index(drop=True)
    assert kept.equals(last)
