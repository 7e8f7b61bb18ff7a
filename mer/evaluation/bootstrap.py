"""Percentile bootstrap intervals for scores that follow from a confusion matrix.

Resampling N clips and counting their confusion matrix is the same as drawing the counts from a multinomial
distribution, so a resample costs one draw over the distinct kinds of unit and no pass over the clips.
The unit is the clip, or where groups are known the group (speaker, source video): clips of a group are not
independent, and an interval that takes them for such is too narrow (Field & Welsh, 'Bootstrapping clustered data',
JRSS B 2007). With few groups, say under twenty, it stays on the narrow side; with one alone, its clips are drawn,
which says nothing of other groups.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from mer.evaluation.metrics import Array, weighted_f1

Metric = Callable[[ArrayLike], Array]
"""From confusion matrices [..., C, C] to scores [...]."""

Names = Sequence[str] | pd.Series
"""Class names, [N]."""

AT_ONCE = 200
"""Resamples drawn at once, so that memory does not grow with their number times that of the clips."""


@dataclass(frozen=True)
class Interval:
    """A score and its percentile interval."""

    value: float
    low: float
    high: float


def bootstrap_interval(
    labels: Names,
    predicted: Names,
    classes: Sequence[str],
    *,
    groups: pd.Series | None = None,
    metric: Metric = weighted_f1,
    repeats: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Interval of a score.

    Args:
        labels, predicted: class names, [N].
        groups: group of each clip, [N]; a clip without one (null) is a group of its own. None resamples clips.
    """
    counts, drawn = _resample(_cells(labels, [predicted], classes), len(classes), groups, repeats, seed)
    return _interval(metric(counts)[0, 0], metric(drawn)[:, 0], confidence)


def paired_bootstrap(
    labels: Names,
    runs_a: Sequence[Names],
    runs_b: Sequence[Names],
    classes: Sequence[str],
    *,
    groups: pd.Series | None = None,
    metric: Metric = weighted_f1,
    repeats: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Interval of the difference `B - A` of a score, all runs scored on the same resampled clips.

    With several runs of a recipe, that is of other training seeds, it is the difference of their means, and the
    interval covers the draw of seeds, too: n - 1 of n runs are drawn with replacement, which is right for few (Rao &
    Wu, 'Resampling inference with complex survey data', JASA 1988). With one run a side it covers the draw of the
    clips alone: two runs of one recipe may differ by more.

    Args:
        labels: class names, [N].
        runs_a, runs_b: what each run predicted, [N] class names each.
        groups: as in `bootstrap_interval`.
    """
    counts, drawn = _resample(_cells(labels, [*runs_a, *runs_b], classes), len(classes), groups, repeats, seed)
    scores, resampled = metric(counts)[0], metric(drawn)  # [S], [R, S]
    rng = np.random.default_rng([seed, 1])
    a, b = slice(len(runs_a)), slice(len(runs_a), None)
    difference = _mean_of_drawn(resampled[:, b], rng) - _mean_of_drawn(resampled[:, a], rng)
    return _interval(scores[b].mean() - scores[a].mean(), difference, confidence)


def _mean_of_drawn(scores: Array, rng: np.random.Generator) -> Array:
    """Mean [R] of n - 1 of the n runs in each row of [R, n], drawn with replacement; one run stands for itself."""
    repeats, runs = scores.shape
    if runs == 1:
        return scores[:, 0]
    return np.take_along_axis(scores, rng.integers(runs, size=(repeats, runs - 1)), axis=1).mean(axis=1)


def _cells(labels: Names, runs: Sequence[Names], classes: Sequence[str]) -> NDArray[np.int64]:
    """Where each clip falls in the confusion matrix of each run, [N, S]."""
    actual = _codes(labels, classes)
    return np.stack([actual * len(classes) + _codes(predicted, classes) for predicted in runs], axis=1)


def _codes(names: Names, classes: Sequence[str]) -> NDArray[np.int64]:
    return np.asarray(pd.Index(classes).get_indexer(pd.Index(names)), dtype=np.int64)


def _resample(
    cells: NDArray[np.int64], classes: int, groups: pd.Series | None, repeats: int, seed: int
) -> tuple[Array, Array]:
    """Confusion matrices of each run, in the sample [1, S, C, C] and in each of the resamples [R, S, C, C]."""
    kinds, times = _kinds(cells, classes**2, groups)
    shape = (-1, cells.shape[1], classes, classes)
    rng, total = np.random.default_rng(seed), times.sum()
    parts = [
        rng.multinomial(total, times / total, size=min(AT_ONCE, repeats - start)) @ kinds
        for start in range(0, repeats, AT_ONCE)
    ]
    return (times @ kinds).reshape(shape), np.concatenate(parts).reshape(shape)


def _kinds(
    cells: NDArray[np.int64], size: int, groups: pd.Series | None
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The distinct units to draw from: what each holds of every cell of every run, [U, S * size], and how many there
    are of it, [U]."""
    runs = np.arange(cells.shape[1])
    if groups is None:
        found, times = np.unique(cells, axis=0, return_counts=True)
        units = np.zeros((len(found), len(runs), size))
        units[np.arange(len(found))[:, None], runs, found] = 1
        return units.reshape(len(found), -1), times
    codes = _group_codes(groups)
    units = np.zeros((codes.max() + 1, len(runs), size))
    np.add.at(units, (codes[:, None], runs, cells), 1)
    return np.unique(units.reshape(len(units), -1), axis=0, return_counts=True)


def bootstrap_sums(
    sums: Array, *, groups: pd.Series | None = None, repeats: int = 2000, seed: int = 0
) -> tuple[Array, Array]:
    """Sums over the sample [K] and over each of the resamples [R, K], for scores that follow from such sums.

    Args:
        sums: what each clip adds, [N, K], N > 0.
        groups: as in `bootstrap_interval`.
    """
    if groups is not None:
        codes = _group_codes(groups)
        units = np.zeros((codes.max() + 1, sums.shape[1]))
        np.add.at(units, codes, sums)
    else:
        units = sums
    rng, even = np.random.default_rng(seed), np.full(len(units), 1 / len(units))
    parts = [
        rng.multinomial(len(units), even, size=min(AT_ONCE, repeats - start)) @ units
        for start in range(0, repeats, AT_ONCE)
    ]
    return sums.sum(axis=0), np.concatenate(parts)


def percentile_interval(value: float | Array, resampled: Array, confidence: float) -> Interval:
    """A score with the interval that its resamples [R] span."""
    return _interval(float(value), resampled, confidence)


def _group_codes(groups: pd.Series) -> NDArray[np.int64]:
    """Groups as codes [N]; a clip without one is a group of its own, and so is each where all are of one."""
    codes, names = pd.factorize(groups)
    if len(names) == 1 and (codes == 0).all():
        return np.arange(len(codes))
    alone = codes < 0
    codes[alone] = len(names) + np.arange(alone.sum())
    return np.asarray(codes, np.int64)


def _interval(value: float, resampled: Array, confidence: float) -> Interval:
    low, high = np.quantile(resampled, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(value), float(low), float(high))
