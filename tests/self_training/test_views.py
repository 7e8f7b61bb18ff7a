"""Self-training on several views a modality: what it chooses of them, and what one view a modality has always given."""

from dataclasses import replace

import numpy as np
import pytest
from synthetic import CLASSES, make_features, small_params

from mer.errors import MerError
from mer.pretraining.pretrain import load_pretrained, pretrain
from mer.self_training.bundle_reading import load_bundle
from mer.self_training.self_train import self_train
from mer.self_training.voting import decide_vote
from tests.golden import golden

GOLDEN = "7f7b5b043b9c8ed2"
"""What one view a modality gives: a7d6fe0e4842a515 before there were views, and still so if the floor's plain fits keep
the shares of the classes (`linear.without_shares` came later); ab0d321c218b779f before experts were judged by the clips
that they see alone (`voting.learn_weights`)."""


def with_views(features, **views):
    """A feature set with more views: name -> (modality, values [N, D])."""
    whose = {name: name for name in features.features} | {name: of for name, (of, _) in views.items()}
    own = dict(features.features) | {name: values.astype(np.float32) for name, (_, values) in views.items()}
    names = sorted(own, key=lambda name: ("audio", "face", "text").index(whose[name]))
    there = {name: features.present.get(name, np.ones(len(features), bool)) for name in names}
    return replace(features, features={name: own[name] for name in names}, present=there, modality=whose)


def probabilities(result):
    return result.predictions[[f"p_{name}" for name in CLASSES]].to_numpy()


def test_one_view_a_modality_gives_what_it_gave_before_there_were_views():
    features, _ = make_features(folds=4)
    params = small_params(self_train={"gate": False, "families": ["linear", "mrccl"], "encoder_learning_rate": 1e-3})
    found = self_train(features, pretrain(features, params), params)
    assert golden("views", probabilities(found)) == GOLDEN


@pytest.fixture(scope="module")
def run():
    features, truth = make_features(folds=4)
    rng = np.random.default_rng(3)
    good = np.eye(3)[truth] @ rng.normal(size=(3, 8)) * 2 + rng.normal(size=(len(truth), 8))
    features = with_views(features, whisper=("audio", good), noise=("face", rng.normal(size=(len(truth), 30))))
    params = small_params(self_train={"rounds": 1, "gate": False, "views": "auto", "encoder_learning_rate": 1e-3})
    pretrained = pretrain(features, params)
    return features, truth, params, pretrained, self_train(features, pretrained, params)


def test_experts_are_there_for_each_view_each_modality_and_all(run):
    *_, result = run
    own = [name.split(" ") for name in result.experts["expert"].unique()]
    parts = ["fused", "audio", "face", "text", "audio/audio", "audio/whisper", "face/face", "face/noise"]
    assert [part for family, part in own if family == "logistic"] == parts
    assert {part for family, part in own if family == "mrccl"} == {"audio", "face", "text", "fused"}


def test_a_bundle_of_several_views_comes_back_and_predicts_the_same(run, tmp_path):
    features, _, _, pretrained, result = run
    result.bundle.save(tmp_path / "bundle")
    given = (features.features, features.present, features.groups)
    np.testing.assert_array_equal(load_bundle(tmp_path / "bundle").predict(*given), result.bundle.predict(*given))
    pretrained.save(tmp_path / "pretrained.safetensors")
    assert load_pretrained(tmp_path / "pretrained.safetensors").standardisations[0].modality == features.modality
    rows = features.split == "test"
    np.testing.assert_allclose(result.bundle.predict(*given)[rows], probabilities(result)[rows], atol=1e-5)


def test_a_view_that_only_misleads_is_left_out_where_the_evidence_says_so():
    features, truth = make_features(labeled=150, folds=3, noise=0.3, absent=0.0)
    features = with_views(features, wrong=("text", np.random.default_rng(1).normal(size=(len(truth), 400))))
    params = small_params(model={"kind": "logistic", "components": 0}, self_train={"views": "auto"})
    bundle = self_train(features, pretrain(features, params), params).bundle
    assert "wrong" not in bundle.looks_at
    assert set(bundle.looks_at) == {"audio", "face", "text"}


def test_evidence_of_a_chain_that_looks_at_fewer_views_is_of_these(monkeypatch):
    features, _ = make_features(folds=4, absent=0.0)
    params = small_params(self_train={"rounds": 0})
    found = {}

    def subsets(labeled, way_of, views, *others):
        return {chain: (0,) if chain == (0,) else tuple(views.all) for chain in way_of}  # chain 0 hears, and no more

    def decide(logits, labels, present, *others):
        found.setdefault("present", present)  # the bundle's comes first
        return decide_vote(logits, labels, present, *others)

    monkeypatch.setattr("mer.self_training.class_run.choose_subsets", subsets)
    monkeypatch.setattr("mer.self_training.self_train.decide_vote", decide)
    experts = self_train(features, pretrain(features, params), params).experts
    names = list(experts.loc[experts["fold"] == -1, "expert"])
    first = int(((features.folds == 0) & (features.labels >= 0)).sum())  # the evidence is in the folds' order
    for name, present in zip(names, found["present"], strict=True):
        blind = name in ("linear face", "linear text", "mrccl face", "mrccl text")
        assert present[:first].all() != blind
        assert present[first:].all()


def test_views_may_be_named_and_the_others_do_not_count(run):
    features, _, _, pretrained, _ = run
    params = small_params(self_train={"rounds": 0, "views": ["whisper", "text"]})
    bundle = self_train(features, pretrained, params).bundle
    given = dict(features.features)
    before = bundle.predict(given, features.present)
    given["noise"] = given["noise"] + 7
    given["audio"] = given["audio"] - 3
    np.testing.assert_array_equal(bundle.predict(given, features.present), before)
    given["whisper"] = given["whisper"] + 3
    assert not np.allclose(bundle.predict(given, features.present), before)


def test_a_view_that_there_is_not_is_named(run):
    features, _, _, pretrained, _ = run
    with pytest.raises(MerError, match=r"self_train.views: there is no view 'hubert' \(there are: audio, whisper"):
        self_train(features, pretrained, small_params(self_train={"views": ["hubert"]}))


def test_view_dropout_changes_what_is_learned_and_repeats_itself(run):
    features, *_ = run
    params = small_params(model={"view_dropout": 0.5}, self_train={"rounds": 0})
    one, two = (pretrain(features, params) for _ in range(2))
    plain = pretrain(features, small_params(self_train={"rounds": 0}))
    assert one.curve == two.curve != plain.curve
    hiding = replace(plain, model=params.model)
    first, again, without = (probabilities(self_train(features, of, params)) for of in (hiding, hiding, plain))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, without)


def test_a_corpus_of_one_modality_with_two_views_is_enough(run):
    features, truth, *_ = run
    params = small_params(model={"modalities": ["audio"]}, self_train={"rounds": 0})
    features = features.only(["audio"])
    predicted = self_train(features, pretrain(features, params), params).predictions["predicted"]
    assert (predicted.to_numpy() == np.array(CLASSES)[truth]).mean() > 0.6


@pytest.mark.parametrize("copies", [1, 3])
def test_a_view_given_twice_changes_no_fused_linear_expert(copies):
    features, _ = make_features(labeled=150, folds=3, noise=1.5)
    params = small_params(model={"kind": "logistic", "normalise": ["corpus"]})
    said = []
    for more in (0, copies):
        again = with_views(features, **{f"again{i}": ("audio", features.features["audio"]) for i in range(more)})
        present = again.present | {f"again{i}": features.present["audio"] for i in range(more)}
        again = replace(again, present=present)
        votes = self_train(again, pretrain(again, params), params).votes
        said.append(votes.set_index(["expert", "clip_id"])[[f"p_{name}" for name in CLASSES]])
    for expert in ("logistic fused", "logistic-plain fused", "logistic audio"):
        np.testing.assert_allclose(said[0].loc[expert], said[1].loc[expert], atol=0.02)
