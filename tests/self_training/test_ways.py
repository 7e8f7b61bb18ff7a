"""Which way of standardising was taken is told, and which were considered and not found better."""

from dataclasses import replace

import numpy as np
from synthetic import make_features, small_params

from mer.pretraining.pretrain import pretrain
from mer.self_training.regress import regress
from mer.self_training.self_train import self_train
from mer.self_training.ways import Ways

WAYS = {"normalise": ["corpus", "group", "guessed"], "speakers": [3]}
GUESSED = [f"within 3 speakers guessed by {name}" for name in ("audio", "face", "text")]


def clips(*, shifted):
    """Clips of four speakers; where they are `shifted`, whose clip it is hides its class."""
    features, truth = make_features(labeled=120, unlabeled=8, test=8, folds=4, absent=0.0)
    speaker = np.arange(len(features)) // 4 % 4
    rng = np.random.default_rng(5)
    shift = {name: 40 * shifted * rng.normal(size=(4, x.shape[1])) for name, x in features.features.items()}
    own = {name: (x + shift[name][speaker]).astype(np.float32) for name, x in features.features.items()}
    groups = np.array([f"s{number}" for number in speaker], object)
    return replace(features, features=own, groups=groups, targets={"valence": truth + 0.0})


def test_guesses_that_evidence_rejects_are_named():
    features = clips(shifted=False)
    params = small_params(model=WAYS, pretrain={"epochs": 0}, self_train={"rounds": 0, "steps": 2})
    pretrained = pretrain(features, params)
    others = ", ".join(["within known groups", *GUESSED])
    for found in (self_train(features, pretrained, params), regress(features, pretrained, params, ["valence"])):
        assert str(found.standardised).startswith(f"over the corpus; not better out of fold: {others}")


def test_speakers_that_evidence_accepts_are_named_first():
    features = clips(shifted=True)
    params = small_params(model=WAYS, pretrain={"epochs": 0}, self_train={"rounds": 0, "steps": 2})
    told = str(self_train(features, pretrain(features, params), params).standardised)
    assert told.startswith("within ")
    assert "over the corpus" in told.partition("not better out of fold: ")[2]


def test_folds_that_do_otherwise_are_named_and_one_way_needs_no_evidence():
    assert str(Ways(("group",), {(): "group", (0,): "group"})) == "within known groups"
    told = str(Ways(("corpus", "guessed face 9"), {(): "corpus", (2,): "guessed face 9"}))
    assert told.endswith("; otherwise in fold 2 (within 9 speakers guessed by face)")
