"""From a vote on unlabeled clips to what the next round's members learn of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mer.params import SelfTrainParams
from mer.self_training.batches import Targets

POOLED_CLIPS = 4.0
"""Clips that the precision of all classes together counts for in the precision of one."""


def make_targets(
    rows: NDArray[np.int64],
    probabilities: NDArray[np.float32],
    agreeing: NDArray[np.float32],
    thresholds: NDArray[np.float32],
    settings: SelfTrainParams,
) -> Targets | None:
    """Soft targets of all clips, or one class for those that are confident enough; None where there is none.

    Args:
        rows: int64 [m], the unlabeled clips.
        probabilities: the vote's, [m, C].
        agreeing: [m], the share of the voting weight that names the vote's own class.
        thresholds: [C], from `class_thresholds`.
        settings: `targets`, `sharpening` of soft ones, and `agreement`: the exponent that makes a weight in the loss of
        the share that agrees.
    """
    weights = (agreeing**settings.agreement).astype(np.float32)
    if settings.targets == "soft":
        sharp = probabilities.astype(np.float64) ** settings.sharpening
        sharp = (sharp / np.maximum(sharp.sum(axis=1, keepdims=True), 1e-30)).astype(np.float32)
        return Targets(rows, sharp, weights, hard=False) if len(rows) else None
    label = probabilities.argmax(axis=1)
    taken = probabilities.max(axis=1, initial=0) >= thresholds[label]
    hard = np.eye(probabilities.shape[1], dtype=np.float32)[label]
    return Targets(rows[taken], hard[taken], weights[taken], hard=True) if taken.any() else None


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
        probabilities, labels: calibrated, of clips that the voters never saw: [n, C] and int64 [n].
    """
    if settings.targets == "soft":
        return np.zeros(len(classes), np.float32)
    if settings.targets == "published":
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
