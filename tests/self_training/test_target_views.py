"""Regression leaves out views that evidence speaks against, and no number reaches its own prediction by that."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from synthetic import make_features, small_params

from mer.errors import MerError
from mer.learning.features import FeatureSet
from mer.pretraining.pretrain import pretrain
from mer.self_training.bundle_reading import load_bundle
from mer.self_training.regress import regress
from mer.self_training.train import train


def of_views(*, labeled: int = 150, misleading: int = 400) -> tuple[FeatureSet, np.ndarray]:
    """Four views: a number that follows from the first two, and one view with nothing in it but many columns."""
    features, truth = make_features(labeled=labeled, folds=3, absent=0.0)
    rng = np.random.default_rng(5)
    true = features.features["audio"][:, 0] + features.features["face"][:, 1] + 0.3 * rng.normal(size=len(truth))
    views = features.features | {"wrong": rng.normal(size=(len(truth), misleading)).astype(np.float32)}
    present = features.present | {"wrong": np.ones(len(truth), bool)}
    whose = {name: name for name in features.features} | {"wrong": "text"}
    known = np.where(features.split == "labeled", true, np.nan)
    return replace(features, features=views, present=present, modality=whose, targets={"valence": known}), true


def params_of(views, **options):
    return small_params(
        corpus={"target": "valence"}, model={"components": 0, **options}, self_train={"views": views, "rounds": 0}
    )


@pytest.fixture(scope="module", name="runs")
def runs_fixture():
    features, true = of_views()
    found = {}
    for views in ("all", "auto"):
        params = params_of(views, kind="logistic")
        found[views] = regress(features, pretrain(features, params), params, ["valence"])
    return features, true, found


def test_a_view_that_only_misleads_is_left_out_and_numbers_are_better_for_it(runs):
    features, true, found = runs
    assert found["all"].estimator.looks_at == tuple(features.features)
    assert "wrong" not in found["auto"].estimator.looks_at
    assert {"audio", "face"} <= set(found["auto"].estimator.looks_at)
    error = {
        views: np.square(one.predictions["t_valence"] - true)[features.split != "unlabeled"].mean()
        for views, one in found.items()
    }
    assert error["auto"] < error["all"]


def test_what_is_left_out_does_not_move_the_numbers_of_the_bundle(runs, tmp_path):
    features, *_ = runs
    params = params_of("auto")
    trained = train(replace(features, classes=()), pretrain(features, params), params)
    trained.bundle.save(tmp_path)
    bundle = load_bundle(tmp_path)
    assert "wrong" not in bundle.numbers.looks_at
    given = dict(features.features)
    before = bundle.estimate(given, features.present).values
    rows = features.split != "labeled"
    np.testing.assert_allclose(before[rows, 0], trained.predictions["t_valence"][rows], atol=1e-5)
    given["wrong"] = given["wrong"] + 7
    np.testing.assert_array_equal(bundle.estimate(given, features.present).values, before)
    given["audio"] = given["audio"] + 7
    assert not np.allclose(bundle.estimate(given, features.present).values, before)


def test_a_number_never_chooses_the_views_of_its_own_prediction():
    features, _ = of_views(labeled=60, misleading=60)
    params = params_of("auto", kind="logistic")
    pretrained = pretrain(features, params)
    fold = features.folds == 1
    # In this fold alone the number follows from what misleads everywhere else.
    other = np.where(fold, 5 * features.features["wrong"][:, 0], features.targets["valence"])
    before, after = (
        regress(replace(features, targets={"valence": values}), pretrained, params, ["valence"])
        for values in (features.targets["valence"], other)
    )
    assert before.predictions[fold].equals(after.predictions[fold])
    assert not before.predictions[~fold].equals(after.predictions[~fold])


def test_named_views_alone_count_and_unknown_ones_are_named(runs):
    features, *_ = runs
    params = params_of(["audio", "wrong"], kind="logistic")
    pretrained = pretrain(features, params)
    assert regress(features, pretrained, params, ["valence"]).estimator.looks_at == ("audio", "wrong")
    params = params_of(["hubert"], kind="logistic")
    with pytest.raises(MerError, match=r"self_train.views: there is no view 'hubert'"):
        regress(features, pretrained, params, ["valence"])
