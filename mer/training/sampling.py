"""Which clips a member sees in which batch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def repeats(classes: NDArray[np.int64], exponent: float) -> NDArray[np.float64]:
    """How often an epoch shows each clip: (largest / own class size) ** exponent.

    Args:
        classes: int [n].
        exponent: 1 makes every class as large as the largest, 0 repeats nothing.

    Returns:
        float [n], at least 1.
    """
    counts = np.bincount(classes)
    return (counts.max() / counts[classes]) ** exponent


def batch_order(times: NDArray[np.float64], length: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """A sequence of clips, epoch after shuffled epoch, cut to `length`.

    A clip to be shown 2.3 times an epoch is shown twice, and a third time with probability 0.3.
    """
    parts: list[NDArray[np.int64]] = []
    number = 0
    while number < length:
        count = np.floor(times + rng.random(len(times))).astype(np.int64)
        parts.append(rng.permutation(np.repeat(np.arange(len(times)), count)))
        number += len(parts[-1])
    return np.concatenate(parts)[:length]
