"""From one vector a crop to one vector a clip."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mer.encoders.base import Features


def pooled_width(width: int, pooling: str) -> int:
    """Width of the embedding that `pool` makes of vectors of `width`."""
    return 2 * width if pooling == "mean_std" else width


def pool(values: NDArray[np.float32], pooling: str, keep_frames: bool) -> Features:
    """Features of `values` [n, D], n > 0: the mean over crops, for `mean_std` followed by the standard deviation."""
    parts = [values.mean(0)] if pooling == "mean" else [values.mean(0), values.std(0)]
    kept = values.astype(np.float16) if keep_frames else None
    return Features(np.concatenate(parts).astype(np.float32), frames=len(values), ok=True, values=kept)
