"""Scores of numbers equal scikit-learn's and SciPy's, and those of sentiment MMSA's, on any predictions."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import pearsonr
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    confusion_matrix,
    f1_score,
    mean_absolute_error,
    mean_squared_error,
)

from mer.evaluation import target_metrics as ours
from mer.evaluation.bootstrap import bootstrap_sums
from mer.evaluation.metrics import accuracy, macro_f1, unweighted_recall, weighted_f1
from mer.evaluation.sentiment import mosi_scores, sentiment_scores, sims_scores

values = st.floats(-3, 3, allow_nan=False, width=32)
pairs = st.lists(st.tuples(values, values), min_size=2, max_size=60)


def split(drawn) -> tuple[np.ndarray, np.ndarray]:
    actual, predicted = np.array(drawn, np.float64).T
    return actual, predicted


@settings(max_examples=200, deadline=None)
@given(pairs, st.sampled_from([0.0, 50.0]))
def test_errors_and_correlations_equal_their_references(drawn, offset):
    actual, predicted = split(drawn)
    actual, predicted = actual + offset, predicted + offset
    sums = ours.moments(actual, predicted).sum(axis=0)
    assert ours.mean_absolute_error(sums) == pytest.approx(mean_absolute_error(actual, predicted), abs=1e-9)
    assert ours.mean_squared_error(sums) == pytest.approx(mean_squared_error(actual, predicted), abs=1e-9)
    bottom = actual.var() + predicted.var() + (actual.mean() - predicted.mean()) ** 2
    assume(actual.std() > 1e-3 and predicted.std() > 1e-3)
    assert ours.pearson(sums) == pytest.approx(pearsonr(actual, predicted).statistic, abs=1e-6)
    lin = 2 * np.cov(actual, predicted, bias=True)[0, 1] / bottom
    assert ours.concordance(sums) == pytest.approx(lin, abs=1e-6)


def test_a_constant_is_correlated_with_nothing():
    sums = ours.moments([1.0, 2.0, 3.0], [0.1, 0.1, 0.1]).sum(axis=0)
    assert ours.pearson(sums) == ours.concordance(sums) == 0.0


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4)), min_size=1, max_size=60))
def test_scores_of_classes_equal_scikit_learns(drawn):
    actual, predicted = np.array(drawn).T
    confusion = confusion_matrix(actual, predicted, labels=range(5))
    options = {"zero_division": 0.0}
    assert weighted_f1(confusion) == pytest.approx(f1_score(actual, predicted, average="weighted", **options))
    assert macro_f1(confusion) == pytest.approx(f1_score(actual, predicted, average="macro", **options))
    assert accuracy(confusion) == pytest.approx(accuracy_score(actual, predicted))
    with pytest.warns() if set(predicted) - set(actual) else _nothing():
        assert unweighted_recall(confusion) == pytest.approx(balanced_accuracy_score(actual, predicted))


def _nothing():
    from contextlib import nullcontext

    return nullcontext()


# MMSA's trains/utils/metricsTop.py, written again from what it does, clip by clip.


def mmsa_mosi(actual, predicted):
    def same_class(reach):
        cut = [[max(-reach, min(reach, value)) for value in side] for side in (actual, predicted)]
        return sum(np.round(a) == np.round(p) for a, p in zip(*cut, strict=True)) / len(actual)

    has0 = [[value >= 0 for value in side] for side in (actual, predicted)]
    kept = [i for i, value in enumerate(actual) if value != 0]
    non0 = [[side[i] > 0 for i in kept] for side in (actual, predicted)]
    scores = {"has0_acc_2": accuracy_score(*has0), "has0_f1": f1_score(*has0, average="weighted")}
    if kept:
        scores |= {"non0_acc_2": accuracy_score(*non0), "non0_f1": f1_score(*non0, average="weighted")}
    return scores | {"acc_5": same_class(2.0), "acc_7": same_class(3.0)}


def mmsa_sims(actual, predicted):
    def classes(side, ends):
        cut = [max(-1.0, min(1.0, value)) for value in side]
        return [next(i for i in range(len(ends) - 1) if ends[i] < value <= ends[i + 1]) for value in cut]

    two, three, five = [-1.01, 0, 1.01], [-1.01, -0.1, 0.1, 1.01], [-1.01, -0.7, -0.1, 0.1, 0.7, 1.01]
    sides = {len(ends) - 1: [classes(side, ends) for side in (actual, predicted)] for ends in (two, three, five)}
    scores = {f"acc_{number}": accuracy_score(*both) for number, both in sides.items()}
    return scores | {"f1": f1_score(*sides[2], average="weighted")}


halves = st.integers(-6, 6).map(lambda value: value / 2)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(halves | values, halves | values), min_size=1, max_size=40))
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::sklearn.exceptions.UndefinedMetricWarning")
def test_mosis_scores_are_mmsas(drawn):
    assert mosi_scores(*split(drawn)) == pytest.approx(mmsa_mosi(*split(drawn)))


tenths = st.integers(-15, 15).map(lambda value: value / 10)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(tenths | values, tenths | values), min_size=1, max_size=40))
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::sklearn.exceptions.UndefinedMetricWarning")
def test_sims_scores_are_mmsas(drawn):
    assert sims_scores(*split(drawn)) == pytest.approx(mmsa_sims(*split(drawn)))


def test_the_scale_of_the_actual_values_says_which_scores_there_are():
    predicted = np.array([0.5, -0.5, 9.0])
    assert set(sentiment_scores(np.array([1.0, -1.0, 0.4]), predicted)) == {"acc_2", "acc_3", "acc_5", "f1"}
    of_mosi = {"has0_acc_2", "has0_f1", "non0_acc_2", "non0_f1", "acc_5", "acc_7"}
    assert set(sentiment_scores(np.array([3.0, -1.0, 0.0]), predicted)) == of_mosi
    assert set(sentiment_scores(np.array([5.0, -1.0, 0.0]), predicted)) == of_mosi - {"acc_5", "acc_7"}
    assert sentiment_scores(np.array([1.0, 3.0, 5.0]), predicted) == {}


def test_resamples_of_groups_keep_them_whole():
    sums = np.stack([np.ones(60), np.repeat(np.arange(6.0), 10)], axis=1)
    whole, drawn = bootstrap_sums(sums, groups=pd.Series(np.repeat(list("abcdef"), 10)), repeats=300)
    np.testing.assert_allclose(whole, sums.sum(axis=0))
    assert (drawn[:, 0] == 60).all()
    assert not (drawn[:, 1] % 10).any()
    spread = [bootstrap_sums(sums, groups=one, repeats=300)[1][:, 1].std() for one in (None, pd.Series(np.arange(60)))]
    assert drawn[:, 1].std() > 2 * spread[0]
    assert spread[0] == spread[1]
