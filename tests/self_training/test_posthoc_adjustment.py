"""Post-hoc logit adjustment: another class may be chosen, by everything that chooses; probabilities stay."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from synthetic import CLASSES, make_features, small_params

from mer.evaluation.scored import _join
from mer.pretraining.pretrain import pretrain
from mer.self_training.bundle_reading import load_bundle
from mer.self_training.self_train import self_train
from mer.self_training.voting import Vote

COLUMNS = [f"p_{name}" for name in CLASSES]


def test_the_choice_is_that_of_the_formula():
    shares, p = np.array([0.7, 0.2, 0.1]), np.random.default_rng(0).dirichlet(np.ones(3), 200).astype(np.float32)
    for strength in (0.0, 0.5, 1.0):
        ones = torch.ones(1)
        vote = Vote(ones, ones, ones, torch.tensor(shares).log().float(), ones, torch.tensor([strength]))
        expected = [max(range(3), key=lambda c, row=row: row[c] / shares[c] ** strength) for row in p]
        assert vote.choose(torch.from_numpy(p)).tolist() == expected
        assert strength or expected == p.argmax(axis=1).tolist()


@pytest.fixture(scope="module")
def runs():
    """Noisy clips of an imbalanced corpus: the same run with and without."""
    features, truth = make_features(labeled=90, folds=4, noise=12.0)
    kept = (truth != 1) | (np.arange(len(truth)) % 4 == 0)
    rows = np.flatnonzero(kept)
    fields = {name: getattr(features, name)[rows] for name in ("clip_ids", "split", "labels", "groups", "folds")}
    of = {name: {k: x[rows] for k, x in getattr(features, name).items()} for name in ("features", "present")}
    features = replace(features, **fields, **of)
    found = []
    for strength in (0.0, 1.0):
        params = small_params(model={"kind": "logistic"}, self_train={"posthoc_adjustment": strength})
        found.append(self_train(features, pretrain(features, params), params))
    return features, *found


def test_probabilities_stay_and_rare_classes_are_chosen_more_often(runs):
    _, plain, adjusted = runs
    assert plain.predictions[COLUMNS].equals(adjusted.predictions[COLUMNS])
    most = np.array(CLASSES, object)[plain.predictions[COLUMNS].to_numpy().argmax(axis=1)]
    assert (plain.predictions["predicted"] == most).all()
    rare = [(one.predictions["predicted"] == "angry").sum() for one in (plain, adjusted)]
    assert rare[0] < rare[1]


def test_the_saved_bundle_chooses_as_the_run_did(runs, tmp_path):
    features, _, adjusted = runs
    adjusted.bundle.save(tmp_path)
    bundle = load_bundle(tmp_path)
    p = bundle.predict(features.features, features.present, features.groups)
    others = features.split != "labeled"
    chosen = np.array(CLASSES, object)[bundle.choose(p)]
    assert (chosen[others] == adjusted.predictions["predicted"].to_numpy()[others]).all()
    assert (bundle.choose(p) != p.argmax(axis=1)).any()


def test_the_confidence_is_that_of_the_class_that_was_chosen(runs):
    _, _, adjusted = runs
    labels = adjusted.predictions[["clip_id", "label"]].dropna().assign(group=None)
    joined = _join(labels, adjusted.predictions, CLASSES)
    expected = [row[f"p_{row['predicted']}"] for _, row in joined.iterrows()]
    np.testing.assert_allclose(joined["confidence"], expected)
    assert (joined["confidence"] < joined[COLUMNS].max(axis=1)).any()
