"""The bootstrap through confusion counts equals the literal one that resamples clips or groups."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest

from mer.evaluation.bootstrap import _mean_of_drawn, bootstrap_interval, paired_bootstrap
from mer.evaluation.metrics import accuracy

CLASSES = ("neutral", "angry", "happy")


def draw(clips: int, speakers: int, seed: int = 0) -> pd.DataFrame:
    """Clips of speakers whose emotions are more or less hard to hear, judged by two runs, `b` the better."""
    rng = np.random.default_rng(seed)
    names = np.array(CLASSES)
    speaker = rng.integers(speakers, size=clips)
    ease = rng.uniform(0.1, 0.9, speakers)[speaker]
    actual = names[rng.integers(3, size=clips)]
    guess = names[rng.integers(3, size=clips)]
    luck = rng.random(clips)
    return pd.DataFrame(
        {
            "actual": actual,
            "a": np.where(luck < ease - 0.1, actual, guess),
            "b": np.where(luck < ease + 0.1, actual, guess),
            "speaker": [f"s{number}" for number in speaker],
        }
    )


def weighted_f1(actual, predicted) -> float:
    """Literally: the F1 of each class, weighted by how often it is a label."""
    total = 0.0
    for name in CLASSES:
        hits = ((actual == name) & (predicted == name)).sum()
        total += (actual == name).mean() * 2 * hits / max((actual == name).sum() + (predicted == name).sum(), 1)
    return total


def slow_interval(table: pd.DataFrame, statistic, by: str | None, repeats: int = 1000) -> np.ndarray:
    """Resample clips, or the groups they belong to, with replacement; quantiles of the statistic."""
    rng = np.random.default_rng(1)
    groups = table[by] if by else pd.Series(range(len(table)))
    units = [np.flatnonzero(groups == name) for name in groups.unique()]
    actual, a, b = (table[name].to_numpy(str) for name in ("actual", "a", "b"))
    values = []
    for _ in range(repeats):
        at = np.concatenate([units[number] for number in rng.integers(len(units), size=len(units))])
        values.append(statistic(actual[at], a[at], b[at]))
    return np.quantile(values, [0.025, 0.975])


@pytest.mark.parametrize("by", [None, "speaker"])
def test_the_interval_equals_a_literal_bootstrap(by):
    table = draw(clips=120, speakers=25)
    groups = table[by] if by else None
    interval = bootstrap_interval(table["actual"], table["a"], CLASSES, groups=groups, repeats=4000)
    expected = slow_interval(table, lambda actual, a, b: weighted_f1(actual, a), by)
    assert interval.value == pytest.approx(weighted_f1(table["actual"], table["a"]))
    np.testing.assert_allclose([interval.low, interval.high], expected, atol=0.015)


@pytest.mark.parametrize("by", [None, "speaker"])
def test_the_paired_interval_equals_a_literal_bootstrap(by):
    table = draw(clips=120, speakers=25)

    def difference(actual, a, b):
        return weighted_f1(actual, b) - weighted_f1(actual, a)

    groups = table[by] if by else None
    interval = paired_bootstrap(table["actual"], [table["a"]], [table["b"]], CLASSES, groups=groups, repeats=4000)
    assert interval.value == pytest.approx(difference(table["actual"], table["a"], table["b"]))
    np.testing.assert_allclose([interval.low, interval.high], slow_interval(table, difference, by), atol=0.015)


def test_groups_whose_clips_stand_or_fall_together_widen_the_interval():
    table = draw(clips=400, speakers=12)
    by_clip = bootstrap_interval(table["actual"], table["a"], CLASSES)
    by_group = bootstrap_interval(table["actual"], table["a"], CLASSES, groups=table["speaker"])
    assert by_group.high - by_group.low > 1.3 * (by_clip.high - by_clip.low)


def test_clips_without_a_group_are_groups_of_their_own():
    table = draw(clips=200, speakers=10)
    known = table["speaker"].where(table.index < 100, None)
    named = known.fillna(table.index.to_series().astype(str))
    some, all_named = (
        bootstrap_interval(table["actual"], table["a"], CLASSES, groups=groups) for groups in (known, named)
    )
    assert some == all_named


def test_a_run_does_not_differ_from_itself():
    table = draw(clips=100, speakers=10)
    same = paired_bootstrap(table["actual"], [table["a"]], [table["a"]], CLASSES)
    assert (same.value, same.low, same.high) == (0.0, 0.0, 0.0)


def test_another_metric_and_another_confidence_are_honoured():
    table = draw(clips=100, speakers=10)
    wide, narrow = (
        bootstrap_interval(table["actual"], table["a"], CLASSES, metric=accuracy, confidence=level)
        for level in (0.99, 0.8)
    )
    assert wide.value == narrow.value == (table["actual"] == table["a"]).mean()
    assert wide.low < narrow.low < narrow.high < wide.high


def test_a_seed_fixes_the_interval():
    table = draw(clips=100, speakers=10)
    first, again, other = (bootstrap_interval(table["actual"], table["a"], CLASSES, seed=seed) for seed in (3, 3, 4))
    assert first == again != other


def test_coverage_is_near_what_the_interval_claims():
    """Half the labels are guessed right: over many draws, the interval of accuracy holds the true .5 + .5 / 3."""
    covered = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        actual = np.array(CLASSES)[rng.integers(3, size=150)]
        predicted = np.where(rng.random(150) < 0.5, actual, np.array(CLASSES)[rng.integers(3, size=150)])
        interval = bootstrap_interval(actual, predicted, CLASSES, metric=accuracy, repeats=400, seed=seed)
        covered += interval.low <= 2 / 3 <= interval.high
    assert 0.90 <= covered / 200 <= 0.99


def test_a_large_test_set_takes_no_time():
    table = draw(clips=20_000, speakers=1500)
    start = time.perf_counter()
    bootstrap_interval(table["actual"], table["a"], CLASSES)
    paired_bootstrap(table["actual"], [table["a"]], [table["b"]], CLASSES, groups=table["speaker"])
    assert time.perf_counter() - start < 5


def runs_of_equal_recipes(seed: int, runs: int) -> tuple[list[str], list[list[str]], list[list[str]]]:
    """Labels of 300 clips, and what runs of two recipes say whose accuracy is .6 on average, but varies by seed."""
    rng = np.random.default_rng(seed)
    actual = np.array(CLASSES)[rng.integers(3, size=300)]
    wrong = np.array(CLASSES)[(pd.Index(CLASSES).get_indexer(actual) + rng.integers(1, 3, size=300)) % 3]
    rights = rng.random((2, runs, 300)) < rng.normal(0.6, 0.08, (2, runs, 1))
    a, b = ([list(np.where(right, actual, wrong)) for right in side] for side in rights)
    return list(actual), a, b


def test_several_runs_cover_the_draw_of_seeds_too():
    covered = {"clips": 0, "clips and seeds": 0}
    for seed in range(150):
        actual, a, b = runs_of_equal_recipes(seed, runs=5)
        both = paired_bootstrap(actual, a, b, CLASSES, metric=accuracy, repeats=400, seed=seed)
        one = paired_bootstrap(actual, a[:1], b[:1], CLASSES, metric=accuracy, repeats=400, seed=seed)
        covered["clips and seeds"] += both.low <= 0 <= both.high
        covered["clips"] += one.low <= 0 <= one.high
    assert covered["clips"] / 150 < 0.75
    assert 0.88 <= covered["clips and seeds"] / 150 <= 0.99


def test_the_mean_of_few_runs_varies_as_much_as_theory_says():
    scores = np.tile([0.70, 0.72, 0.77], (20_000, 1))
    drawn = _mean_of_drawn(scores, np.random.default_rng(0))
    assert drawn.var() == pytest.approx(scores[0].var(ddof=1) / 3, rel=0.05)
    assert drawn.mean() == pytest.approx(scores[0].mean(), abs=1e-3)


def test_of_one_group_the_clips_are_drawn():
    """One speaker resampled is that speaker: an interval of no width would claim certainty."""
    labels = ["a", "b"] * 20
    predicted = ["a"] * 30 + ["b"] * 10
    alone = bootstrap_interval(labels, predicted, ("a", "b"), groups=pd.Series(["s"] * 40), repeats=500)
    assert alone == bootstrap_interval(labels, predicted, ("a", "b"), groups=pd.Series(range(40)), repeats=500)
    assert alone.low < alone.value < alone.high
