"""Percentile bootstrap intervals for scores that follow from a confusion matrix.

Resampling N clips and counting their confusion matrix is the same as drawing the counts from a multinomial
distribution, so a resample costs one draw over the distinct kinds of unit and no pass over the clips.
The unit is the clip, or where groups are known the group (speaker, source video): clips of a group are not
independent, and an interval that takes them for such is too narrow (Field & Welsh, 'Bootstrapping clustered data',
JRSS B 2007). With few groups, say under twenty, it stays on the narrow side.
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


@dataclass(frozen=True)
class Interval:
    """A score and its percentile interval."""

    value: float
    low: float
    high: float


def bootstrap_interval(
    labels: Sequence[str] | pd.Series,
    predicted: Sequence[str] | pd.Series,
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
    cells = _codes(labels, classes) * len(classes) + _codes(predicted, classes)
    counts, drawn = _resample(cells, len(classes) ** 2, groups, repeats, seed)
    shape = (-1, len(classes), len(classes))
    return _interval(metric(counts.reshape(shape))[0], metric(drawn.reshape(shape)), confidence)


def paired_bootstrap(
    labels: Sequence[str] | pd.Series,
    predicted_a: Sequence[str] | pd.Series,
    predicted_b: Sequence[str] | pd.Series,
    classes: Sequence[str],
    *,
    groups: pd.Series | None = None,
    metric: Metric = weighted_f1,
    repeats: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Interval of the difference `B - A` of a score, both runs scored on the same resampled clips.

    It covers the draw of the clips, not that of the training seed: two runs of one recipe may differ by more.
    """
    size = len(classes)
    cells = (_codes(labels, classes) * size + _codes(predicted_a, classes)) * size + _codes(predicted_b, classes)
    counts, drawn = _resample(cells, size**3, groups, repeats, seed)

    def difference(joint: Array) -> Array:
        joint = joint.reshape(-1, size, size, size)  # [R, actual, predicted by A, predicted by B]
        return metric(joint.sum(2)) - metric(joint.sum(3))

    return _interval(difference(counts)[0], difference(drawn), confidence)


def _codes(names: Sequence[str] | pd.Series, classes: Sequence[str]) -> NDArray[np.int64]:
    return np.asarray(pd.Index(classes).get_indexer(pd.Index(names)), dtype=np.int64)


def _resample(
    cells: NDArray[np.int64], size: int, groups: pd.Series | None, repeats: int, seed: int
) -> tuple[Array, Array]:
    """Counts of each of `size` cells in the sample, [1, size], and in each of the resamples, [repeats, size]."""
    kinds, times = _kinds(cells, size, groups)
    total = times.sum()
    draws = np.random.default_rng(seed).multinomial(total, times / total, size=repeats)
    return times[None] @ kinds, draws @ kinds


def _kinds(cells: NDArray[np.int64], size: int, groups: pd.Series | None) -> tuple[Array, NDArray[np.int64]]:
    """The distinct units to draw from: what each holds of every cell, [U, size], and how many there are of it, [U]."""
    if groups is None:
        found, times = np.unique(cells, return_counts=True)
        return np.eye(size)[found], times
    codes, names = pd.factorize(groups)
    alone = codes < 0
    codes[alone] = len(names) + np.arange(alone.sum())
    units = np.zeros((codes.max() + 1, size))
    np.add.at(units, (codes, cells), 1)
    return np.unique(units, axis=0, return_counts=True)


def _interval(value: float, resampled: Array, confidence: float) -> Interval:
    low, high = np.quantile(resampled, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(value), float(low), float(high))
