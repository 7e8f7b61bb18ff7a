"""Cross-fitting by excluded sets: which models learn from which labels, so that no decision rests on a label that the
deciding model saw.

A chain is named by the set S of labeled folds that it never sees, in no round: neither their labels nor anything that
was made from them. Chain {} makes the bundle, chain {k} predicts outer fold k. Whatever is decided for chain S
(temperatures, voting weights, strengths, thresholds, gates) is decided by what the chains S + {i} predict of fold i,
for every other fold i. By induction it is a function of the labels outside S alone. Chains are sets: {k, j} serves
outer folds k and j, and is trained once.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from mer.learning.features import FeatureSet, labeled_rows

Chain = tuple[int, ...]
"""The folds that a chain never sees, sorted."""

BUNDLE: Chain = ()


@dataclass(frozen=True)
class CrossFitting:
    """The labeled clips: `rows` int64 [n] of the feature set, their `labels` and `folds` int64 [n], and `soft` labels
    [n, C] to learn from in place of the labels, where votes are known. Decisions and scores go by labels."""

    rows: NDArray[np.int64]
    labels: NDArray[np.int64]
    folds: NDArray[np.int64]
    soft: NDArray[np.float32] | None = None

    @property
    def used(self) -> list[int]:
        """The folds that hold a labeled clip, in order."""
        return [int(fold) for fold in np.unique(self.folds)]

    def chains(self, most: int) -> list[Chain]:
        """All chains that exclude at most so many folds and have one left to learn from, the smallest sets first."""
        most = min(most, len(self.used) - 1)
        return [chain for size in range(most + 1) for chain in combinations(self.used, size)]

    def learned(self, chain: Chain) -> NDArray[np.bool_]:
        """Which labeled clips the chain learns from, bool [n]."""
        return ~np.isin(self.folds, chain)

    def deciding(self, chain: Chain) -> list[tuple[Chain, NDArray[np.int64]]]:
        """The chains whose predictions decide for this one, and the labeled clips (places in `rows`) that each of them
        predicts; empty where one of them would have nothing to learn from."""
        others = [fold for fold in self.used if fold not in chain]
        if len(others) < 2:
            return []
        return [(tuple(sorted((*chain, i))), np.flatnonzero(self.folds == i)) for i in others]


def cross_fitting(features: FeatureSet) -> CrossFitting:
    """The labeled clips that have a fold.

    Raises:
        MerError: there is none, all have one label, or fewer than three folds are in use.
    """
    rows = labeled_rows(features)
    soft = None if features.soft is None else features.soft[rows]
    return CrossFitting(rows, features.labels[rows], features.folds[rows], soft)


def unlabeled_rows(features: FeatureSet, chain: Chain, *, transductive: bool) -> NDArray[np.int64]:
    """The unlabeled clips that a chain may learn from, those of the test split among them where training is
    `transductive`: none of a group whose labels it never sees."""
    splits = ["unlabeled", "test"] if transductive else ["unlabeled"]
    return np.flatnonzero(np.isin(features.split, splits) & ~np.isin(features.folds, chain)).astype(np.int64)
