"""Which judgements of unlabeled clips become pseudo-labels."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from mer.params import SelfTrainParams


@dataclass(frozen=True)
class PseudoLabels:
    """Accepted clips: `rows` int64 [n] of the feature set, `targets` float32 [n, C]; `weights`, `confidence` and
    `agreeing` (share of the judging members with the same label) float32 [n]."""

    rows: NDArray[np.int64]
    targets: NDArray[np.float32]
    weights: NDArray[np.float32]
    confidence: NDArray[np.float32]
    agreeing: NDArray[np.float32]

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
        settings: `published` takes the fixed thresholds, `precision` the lowest one whose out-of-fold pseudo-labels of
            that class would be right often enough; a class in which none is gets no pseudo-labels.
        classes: names of the C classes.
        probabilities, labels: calibrated and out-of-fold, [n, C] and int64 [n].

    """
    if settings.thresholds == "published":
        return np.array(
            [settings.low_threshold if name in settings.low_classes else settings.threshold for name in classes],
            np.float32,
        )
    return np.array(
        [_lowest_precise(probabilities, labels, c, settings.precision) for c in range(len(classes))], np.float32
    )


def _lowest_precise(
    probabilities: NDArray[np.float32], labels: NDArray[np.int64], label: int, precision: float
) -> float:
    chosen = probabilities.argmax(axis=1) == label
    confidence, right = probabilities[chosen, label], labels[chosen] == label
    order = np.argsort(-confidence, kind="stable")
    share = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    enough = np.flatnonzero(share >= precision)
    return float(confidence[order[enough[-1]]]) if len(enough) else np.inf


def accept(
    rows: NDArray[np.int64],
    probabilities: NDArray[np.float32],
    agreeing: NDArray[np.float32],
    thresholds: NDArray[np.float32],
) -> PseudoLabels:
    """Keep the clips whose best class reaches its threshold; the target is that class."""
    label = probabilities.argmax(axis=1)
    confidence = probabilities.max(axis=1)
    targets = np.eye(probabilities.shape[1], dtype=np.float32)[label]
    return PseudoLabels(rows, targets, np.ones_like(confidence), confidence, agreeing).take(
        confidence >= thresholds[label]
    )
