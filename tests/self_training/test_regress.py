"""Targets are predicted as classes are: by models and decisions that saw none of the numbers they are scored on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from synthetic import make_features, small_params

from mer.errors import MerError
from mer.learning.features import FeatureSet
from mer.pretraining.pretrain import pretrain
from mer.self_training.bundle_reading import load_bundle
from mer.self_training.gains import grouped_gain
from mer.self_training.regress import regress
from mer.self_training.ridge import fit_ridge
from mer.self_training.stacking import conformal_radius, decide_stack, learn_weights
from mer.self_training.train import train

RNG = np.random.default_rng(0)


def with_targets(*, labeled=90, classes=True, **options) -> tuple[FeatureSet, dict[str, np.ndarray]]:
    """The small feature set with two targets that follow from it, unknown outside the labeled split."""
    features, truth = make_features(labeled=labeled, **options)
    rng = np.random.default_rng(1)
    signal = features.features["audio"][:, :3].mean(axis=1)
    true = {"valence": 3 + signal + 0.5 * rng.normal(size=len(truth)), "arousal": truth + rng.normal(size=len(truth))}
    known = features.split == "labeled"
    targets = {name: np.where(known, values, np.nan) for name, values in true.items()}
    if not classes:
        features = replace(features, classes=(), labels=np.full(len(truth), -1))
    return replace(features, targets=targets), true


@pytest.fixture(scope="module", name="run")
def run_fixture():
    """A run of two targets beside classes, and what is true."""
    features, true = with_targets()
    params = small_params(corpus={"target": ["valence", "arousal"]})
    return features, true, params, train(features, pretrain(features, params), params)


def test_ridge_equals_scikit_learns_for_every_chain_strength_and_target():
    x, folds = RNG.normal(size=(60, 7)).astype(np.float32), np.arange(60) % 3
    values = np.stack([x[:, 0] + RNG.normal(size=60), x[:, 1] * 3 + 5], axis=1)
    values[::4, 1] = np.nan
    chains, strengths = [(), (0,), (1, 2)], [0.1, 2.0]
    found = fit_ridge(torch.from_numpy(x), values, folds, chains, strengths)(torch.from_numpy(x))
    place = 0
    for chain in chains:
        for strength in strengths:
            for k in range(2):
                own = ~np.isin(folds, chain) & ~np.isnan(values[:, k])
                theirs = Ridge(alpha=strength * own.sum()).fit(x[own], values[own, k]).predict(x)
                np.testing.assert_allclose(found[place, :, k], theirs, atol=1e-4)
            place += 1


def test_stacking_finds_the_better_expert_and_stays_at_the_prior_without_evidence():
    y = RNG.normal(size=200)
    x = np.stack([y + 0.1 * RNG.normal(size=200), RNG.normal(size=200)], axis=1)
    even = np.array([0.5, 0.5])
    found = learn_weights(x, y, even, 10)
    assert found[0] > 0.9
    assert found.sum() == pytest.approx(1)
    np.testing.assert_allclose(learn_weights(x[:0], y[:0], even, 10), even)


@pytest.mark.parametrize(("noise", "least", "most"), [(0.1, 0.7, 1.0), (3.0, 0.5, 0.6)])
def test_priors_give_way_to_evidence_that_leaves_little_unexplained(noise, least, most):
    """A good expert and a poorer one: the less noise, the more 40 clips tell them apart."""
    rng = np.random.default_rng(4)
    signal = rng.normal(size=40)
    y = (signal + noise * rng.normal(size=40)) / np.hypot(1, noise)
    good, poor = (signal + share * rng.normal(size=40) for share in (0.0, 0.3))
    experts = torch.from_numpy(np.stack([good, poor])[..., None] / np.hypot(1, noise)).float()
    options = {"learned": True, "calibrate": False, "prior_clips": 40.0, "coverage": 0.9}
    stack = decide_stack(experts, torch.ones(2, 40, dtype=torch.bool), y[:, None], np.ones(2), **options)
    assert least <= float(stack.weights[0, 0]) <= most


def test_an_expert_that_sees_nothing_of_a_clip_does_not_move_its_prediction():
    predicted = torch.tensor([[[1.0], [1.0]], [[9.0], [9.0]]])  # [E, N, K]
    present = torch.tensor([[True, True], [True, False]])
    options = {"learned": False, "calibrate": False, "prior_clips": 10.0, "coverage": 0.9}
    stack = decide_stack(predicted[:, :0], present[:, :0], np.zeros((0, 1)), np.ones(2), **options)
    assert stack(predicted, present)[:, 0].tolist() == pytest.approx([5.0, 1.0])
    assert np.isinf(stack.radius.numpy()).all()


@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.9])
def test_conformal_intervals_cover_as_promised(coverage):
    rng = np.random.default_rng(2)
    hits = [abs(rng.standard_t(3)) <= conformal_radius(abs(rng.standard_t(3, size=39)), coverage) for _ in range(4000)]
    assert np.mean(hits) == pytest.approx(coverage, abs=0.02)
    assert conformal_radius(np.ones(3), 0.9) == np.inf


def test_errors_of_a_group_do_not_count_as_independent():
    groups = np.repeat(np.arange(10), 20)
    d = torch.from_numpy(np.repeat(RNG.normal(size=10), 20))
    mean, error = grouped_gain(d, groups)
    assert mean == pytest.approx(float(d.mean()))
    assert error == pytest.approx(float(d[::20].std()) / 10**0.5)  # that of ten groups
    assert grouped_gain(d, np.arange(200))[1] < error / 4


def test_numbers_are_predicted_far_better_than_by_their_mean(run):
    features, true, _, trained = run
    labeled, test = features.split == "labeled", features.split == "test"
    for name in ("valence", "arousal"):
        predicted = trained.predictions[f"t_{name}"].to_numpy()
        for part in (labeled, test):
            error = np.square(predicted[part] - true[name][part]).mean()
            assert error < 0.75 * true[name][part].var(), name


def test_intervals_cover_the_labeled_clips_out_of_fold(run):
    features, true, params, trained = run
    labeled, table = features.split == "labeled", trained.predictions
    for name in ("valence", "arousal"):
        inside = (table[f"t_{name}_low"] <= true[name]) & (true[name] <= table[f"t_{name}_high"])
        assert inside[labeled].mean() == pytest.approx(params.self_train.coverage, abs=0.08)


def test_classes_are_what_they_are_without_targets(run):
    features, _, params, trained = run
    alone = params.model_copy(update={"corpus": params.corpus.model_copy(update={"target": None})})
    plain = train(replace(features, targets={}), pretrain(features, alone), alone)
    columns = list(plain.predictions.columns)
    assert trained.predictions[columns].equals(plain.predictions)
    assert not [name for name in columns if name.startswith("t_")]
    assert plain.bundle.numbers is None


def test_a_saved_bundle_predicts_the_same_numbers(run, tmp_path):
    features, _, _, trained = run
    trained.bundle.save(tmp_path)
    found = load_bundle(tmp_path).estimate(features.features, features.present)
    rows = np.flatnonzero(features.split != "labeled")
    table = trained.predictions.iloc[rows]
    for k, name in enumerate(("valence", "arousal")):
        np.testing.assert_allclose(found.values[rows, k], table[f"t_{name}"], atol=1e-5)
        np.testing.assert_allclose(found.high[rows, k], table[f"t_{name}_high"], atol=1e-5)
    before = (tmp_path / "members.safetensors").read_bytes()
    load_bundle(tmp_path).save(tmp_path)
    assert (tmp_path / "members.safetensors").read_bytes() == before


def test_targets_alone_make_a_bundle_without_classes(tmp_path):
    features, _ = with_targets(classes=False)
    params = small_params(corpus={"target": "valence"})
    trained = train(features, pretrain(features, params), params)
    trained.bundle.save(tmp_path)
    bundle = load_bundle(tmp_path)
    assert bundle.classes == ()
    assert bundle.predict(features.features, features.present).shape == (len(features), 0)
    assert trained.predictions["predicted"].isna().all()
    assert trained.predictions["t_valence"].notna().all()


def with_kin(features):
    """Two in three test clips are of groups that have labels."""
    places = np.arange(len(features))
    kin = (features.split == "test") & (places % 3 > 0)
    return replace(features, folds=np.where(kin, places % (features.folds.max() + 1), features.folds))


@pytest.mark.parametrize("transductive", [False, True])
def test_a_number_never_reaches_its_own_prediction(transductive):
    features = with_kin(with_targets(labeled=45)[0])
    params = small_params(
        corpus={"target": ["valence", "arousal"]},
        model={"normalise": ["corpus", "guessed"]},
        self_train={"transductive": transductive, "rounds": 1, "gate": False},
    )
    pretrained = pretrain(features, params)
    before = regress(features, pretrained, params, ["valence", "arousal"]).predictions
    fold = (features.folds == 1) & (features.split == "labeled")
    changed = features.targets | {
        "valence": np.where(
            fold,
            100 * RNG.normal(size=len(fold)),
            features.targets["valence"],
        )
    }
    after = regress(replace(features, targets=changed), pretrained, params, ["valence", "arousal"]).predictions
    assert before[fold].equals(after[fold])
    assert not before[~fold].equals(after[~fold])


@pytest.mark.parametrize("classes", [True, False])
def test_transductive_training_says_of_how_many_test_clips_it_learned(classes):
    features = with_kin(with_targets(classes=classes)[0])
    test = features.split == "test"
    params = small_params(corpus={"target": "valence"}, self_train={"gate": False, "rounds": 1})
    pretrained = pretrain(features, params)
    found = {}
    for name, changed in {
        "no": {},
        "yes": {"transductive": True},
        "without rounds": {"transductive": True, "rounds": 0},
    }.items():
        settings = params.self_train.model_copy(update=changed)
        found[name] = train(features, pretrained, params.model_copy(update={"self_train": settings})).predictions
        assert (found[name]["fold"][test] == -1).all()
    assert found["yes"].attrs == {"transductive_clips": test.sum()}
    assert found["no"].attrs == found["without rounds"].attrs == {}
    assert (found["yes"]["t_valence"] != found["no"]["t_valence"])[test].any()


def test_clips_may_lack_a_target():
    features, true = with_targets()
    holes = {
        name: np.where(RNG.random(len(features)) < 0.3, np.nan, values) for name, values in features.targets.items()
    }
    params = small_params(corpus={"target": ["valence", "arousal"]}, self_train={"rounds": 0})
    table = regress(
        replace(features, targets=holes), pretrain(features, params), params, ["valence", "arousal"]
    ).predictions
    assert np.isfinite(table.drop(columns="clip_id").to_numpy()).all()
    assert np.corrcoef(table["t_valence"], true["valence"])[0, 1] > 0.5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda values: np.full_like(values, np.nan), "no clip of the labeled split has a value of target 'valence'"),
        (lambda values: np.where(np.isnan(values), values, 2.0), "target 'valence' is 2 in every labeled clip"),
        (lambda values: np.where(np.arange(len(values)) == 3, np.inf, values), "of clip 'clip3' is infinite"),
        (lambda values: np.where(np.arange(len(values)) % 3 == 0, values, np.nan), "'corpus.folds': 1 folds in use"),
    ],
)
def test_targets_that_cannot_be_learned_are_named(change, message):
    features, _ = with_targets(labeled=45)
    params = small_params(corpus={"target": "valence"})
    broken = replace(features, targets={"valence": change(features.targets["valence"])})
    with pytest.raises(MerError, match=message):
        regress(broken, pretrain(features, params), params, ["valence"])


def test_a_target_that_the_corpus_lacks_is_named():
    features, _ = with_targets(labeled=45)
    params = small_params()
    with pytest.raises(
        MerError, match=r"'corpus.target': the corpus has no target 'enjoyment' \(there are: valence, ar"
    ):
        regress(features, pretrain(features, params), params, ["enjoyment"])
    with pytest.raises(MerError, match=r"has no labels; set 'corpus.target' to one of valence, arousal"):
        train(replace(features, classes=()), pretrain(features, params), params)


def test_votes_are_what_members_learn_where_they_are_known():
    features, _ = make_features(labeled=60, unlabeled=0)
    params = small_params()
    pretrained = pretrain(features, params)
    eye = np.eye(len(features.classes), dtype=np.float32)[features.labels]
    plain, same = (train(replace(features, soft=soft), pretrained, params).predictions for soft in (None, eye))
    assert plain.equals(same)
    doubtful = train(replace(features, soft=0.5 * eye + 0.5 / len(features.classes)), pretrained, params).predictions
    assert not plain.equals(doubtful)
