"""Self-training: it learns, repeats itself, and no label reaches the model that judges its clip."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from synthetic import CLASSES, make_features, small_params

from mer.errors import MerError
from mer.pretraining.pretrain import pretrain
from mer.self_training.bundle import load_bundle
from mer.self_training.self_train import self_train


def probabilities(result):
    return result.predictions[[f"p_{name}" for name in CLASSES]].to_numpy()


@pytest.fixture(scope="module")
def run():
    features, truth = make_features()
    params = small_params()
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


def test_no_label_reaches_the_model_that_judges_its_clip(run):
    """Change the labels of a whole fold: its own out-of-fold predictions stay, bit for bit; other folds' change."""
    features, _, params, pretrained, result = run
    fold = features.folds == 1
    labels = np.where(fold, (features.labels + 1) % len(CLASSES), features.labels)
    changed = self_train(replace(features, labels=labels), pretrained, params)
    assert len(result.pseudo_labels) > 50, "the test is only worth its name where pseudo-labels are in use"
    np.testing.assert_array_equal(probabilities(changed)[fold], probabilities(result)[fold])
    others = (features.folds >= 0) & ~fold
    assert (probabilities(changed)[others] != probabilities(result)[others]).any()


def test_pseudo_labels_are_unlabeled_clips_only(run):
    features, _, _, _, result = run
    split = dict(zip(features.clip_ids, features.split, strict=True))
    assert {split[clip_id] for clip_id in result.pseudo_labels["clip_id"]} == {"unlabeled"}


def test_a_saved_bundle_predicts_the_same(run, tmp_path):
    features, _, _, _, result = run
    replace(result.bundle, extra={"audio": {"model": "x"}}).save(tmp_path)
    loaded = load_bundle(tmp_path)
    test = features.split == "test"
    found = loaded.predict(
        {name: x[test] for name, x in features.features.items()},
        {name: x[test] for name, x in features.present.items()},
    )
    np.testing.assert_allclose(found, probabilities(result)[test], atol=1e-6)
    assert loaded.extra == {"audio": {"model": "x"}}


def test_a_bundle_judges_one_clip_and_a_clip_without_anything(run):
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
        {"self_train": {"encoder_learning_rate": 0.0}},
        {"self_train": {"direct": False}},
        {"self_train": {"voting": "stacking"}},
        {"self_train": {"thresholds": "soft", "prior": "em", "quota": 0.5}},
        {"model": {"kind": "attention"}},
        {"model": {"kind": "logistic", "normalise": "group"}},
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


def test_awkward_corpora_work():
    """No unlabeled and no test clips, a class with one clip, an empty modality, a NaN and a constant column."""
    features, _ = make_features(unlabeled=0, test=0)
    labels = features.labels % 2
    labels[0] = 2
    audio = features.features["audio"].copy()
    audio[:, 0], audio[::2, 1] = 3.0, np.nan
    face = np.zeros_like(features.features["face"])
    features = replace(
        features,
        labels=labels,
        features=dict(features.features) | {"audio": audio, "face": face},
        present=dict(features.present) | {"face": np.zeros(len(features), bool)},
    )
    params = small_params(self_train={"steps": 5})
    result = self_train(features, pretrain(features, params), params)
    assert np.isfinite(probabilities(result)).all()
