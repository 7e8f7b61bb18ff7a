"""Which judgements of unlabeled clips become pseudo-labels, and how much each counts."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from mer.params import SelfTrainParams

POOLED_CLIPS = 4.0
"""Clips that the precision of all classes together counts for in the precision of one."""


@dataclass(frozen=True)
class PseudoLabels:
    """Accepted clips: `rows` int64 [n] of the feature set, `label` int64 [n]; `weights`, `confidence` and `agreeing`
    (share of the judging members with the same label) float32 [n]; `round` int64 [n]."""

    rows: NDArray[np.int64]
    label: NDArray[np.int64]
    weights: NDArray[np.float32]
    confidence: NDArray[np.float32]
    agreeing: NDArray[np.float32]
    round: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, index: NDArray[np.bool_]) -> PseudoLabels:
        """Some of them."""
        return PseudoLabels(*(getattr(self, part.name)[index] for part in fields(self)))


def class_thresholds(
    settings: SelfTrainParams,
    classes: tuple[str, ...],
    probabilities: NDArray[np.float32],
    labels: NDArray[np.int64],
) -> NDArray[np.float32]:
    """The confidence that a pseudo-label of each class needs, float32 [C].

    Args:
        settings: `published` takes the fixed thresholds; `precision` the lowest one whose out-of-fold pseudo-labels of
            that class would be right often enough, and none for a class that never is; `soft` takes every clip.
        classes: names of the C classes.
        probabilities, labels: calibrated and out-of-fold, [n, C] and int64 [n].
    """
    if settings.thresholds == "soft":
        return np.zeros(len(classes), np.float32)
    if settings.thresholds == "published":
        low = [name in settings.low_classes for name in classes]
        return np.where(low, settings.low_threshold, settings.threshold).astype(np.float32)
    return _lowest_precise(probabilities, labels, settings.precision)


def _lowest_precise(
    probabilities: NDArray[np.float32], labels: NDArray[np.int64], precision: float
) -> NDArray[np.float32]:
    """Per class, the lowest confidence above which out-of-fold labels are right often enough, [C].

    A few lucky clips are no evidence: the precision of all classes together is smoothed by Laplace's rule, and a class
    starts from it as if it had been seen on `POOLED_CLIPS` clips.
    """
    confidence, chosen = probabilities.max(axis=1), probabilities.argmax(axis=1)
    order = np.argsort(-confidence, kind="stable")
    confidence, chosen = confidence[order], chosen[order]
    right = labels[order] == chosen
    pooled = (np.cumsum(right) + 1) / (np.arange(1, len(order) + 1) + 2)
    limits = np.full(probabilities.shape[1], np.inf, np.float32)
    for c in range(len(limits)):
        own = np.flatnonzero(chosen == c)
        hits = np.cumsum(right[own]) + POOLED_CLIPS * pooled[own]
        last = np.append(np.diff(confidence[own]) < 0, True)[: len(own)]  # of clips with equal confidence
        enough = np.flatnonzero(last & (hits / (np.arange(1, len(own) + 1) + POOLED_CLIPS) >= precision))
        if len(enough):
            limits[c] = confidence[own[enough[-1]]]
    return limits


def accept(
    rows: NDArray[np.int64],
    probabilities: NDArray[np.float32],
    agreeing: NDArray[np.float32],
    thresholds: NDArray[np.float32],
    prior: NDArray[np.float64],
    settings: SelfTrainParams,
    number: int,
) -> PseudoLabels:
    """Choose pseudo-labels among the judged clips.

    Args:
        rows: int64 [n].
        probabilities: calibrated, [n, C].
        agreeing: [n].
        thresholds: [C].
        prior: [C], the expected share of each class; `self_train.quota` is shared out by it.
        settings: `quota`, and whether weights are `soft`.
        number: the round.
    """
    label = probabilities.argmax(axis=1)
    confidence = probabilities.max(axis=1)
    weights = soft_weights(confidence) if settings.thresholds == "soft" else np.ones_like(confidence)
    taken = confidence >= thresholds[label]
    if settings.quota:
        most = np.floor(settings.quota * len(rows) * prior).astype(int)
        for c, limit in enumerate(most):
            own = np.flatnonzero(taken & (label == c))
            taken[own[np.argsort(-confidence[own], kind="stable")][limit:]] = False
    return PseudoLabels(rows, label, weights, confidence, agreeing, np.full(len(rows), number)).take(taken)


def soft_weights(confidence: NDArray[np.float32]) -> NDArray[np.float32]:
    """SoftMatch's weights (Chen et al. 2023, eq. 8): 1 above the mean confidence, falling as a Gaussian below it.

    The Gaussian is as wide as half the confidences' standard deviation, as in the authors' code.
    """
    if not len(confidence):
        return confidence
    below = np.minimum(confidence - confidence.mean(), 0)
    return np.exp(-(below**2) / (2 * max(float(confidence.var()), 1e-12) / 4)).astype(np.float32)
