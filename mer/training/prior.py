"""The share of each class among unlabeled clips, estimated from a classifier's judgements of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls


def prior_by_em(
    probabilities: NDArray[np.float32], trained_prior: NDArray[np.float64], rounds: int = 200
) -> NDArray[np.float64]:
    """Saerens et al. (2002): re-weigh calibrated probabilities until prior and mean posterior agree.

    Args:
        probabilities: of the unlabeled clips, [n, C].
        trained_prior: [C], the mean of such probabilities where the classifier was calibrated.
        rounds: of EM.

    Returns:
        [C], summing to one; `trained_prior` where there is no clip.
    """
    prior = trained_prior
    for _ in range(rounds if len(probabilities) else 0):
        prior = shift_prior(probabilities, trained_prior, prior).mean(axis=0)
    return prior


def prior_by_bbse(
    probabilities: NDArray[np.float32], known: NDArray[np.float32], labels: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Lipton et al. (2018): the class shares that explain, by the out-of-fold confusions, what is predicted.

    Args:
        probabilities: of the unlabeled clips, [n, C].
        known, labels: out-of-fold probabilities [m, C] and labels int64 [m].

    Returns:
        [C], not negative and summing to one.
    """
    classes = known.shape[1]
    own = np.bincount(labels, minlength=classes) / len(labels)
    confusion = np.stack([known[labels == c].sum(axis=0) for c in range(classes)], axis=1) / len(labels)  # [C, C]
    ratio, _ = nnls(confusion, probabilities.mean(axis=0) if len(probabilities) else known.mean(axis=0))
    prior = ratio * own
    return prior / prior.sum() if prior.sum() > 0 else own


def shift_prior(
    probabilities: NDArray[np.float32], old: NDArray[np.float64], new: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Probabilities [n, C] as they would be if classes were as common as in `new` instead of `old` (both [C])."""
    shifted = probabilities * (new / np.maximum(old, 1e-12))
    return shifted / np.maximum(shifted.sum(axis=1, keepdims=True), 1e-12)
