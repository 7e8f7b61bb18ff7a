"""Folds: stratified, groups whole, and a clear word where it cannot be."""

import numpy as np
import pandas as pd
import pytest

from mer.clips.folds import assign_folds
from mer.clips.stratified import deal, deal_groups
from mer.errors import MerError


def table(labels, groups=None, unlabeled=3):
    count = len(labels) + unlabeled
    return pd.DataFrame(
        {
            "clip_id": [f"c{i}" for i in range(count)],
            "split": ["labeled"] * len(labels) + ["unlabeled"] * unlabeled,
            "label": [*labels, *[None] * unlabeled],
            "group": [*(groups or [None] * len(labels)), *[None] * unlabeled],
        }
    )


def test_every_fold_has_its_share_of_every_class():
    rows = table(["sad"] * 20 + ["happy"] * 10)
    folds = assign_folds(rows, 5, seed=0)
    assert (folds[30:] == -1).all()
    for fold in range(5):
        assert (rows["label"][folds == fold] == "sad").sum() == 4
        assert (rows["label"][folds == fold] == "happy").sum() == 2


def test_a_group_is_never_split():
    groups = [f"speaker{i % 7}" for i in range(70)]
    folds = assign_folds(table(["sad", "happy"] * 35, groups), 5, seed=0)
    for speaker in set(groups):
        assert len({fold for fold, group in zip(folds, groups, strict=False) if group == speaker}) == 1


def test_unlabeled_and_test_clips_go_with_the_labeled_ones_of_their_group():
    rows = table(["sad", "happy"] * 6, ["a", "b", "c"] * 4, unlabeled=0)
    more = table([None] * 5, ["a", "b", "stranger", None, "c"], unlabeled=0)
    more = more.assign(split=["unlabeled"] * 4 + ["test"], clip_id=[f"more{i}" for i in range(5)])
    folds = assign_folds(pd.concat([rows, more], ignore_index=True), 3, seed=0)
    fold_of = dict(zip(rows["group"], folds[:12], strict=True))
    assert folds[12:].tolist() == [fold_of["a"], fold_of["b"], -1, -1, fold_of["c"]]


def test_unlabeled_clips_of_a_group_that_the_corpus_parts_have_no_fold():
    rows = table(["sad", "happy"] * 6, ["a", "b", "c", "c"] * 3, unlabeled=0)
    rows = rows.assign(corpus_fold=["1", "2", "3", "1"] * 3)
    more = table([None] * 2, ["a", "c"], unlabeled=0).assign(split="unlabeled", corpus_fold=None)
    folds = assign_folds(pd.concat([rows, more], ignore_index=True), 3, seed=0)
    assert folds[12:].tolist() == [0, -1]


def test_a_clip_without_a_group_is_a_group_of_its_own():
    folds = assign_folds(table(["sad", "happy"] * 5, ["a"] * 4 + [None] * 6), 3, seed=0)
    assert len(set(folds[:4])) == 1
    assert set(folds[:10]) == {0, 1, 2}


def test_the_seed_decides():
    rows = table(["sad", "happy"] * 20)
    assert (assign_folds(rows, 5, seed=1) == assign_folds(rows, 5, seed=1)).all()
    assert (assign_folds(rows, 5, seed=1) != assign_folds(rows, 5, seed=2)).any()


@pytest.mark.parametrize("labels", [["sad"] * 11 + ["happy"], ["a", "b", "c", "d", "e", "f"]])
def test_classes_rarer_than_the_folds_are_spread(labels):
    folds = assign_folds(table(labels), 3, seed=0)[: len(labels)]
    assert np.bincount(folds).tolist() == [len(labels) // 3] * 3


def test_no_labeled_clip_no_folds():
    assert (assign_folds(table([]), 5, seed=0) == -1).all()


@pytest.mark.parametrize(
    ("labels", "groups", "message"),
    [
        (["sad", "happy"], None, "'corpus.folds': 5 folds for 2 labeled clips; at least 3 labeled clips are needed"),
        (["sad"] * 9, ["a", "b", "c"] * 3, "'corpus.folds': 5 folds for 3 groups of labeled clips"),
    ],
)
def test_says_what_to_change(labels, groups, message):
    with pytest.raises(MerError, match=message):
        assign_folds(table(labels, groups), 5, seed=0)


@pytest.mark.filterwarnings("ignore:The least populated class")
@pytest.mark.parametrize("seed", range(30))
def test_folds_are_those_of_scikit_learn(seed):
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    draw = np.random.default_rng(seed)
    count, folds = int(draw.integers(20, 400)), int(draw.integers(3, 8))
    labels = draw.choice(["sad", "happy", "angry", "calm"], count, p=[0.5, 0.3, 0.15, 0.05])
    groups = np.array([f"g{n}" for n in draw.integers(0, draw.integers(folds, count), count)], dtype=object)
    groups[:folds] = [f"only {n}" for n in range(folds)]
    theirs = np.empty(count, int)
    for fold, (_, held_out) in enumerate(StratifiedKFold(folds, shuffle=True, random_state=seed).split(labels, labels)):
        theirs[held_out] = fold
    assert (deal(labels, folds, seed) == theirs).all()
    whole = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    for fold, (_, held_out) in enumerate(whole.split(labels, labels, groups)):
        theirs[held_out] = fold
    assert (deal_groups(labels, groups, folds, seed) == theirs).all()
