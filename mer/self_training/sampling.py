"""Which clips a member sees in which batch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def repeats(classes: NDArray[np.int64], exponent: float) -> NDArray[np.float64]:
    """How often an epoch shows each clip, float [n]: (largest / own class size) ** exponent.

    Labels and pseudo-labels are counted apart, each by a call of their own.

    Args:
        classes: int64 [n].
        exponent: 1 makes every class as large as the largest, 0 repeats nothing.
    """
    counts = np.bincount(classes)
    return (counts.max(initial=0) / counts[classes]) ** exponent


def unlabeled_slots(size: int, share: float, labeled: int, unlabeled: int) -> int:
    """How many of a batch's `size` places go to unlabeled clips: a `share` of them, but none is shown more often than a
    labeled clip is; always at least one place is left to labels."""
    if not unlabeled:
        return 0
    return min(size - 1, round(size * min(share, unlabeled / (unlabeled + labeled))))


def batch_order(times: NDArray[np.float64], length: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """A sequence of clips, epoch after shuffled epoch, cut to `length`.

    A clip to be shown 2.3 times an epoch is shown twice, and a third time with probability 0.3.
    """
    parts: list[NDArray[np.int64]] = [np.zeros(0, np.int64)]
    number = 0
    while number < length:
        count = np.floor(times + rng.random(len(times))).astype(np.int64)
        parts.append(rng.permutation(np.repeat(np.arange(len(times)), count)))
        number += len(parts[-1])
    return np.concatenate(parts)[:length]
