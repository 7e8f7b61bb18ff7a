"""Which clips a member sees in which batch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def repeats(
    classes: NDArray[np.int64], pseudo: NDArray[np.bool_], exponent: float, pseudo_share: float
) -> NDArray[np.float64]:
    """How often an epoch shows each clip: (largest / own class size) ** exponent, pseudo-labels less if they are many.

    Args:
        classes: int64 [n], labels and pseudo-labels.
        pseudo: bool [n], which are pseudo-labels.
        exponent: 1 makes every class as large as the largest, 0 repeats nothing.
        pseudo_share: at most this share of what is shown are pseudo-labels; below 1.

    Returns:
        float [n].
    """
    counts = np.bincount(classes)
    times = (counts.max() / counts[classes]) ** exponent
    labeled, rest = times[~pseudo].sum(), times[pseudo].sum()
    if rest > 0:
        times[pseudo] *= min(1.0, labeled * pseudo_share / (1 - pseudo_share) / rest)
    return times


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
