"""Scores of a set of predictions, all read off one confusion matrix.

The matrix functions take any number of leading dimensions, so that a bootstrap scores thousands of resamples at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

Array = NDArray[np.float64]


@dataclass(frozen=True)
class ClassScores:
    """Scores of one class; a rate without a denominator is 0. `support` counts the clips that have its label."""

    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class Scores:
    """Scores of a set of predictions, the classes in corpus order."""

    weighted_f1: float
    accuracy: float
    macro_f1: float
    uar: float
    clips: int
    per_class: dict[str, ClassScores]


def score(labels: ArrayLike, predicted: ArrayLike, classes: Sequence[str]) -> Scores:
    """Score predicted against actual class names, both [N], N > 0."""
    confusion = confusion_matrix(labels, predicted, labels=list(classes))
    rates = precision_recall_fscore_support(labels, predicted, labels=list(classes), zero_division=0.0)
    return Scores(
        weighted_f1=float(weighted_f1(confusion)),
        accuracy=float(accuracy(confusion)),
        macro_f1=float(macro_f1(confusion)),
        uar=float(unweighted_recall(confusion)),
        clips=int(confusion.sum()),
        per_class={
            name: ClassScores(float(precision), float(recall), float(f1), int(support))
            for name, precision, recall, f1, support in zip(classes, *rates, strict=True)
        },
    )


def weighted_f1(confusion: ArrayLike) -> Array:
    """Mean F1 of the classes, weighted by their support; confusion [..., C actual, C predicted] -> [...]."""
    f1, support, _ = _class_f1(confusion)
    return (f1 * support).sum(-1) / support.sum(-1)


def macro_f1(confusion: ArrayLike) -> Array:
    """Plain mean F1 of the classes that occur, as a label or a prediction; confusion [..., C, C] -> [...]."""
    f1, support, predicted = _class_f1(confusion)
    occurs = support + predicted > 0
    return (f1 * occurs).sum(-1) / occurs.sum(-1)


def accuracy(confusion: ArrayLike) -> Array:
    """Share of clips on the diagonal; confusion [..., C, C] -> [...]."""
    counts = np.asarray(confusion, dtype=np.float64)
    return np.trace(counts, axis1=-2, axis2=-1) / counts.sum((-2, -1))


def unweighted_recall(confusion: ArrayLike) -> Array:
    """Plain mean recall of the classes that have clips (UAR); confusion [..., C, C] -> [...]."""
    counts = np.asarray(confusion, dtype=np.float64)
    hits, support = np.diagonal(counts, axis1=-2, axis2=-1), counts.sum(-1)  # [..., C]
    return np.asarray((hits / np.maximum(support, 1)).sum(-1) / (support > 0).sum(-1))


def _class_f1(confusion: ArrayLike) -> tuple[Array, Array, Array]:
    counts = np.asarray(confusion, dtype=np.float64)
    hits = np.diagonal(counts, axis1=-2, axis2=-1)  # [..., C]
    support, predicted = counts.sum(-1), counts.sum(-2)
    # F1 = 2 TP / (2 TP + FP + FN), and the denominator is support + predicted; a class that never occurs scores 0.
    return 2 * hits / np.maximum(support + predicted, 1), support, predicted
