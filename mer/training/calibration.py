"""Temperature scaling (Guo et al. 2017) of each head on out-of-fold logits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

COLDEST, HOTTEST = 0.05, 20.0
"""Limits of the temperature: out-of-fold logits that are all right, or all wrong, have no best one."""


def fit_temperature(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """The temperature with the least negative log-likelihood.

    Args:
        logits: [n, C], of clips that the model was not trained on.
        labels: int64 [n].

    Returns:
        A number to divide logits by; 1 where there is no clip.
    """
    if not len(labels):
        return 1.0

    def cost(log_temperature: float) -> float:
        scaled = log_softmax(logits.astype(np.float64) / np.exp(log_temperature), axis=1)
        return float(-scaled[np.arange(len(labels)), labels].mean())

    best = minimize_scalar(cost, bounds=(np.log(COLDEST), np.log(HOTTEST)), method="bounded")
    return float(np.exp(best.x))


def fit_head_temperatures(
    logits: NDArray[np.float32], labels: NDArray[np.int64], present: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """One temperature a head: logits [n, heads, C], labels [n], present bool [n, heads] -> float32 [heads]."""
    heads = range(logits.shape[1])
    return np.array([fit_temperature(logits[present[:, h], h], labels[present[:, h]]) for h in heads], np.float32)
