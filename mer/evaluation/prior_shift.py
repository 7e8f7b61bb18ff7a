"""How common the classes are in another corpus, estimated from predictions alone.

Saerens, Latinne & Decaestecker, 'Adjusting the outputs of a classifier to new a priori probabilities' (Neural
Computation 2002): EM over the shares, which is sound where the probabilities are calibrated and only the shares have
changed. On another corpus neither is sure, which is why a weak prior of a few clips holds the estimate to the shares of
training, and why evaluation shows what the correction does to the score beside the estimate.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

ROUNDS = 1000
ENOUGH = 1e-9
PRIOR_SHARE = 0.1
"""What the shares of training count for, as a share of the clips."""


def estimate_shares(probabilities: Array, trained: Array) -> Array:
    """Shares [C] of the classes among N clips.

    Args:
        probabilities: [N, C], calibrated for clips whose classes are as common as in training.
        trained: [C], the shares of training.
    """
    if not len(probabilities):
        return trained
    shares = trained
    for _ in range(ROUNDS):
        found = adjusted(probabilities, trained, shares).mean(axis=0)
        found = (found + PRIOR_SHARE * trained) / (1 + PRIOR_SHARE)
        if np.abs(found - shares).max() < ENOUGH:
            return found
        shares = found
    return shares


def adjusted(probabilities: Array, trained: Array, shares: Array) -> Array:
    """Probabilities [N, C] as they are where the classes have other shares than in training."""
    weighted = probabilities * (shares / np.maximum(trained, 1e-12))
    return np.asarray(weighted / np.maximum(weighted.sum(axis=1, keepdims=True), 1e-12))
