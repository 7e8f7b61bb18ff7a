"""Stratified folds, as scikit-learn's StratifiedKFold and StratifiedGroupKFold (shuffled) deal them, bit for bit.

Written out here because importing scikit-learn costs the stage that deals folds most of its time.
"""

from __future__ import annotations

from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray


def deal(labels: NDArray[Any], folds: int, seed: int) -> NDArray[np.int64]:
    """A fold for each of N labels: as many of every class in each fold as in the others, give or take one."""
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    classes = np.argsort(np.argsort(first))[inverse]  # numbered as they come
    order, count = np.sort(classes), len(first)
    share = np.array([np.bincount(order[fold::folds], minlength=count) for fold in range(folds)])
    draw, result = np.random.RandomState(seed), np.empty(len(labels), np.int64)
    for number in range(count):
        dealt = np.arange(folds).repeat(share[:, number])
        draw.shuffle(dealt)
        result[classes == number] = dealt
    return result


def deal_groups(labels: NDArray[Any], groups: NDArray[Any], folds: int, seed: int) -> NDArray[np.int64]:
    """A fold for each of N clips, whole groups together: uneven ones first, each where it evens out most."""
    _, classes, totals = np.unique(labels, return_inverse=True, return_counts=True)
    names, of = np.unique(groups, return_inverse=True)
    counts = np.zeros((len(names), len(totals)))  # [G, C]
    np.add.at(counts, (of, classes), 1)
    order = np.arange(len(names))
    np.random.RandomState(seed).shuffle(order)
    counts = counts[order]
    held = np.zeros((folds, len(totals)))
    fold_of = np.empty(len(names), np.int64)
    for group in np.argsort(-np.std(counts, axis=1), kind="stable"):
        fold = _best(held, counts[group], totals)
        held[fold] += counts[group]
        fold_of[order[group]] = fold
    return fold_of[of]


def _best(held: NDArray[np.float64], more: NDArray[np.float64], totals: NDArray[np.int64]) -> int:
    """The fold that evens the classes out most when it takes `more`; of equals, the one with fewest clips."""
    best, least, fewest = 0, inf, inf
    for fold in range(len(held)):
        held[fold] += more
        spread = float(np.mean(np.std(held / totals, axis=0)))
        held[fold] -= more
        clips = float(held[fold].sum())
        if spread < least or (abs(spread - least) <= 1e-8 + 1e-5 * abs(least) and clips < fewest):
            best, least, fewest = fold, spread, clips
    return best
