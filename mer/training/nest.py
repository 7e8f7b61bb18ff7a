"""Who trains on what, so that nothing is judged by a model that saw its label.

For every outer fold k there is a nest: teachers (k, j), one for each other fold j, that train on the labels of neither
k nor j. Fold j's labels calibrate the nest with logits of clips that (k, j) never saw; fold k's labels take no part in
anything that belongs to nest k: not in its teachers, temperatures, thresholds, voting weights or pseudo-labels. Its
students train on all labels but fold k's and on the nest's pseudo-labels, and give fold k's out-of-fold predictions.
One more nest (`WHOLE`) leaves no fold out: its students are the ones that predict new clips.

Unlabeled clips are dealt to the folds j as well: once pseudo-labels are trained on, teacher (k, j) does not train on
those of part j, and is the one to judge that part. What stays dependent: from the second pass on, (k, j) trains on
pseudo-labels given by (k, i), which saw fold j's labels; so temperatures and thresholds of nest k rest on logits that
fold j's labels reached by that way. Fold k's never do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mer.training.batches import TrainingSet
from mer.training.features import FeatureSet
from mer.training.pseudo_labels import PseudoLabels

WHOLE = -1
"""The outer fold of the nest that leaves no fold out."""


@dataclass(frozen=True)
class Member:
    """A model of the nest of fold `outer`; `inner` is None for a student."""

    outer: int
    inner: int | None
    seed: int

    @property
    def excluded(self) -> tuple[int, ...]:
        """Folds whose labels it must not see."""
        return tuple(sorted({self.outer, WHOLE if self.inner is None else self.inner} - {WHOLE}))


@dataclass(frozen=True)
class Nest:
    """One outer fold's view: `labeled` rows that it may learn from and their inner `folds`; `unlabeled` rows and the
    inner fold that each is dealt to (`parts`)."""

    outer: int
    inners: tuple[int, ...]
    labeled: NDArray[np.int64]
    folds: NDArray[np.int64]
    unlabeled: NDArray[np.int64]
    parts: NDArray[np.int64]

    def teachers(self, seeds: int) -> list[Member]:
        """One a fold left out and seed."""
        return [Member(self.outer, inner, seed) for inner in self.inners for seed in range(seeds)]

    def students(self, seeds: int) -> list[Member]:
        """One a seed."""
        return [Member(self.outer, None, seed) for seed in range(seeds)]


def make_nests(features: FeatureSet, labeled: NDArray[np.int64], seed: int) -> list[Nest]:
    """A nest for every fold in use, and the whole one last."""
    folds = features.folds[labeled]
    unlabeled = np.flatnonzero(features.split == "unlabeled")
    deal = np.random.default_rng((seed, 1)).permutation(len(unlabeled))
    used = [int(fold) for fold in np.unique(folds)]
    nests = []
    for outer in [*used, WHOLE]:
        inners = tuple(fold for fold in used if fold != outer)
        own = folds != outer
        parts = np.asarray(inners)[deal % len(inners)]
        nests.append(Nest(outer, inners, labeled[own], folds[own], unlabeled, parts))
    return nests


def training_set(
    member: Member, nest: Nest, labels: NDArray[np.int64], pseudo: PseudoLabels | None, seed: Sequence[int]
) -> TrainingSet:
    """Labels of the nest's other folds, and those pseudo-labels that the member will not be asked to judge.

    Args:
        member: who learns.
        nest: its nest.
        labels: int64 [N], of all clips.
        pseudo: the nest's, or None.
        seed: of the run and the round; the member's own is added.
    """
    rows = nest.labeled[nest.folds != member.inner]
    known, weights, added = labels[rows], np.ones(len(rows), np.float32), np.zeros(len(rows), bool)
    if pseudo is not None:
        judged = np.zeros(len(labels), bool)
        judged[nest.unlabeled[nest.parts == member.inner]] = True
        joined = pseudo.take(~judged[pseudo.rows])
        rows, known = np.concatenate([rows, joined.rows]), np.concatenate([known, joined.label])
        weights = np.concatenate([weights, joined.weights])
        added = np.concatenate([added, np.ones(len(joined), bool)])
    return TrainingSet(rows, known, weights, added, (*seed, member.seed, *member.excluded))
