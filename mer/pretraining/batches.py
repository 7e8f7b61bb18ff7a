"""Which clips are contrasted with each other: any, or those of one speaker."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LEAST_OF_A_GROUP = 8
"""Groups with fewer clips, and clips of no known group, are contrasted with each other."""


def make_batches(
    rows: NDArray[np.int64], groups: NDArray[np.int64] | None, size: int, rng: np.random.Generator
) -> list[NDArray[np.int64]]:
    """The batches of one epoch, in random order.

    Args:
        rows: int64 [n], clips to train on.
        groups: codes int64 [N] of all clips, -1 where unknown. Every batch then holds clips of one group, so that
            telling speakers apart is no way to find a clip's partner. None mixes all clips.
        size: clips a batch at most; a group's clips are dealt to batches of about the same size.
        rng: of the order.

    Returns:
        Rows of each batch; every row is in one of them.
    """
    pools = [rows]
    if groups is not None:
        codes, counts = np.unique(groups[rows], return_counts=True)
        large = [code for code, count in zip(codes, counts, strict=True) if code >= 0 and count >= LEAST_OF_A_GROUP]
        pools = [rows[groups[rows] == code] for code in large] + [rows[~np.isin(groups[rows], large)]]
    batches = [
        batch
        for pool in pools
        if len(pool)
        for batch in np.array_split(rng.permutation(pool), max(1, -(-len(pool) // size)))
    ]
    return [batches[i] for i in rng.permutation(len(batches))]
